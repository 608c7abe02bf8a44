"""The house's floors, read from the source with `ast`: nothing is imported, so nothing can hide behind a lazy import.

A *part* is the first name below detres: a package such as data, or a module such as boxes. Imports inside functions
count; those under `if TYPE_CHECKING` do not, since nobody runs them.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS = (
    {
        *(
            "structures",
            "stop_signals",
            "boxes",
            "draws",
            "errors",
            "words",
            "system_errors",
            "files",
            "distributed",
            "lookup",
        ),
        "peak_memory",
        *("rank_failures", "tables", "own_code", "reporter", "pickles", "checkpoints", "version", "config"),
        *("environment", "devices", "precision", "optional_package"),
    },
    {"backbones", "data", "training", "evaluation"},
    {"detection", "classification", "localization", "report"},
    {"conversion"},
    {"prediction"},
    {"tasks"},
    {"reproduction", "benchmarks"},
    {"commands", "__main__"},
)
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}

# Beyond the floors: who must not know of whom.
MODELS = {"backbones", "detection", "classification", "localization", "conversion", "prediction", "tasks"}
STRANGERS = {
    "training": MODELS | {"data", "evaluation", "report"},
    "evaluation": MODELS | {"training", "report"},
    "report": {"data", "training"} | MODELS,
    "data": MODELS | {"training", "evaluation"},
}

_OF_A_CLONE = re.compile(r"\b(?:tools|datasets|docs|configs|examples)/\w+\.\w+|\b(?:README|CHANGELOG)\.md\b")

# Beside its __init__.py; what is at hand without a door is less.
MOST_IN_A_FOLDER = 20

Sources = Mapping[str, str]  # the text of each module by its dotted name; a package's own is PACKAGE.__init__


def read_sources() -> dict[str, str]:
    """Every module of detres but its face, detres/__init__.py, which has a test of its own."""
    files = sorted((ROOT / "detres").rglob("*.py"))
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}
    return {name: file.read_text(encoding="utf-8") for name, file in names.items() if name != "detres.__init__"}


@cache
def parsed(source: str) -> ast.Module:
    """Once: planted modules stand among hundreds that are the same in every test."""
    return ast.parse(source)


@cache
def imports_of(source: str) -> list[tuple[str, list[str]]]:
    """(module, names taken from it) of every import statement that can be run."""
    found: list[tuple[str, list[str]]] = []
    waiting: list[ast.AST] = [parsed(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(("." * node.level + (node.module or ""), [alias.name for alias in node.names]))
        waiting += ast.iter_child_nodes(node)
    return found


def targets_of(source: str, modules: set[str]) -> set[str]:
    """The modules of detres that a source imports, by their names in `modules`."""
    found = set()
    for module, names in imports_of(source):
        for name in [f"{module}.{each}" for each in names] or [module]:
            candidates = (name, f"{name}.__init__", module, f"{module}.__init__")
            found.update([next((c for c in candidates if c in modules), module)] if _is_ours(module) else [])
    return found


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == "detres" or module.startswith(".")


def part_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def import_violations(sources: Sources) -> list[str]:
    """Every import that goes up, sideways to a stranger, through the face, or relative."""
    found = []
    for module, source in sources.items():
        part = part_of(module)
        if part not in FLOOR_OF:
            found.append(f"{module} stands on no floor; add {part} to FLOORS")
            continue
        for target in sorted(targets_of(source, set(sources))):
            other = part_of(target)
            if other not in FLOOR_OF:
                found.append(f"{module} imports {target}, which is on no floor")
            elif FLOOR_OF[other] > FLOOR_OF[part]:
                found.append(f"{module} imports {target} from a floor above")
            elif other in STRANGERS.get(part, ()):
                found.append(f"{module} imports {target}: {part} knows nothing of {other}")
    return found


def circles(sources: Sources) -> list[list[str]]:
    """Every circle that a walk along the imports runs into, as the modules on it."""
    edges = {module: targets_of(source, set(sources)) & set(sources) for module, source in sources.items()}
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(edges[module]):
                walk(target, [*path, module])
            done.add(module)

    for module in sorted(edges):
        walk(module, [])
    return found


def part_circles(sources: Sources) -> list[list[str]]:
    """Circles between parts: two packages of one floor that import each other, though no two modules do."""
    merged: dict[str, str] = {}
    for module, source in sources.items():
        lines = [f"import detres.{part_of(t)}" for t in targets_of(source, set(sources)) if part_of(t) in FLOOR_OF]
        part = f"detres.{part_of(module)}"
        own = f"import {part}"
        merged[part] = "\n".join([merged.get(part, ""), *(line for line in lines if line != own)])
    return circles(merged)


def modules_with_configs(sources: Sources, config_names: set[str]) -> list[str]:
    """nn.Modules whose constructor takes a section of the config, by its annotation or by its name."""
    classes = {
        node.name: (module, node)
        for module, source in sources.items()
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.ClassDef)
    }

    def is_module(name: str) -> bool:
        if name not in classes:
            return False
        bases = [ast.unparse(base) for base in classes[name][1].bases]
        return any(base.startswith(("nn.", "torch.nn.")) or is_module(base) for base in bases)

    found = []
    for name, (module, node) in classes.items():
        for method in node.body:
            if not (is_module(name) and isinstance(method, ast.FunctionDef) and method.name == "__init__"):
                continue
            for argument in (*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs):
                words = (
                    {n.id for n in ast.walk(argument.annotation) if isinstance(n, ast.Name)}
                    if argument.annotation
                    else set()
                )
                if words & config_names or argument.arg in ("config", "cfg") or argument.arg.endswith("_config"):
                    found.append(f"{module}.{name} takes {ast.unparse(argument)}")
    return found


def absent_files_named(module: str, source: str) -> list[str]:
    """Files of a clone alone that a module's messages name, its docstrings left out, save a command's.

    That one is its help.
    """
    tree = parsed(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        file
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings or part_of(module) == "commands"
        for file in _OF_A_CLONE.findall(node.value)
    ]


def crowded(folders: Mapping[str, int]) -> list[str]:
    """Folders with more files than one looks over, by the number of their modules."""
    return [f"{folder}: {count} modules" for folder, count in folders.items() if count > MOST_IN_A_FOLDER]


# Who writes without files/whole.py, and why a file of theirs is never met half written.
WRITERS = {
    "detres.checkpoints.saving": "a folder, written under a hidden name, flushed and renamed",
    "detres.conversion.from_detres": "into a stream of whole_file",
    "detres.report.figures": "into a stream of whole_file",
    "detres.evaluation.submissions": "a member of an archive within whole_file",
    "detres.data.archives": "a partial file that is kept, so that unpacking goes on where it stopped",
    "detres.data.prepare": "a partial file that is kept, so that a download goes on where it stopped",
    "detres.files.written_once": "a folder, made under another name and renamed",
    "detres.data.formats.shapes.detection": "within written_once",
    "detres.data.formats.shapes.classification": "within written_once",
    "detres.data.formats.shapes.localization": "within written_once",
    "detres.data.formats.voc.writing": "within written_once, and a file an annotation of check_data's copy",
    "detres.data.writing.writing": "a folder, made under another name and renamed",
    "detres.data.writing.pictures": "within writing's folder",
    "detres.data.formats.yolo.writing": "within writing's folder",
    "detres.tasks.detection.drawn_video": "under another name until the video is whole",
    "detres.training.resuming": "lines are added to a file; checkpoints that stepped aside go back",
    "detres.training.run_lock": "a lock without content",
    "detres.training.logging.csv_log": "lines are added to a file",
    "detres.benchmarks.annotations": "in a folder of its own that goes with the process",
    "detres.benchmarks.data": "in a folder of its own that goes with the process",
    "detres.peak_memory": "a switch of the system's",
    "detres.commands.parts.output": "nothing: the process's streams where it was given none",
}
_WRITING = re.compile(
    r"\.write_(?:text|bytes)\(|\.savefig\(|torch\.save\(|\bimwrite\(|VideoWriter\(|copyfile\(|np\.savez?\(|"
    r"(?:\bos\.(?:replace|rename)|\.rename)\(|\bopen\((?:[^()]*, )?\"[wax]b?\""
)


def writers(sources: Sources) -> set[str]:
    """Modules that write to files by themselves."""
    return {module for module, source in sources.items() if _WRITING.search(source)}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return read_sources()


@pytest.fixture(scope="module")
def config_names(sources: dict[str, str]) -> set[str]:
    """The sections of the config, as the schema lists them."""
    trees = [ast.parse(sources[f"detres.config.{module}"]) for module in ("detection_schema", "anchors")]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def contributed_sources() -> dict[str, str]:
    """The files of CONTRIBUTING.md's recipes, as the modules that its lines for the tables name."""
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    modules = set(re.findall(r'^"\w+": .*"(detres\.[\w.]+):\w+"', told, re.MULTILINE))
    folder = ROOT / "tests" / "contributing"
    return {name: (folder / f"{name.rpartition('.')[2]}.py").read_text(encoding="utf-8") for name in modules}


