import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.errors import ConfigError, DataError
from detres.own_code import call_own, find_own, find_own_function, own_failed


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module of a user's; returns its name, new each time."""
    monkeypatch.syspath_prepend(tmp_path)
    written: list[str] = []

    def write(text: str) -> str:
        written.append(f"owned_{tmp_path.name}_{len(written)}")
        (tmp_path / f"{written[-1]}.py").write_text(text)
        return written[-1]

    return write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is not on sys.path."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_named_is_found_and_called(own: Callable[[str], str]) -> None:
    found = find_own(f"{own('def twice(x, plus=0): return 2 * x + plus')}:twice", "key")
    assert call_own(found, "key: it", 3, plus=1) == 7


def test_what_cannot_be_imported_is_told_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"^some.key math:nothing cannot be imported: .*; module:callable names"):
        find_own("math:nothing", "some.key")


def test_what_is_not_found_is_told_with_where_was_looked(here: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_own("no_such_module.inner:f", "some.key")
    assert str(caught.value) == (
        "some.key no_such_module.inner:f cannot be imported: No module named 'no_such_module'; "
        f"{here} was looked in as well: run from the folder that no_such_module is in, or put it on PYTHONPATH"
    )
    (here / f"needy_{here.name}.py").write_text("import no_such_library")
    with pytest.raises(ConfigError, match=r"No module named 'no_such_library'; module:callable names"):
        find_own(f"needy_{here.name}:f", "key")


def test_a_module_in_the_current_folder_is_found_and_hides_nothing(here: Path) -> None:
    name = f"beside_{here.name}"
    (here / f"{name}.py").write_text(f"def f():\n    import {name}_too\n    return {name}_too.x")
    (here / f"{name}_too.py").write_text("x = 7")
    (here / "colorsys.py").write_text("x = 1 / 0")
    sys.modules.pop("colorsys", None)
    assert find_own("colorsys:hls_to_rgb", "key")(0.0, 0.5, 0.0) == (0.5, 0.5, 0.5)
    assert str(here) not in sys.path
    assert call_own(find_own(f"{name}:f", "key"), "it") == 7
    find_own(f"{name}:f", "key")
    assert sys.path.count(str(here)) == 1
    assert sys.path[-1] == str(here)


def test_whoever_leaves_does_so_with_a_word(own: Callable[[str], str]) -> None:
    with pytest.raises(ConfigError, match=r"^key \S+: to import it raised SystemExit: 3 \(.*\.py:2\); mend it"):
        find_own(own("import sys\nsys.exit(3)") + ":x", "key")
    leaves = find_own(own("def leaves():\n    raise SystemExit('enough')") + ":leaves", "key")
    with pytest.raises(ConfigError, match=r"^key: it raised SystemExit: enough \(.*\.py:2\); mend it"):
        call_own(leaves, "key: it")


def test_what_raises_is_told_with_its_file_and_line(own: Callable[[str], str]) -> None:
    with pytest.raises(ConfigError, match=r"^key \S+: to import it raised ZeroDivisionError: .*\.py:2\); mend it"):
        find_own(own("x = 1\nx / 0") + ":x", "key")
    broken = find_own(own("def broken():\n    return 1 / 0") + ":broken", "key")
    with pytest.raises(ConfigError, match=r"^key: called, it raised ZeroDivisionError: .*\.py:2\); mend it"):
        call_own(broken, "key: called, it")


def test_what_is_no_function_is_told_as_such(own: Callable[[str], str]) -> None:
    name = own("x = 3") + ":x"
    assert find_own(name, "key") == 3
    with pytest.raises(ConfigError, match=rf"^key {name} is an int, expected a function or a class; name another$"):
        find_own_function(name, "key")
    assert find_own_function("math:sqrt", "key")(9) == 3


def test_what_ours_says_by_way_of_it_and_too_little_memory_stay_as_they_are() -> None:
    for error in (DataError("ours"), MemoryError()):
        with pytest.raises(type(error)):
            own_failed(error, "key")