@pytest.mark.slow
def test_what_contributing_tells_to_add_passes_here(sources: dict[str, str], config_names: set[str]) -> None:
    added = contributed_sources()
    assert len(added) == 5
    grown = {**sources, **added}
    assert import_violations(grown) == circles(grown) == part_circles(grown) == []
    assert writers(added) == set()
    assert modules_with_configs(grown, config_names) == []
    assert crowded(Counter(name.rpartition(".")[0] for name in grown if not name.endswith(".__init__"))) == []


def test_imports_only_go_down(sources: dict[str, str]) -> None:
    assert import_violations(sources) == []


def test_no_module_imports_itself_by_a_detour(sources: dict[str, str]) -> None:
    assert circles(sources) == []


def test_no_two_parts_of_a_floor_import_each_other(sources: dict[str, str]) -> None:
    assert part_circles(sources) == []


def test_whoever_writes_a_file_writes_it_whole(sources: dict[str, str]) -> None:
    assert writers(sources) == {*WRITERS, "detres.files.whole"}
    for line in ("Path(x).write_text(y)", 'open(x, "w")', 'x.open("wb")', "cv2.imwrite(x, y)", "os.replace(x, y)"):
        assert writers({"detres.data.planted": line}) == {"detres.data.planted"}, line


def test_every_folder_can_be_looked_over(sources: dict[str, str]) -> None:
    modules = Counter(name.rpartition(".")[0] for name in sources if not name.endswith(".__init__"))
    assert crowded(modules) == []
    assert crowded({"detres.attic": MOST_IN_A_FOLDER + 1}) == ["detres.attic: 21 modules"]


def test_every_room_says_what_it_is_for(sources: dict[str, str]) -> None:
    rooms = {name: text for name, text in sources.items() if name.endswith(".__init__")}
    assert [name for name, text in rooms.items() if not ast.get_docstring(ast.parse(text))] == []


def test_no_module_of_a_network_takes_a_config(sources: dict[str, str], config_names: set[str]) -> None:
    assert {"ModelConfig", "AnchorsConfig"} <= config_names
    assert modules_with_configs(sources, config_names) == []


def test_the_face_loads_the_ground_floor_alone() -> None:
    face = (ROOT / "detres" / "__init__.py").read_text(encoding="utf-8")
    parts = {part_of(module) for module, _ in imports_of(face) if module.startswith("detres")}
    assert parts <= {"errors", "structures", "version"}


def test_tools_only_hand_on_to_a_command_of_their_name() -> None:
    calls = {file: f'main(["{file.stem}", *sys.argv[1:]])' for file in (ROOT / "tools").glob("*.py")}
    for file in (ROOT / "datasets").glob("prepare_*.py"):
        calls[file] = f'main(["prepare", "{file.stem.removeprefix("prepare_")}", *sys.argv[1:]])'
    assert {file.parent.name for file in calls} == {"tools", "datasets"}
    for shim, call in calls.items():
        text = shim.read_text(encoding="utf-8")
        assert [module for module, _ in imports_of(text) if module.startswith("detres")] == ["detres.commands.main"]
        assert call in text
        assert len(text.splitlines()) <= 12


def test_no_message_names_a_file_that_a_wheel_lacks(sources: dict[str, str]) -> None:
    found = {module: absent_files_named(module, source) for module, source in sources.items()}
    assert {module: files for module, files in found.items() if files} == {}
    planted = 'def f():\n    """See docs/design.md."""\n    raise ValueError(f"{f}: run tools/check_data.py")'
    assert absent_files_named("detres.data.planted", planted) == ["tools/check_data.py"]
    assert absent_files_named("detres.commands.planted", '"""See datasets/README.md."""') == ["datasets/README.md"]


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        ("detres.data.planted", "from detres.detection.model.rpn import RPN", "from a floor above"),
        ("detres.boxes", "def f():\n    import detres.backbones", "from a floor above"),
        ("detres.training.planted", "from detres import backbones", "training knows nothing of backbones"),
        ("detres.report.planted", "from detres.data.images.reading import read_image", "report knows nothing of data"),
        ("detres.evaluation.planted", "import detres.detection.model.rpn as r", "from a floor above"),
        ("detres.detection.planted", "from detres import Detector", "on no floor"),
        ("detres.detection.planted", "from .rpn import RPN", "on no floor"),
        ("detres.attic.planted", "", "stands on no floor"),
    ],
)
def test_a_planted_import_is_caught(sources: dict[str, str], module: str, line: str, expected: str) -> None:
    (violation,) = import_violations(sources | {module: line})
    assert module in violation
    assert expected in violation


def test_an_import_for_annotations_alone_is_free() -> None:
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from detres.detection.model.rpn import RPN"
    assert import_violations({"detres.data.planted": guarded}) == []


def test_a_planted_circle_is_caught(sources: dict[str, str]) -> None:
    planted = {
        "detres.data.one": "import detres.data.two",
        "detres.data.two": "def f():\n    from detres.data import one",
    }
    assert circles(sources | planted) == [["detres.data.one", "detres.data.two", "detres.data.one"]]
    sideways = {"detres.data.one": "import detres.backbones.two", "detres.backbones.two": "import detres.data.three"}
    assert circles(sideways) == []
    assert part_circles(sideways) == [["detres.backbones", "detres.data", "detres.backbones"]]


@pytest.mark.parametrize("argument", ["section: RpnConfig", "config", "x: ModelConfig | None = None"])
def test_a_planted_config_is_caught(sources: dict[str, str], config_names: set[str], argument: str) -> None:
    planted = f"class Base(nn.Module): ...\nclass Planted(Base):\n    def __init__(self, {argument}): ..."
    (violation,) = modules_with_configs(sources | {"detres.detection.planted": planted}, config_names)
    assert "detres.detection.planted.Planted" in violation
