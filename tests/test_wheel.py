"""The wheel is all that a machine needs, built from a clone or from the sdist: commands and configs work from an empty
folder.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.built_wheel import ROOT, build

# How packagers build: straight from a clone, and (`python -m build` alone) the wheel from the sdist.
BUILDS = {"from a clone": ("--wheel",), "from the sdist": ()}


@pytest.fixture(scope="module", params=BUILDS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what was built."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    build(source, out, BUILDS[request.param])
    return out


@pytest.fixture
def wheel(built: Path) -> Path:
    (file,) = built.glob("detres-*.whl")
    return file


@pytest.mark.slow
def test_the_wheel_holds_the_package_every_config_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "detres = detres.commands.main:main" in archive.read(entry_points).decode()
    for folder, below in (("detres", "detres"), ("configs", "detres/_configs")):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".py", ".yaml", ".txt", ".html", ".css", ".js"):
                assert f"{below}/{file.relative_to(ROOT / folder).as_posix()}" in names
    assert {name.split("/")[0] for name in names} == {
        "detres",
        wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info",
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "detres/py.typed" in names


@pytest.mark.slow
def test_an_unpacked_wheel_dry_runs_from_an_empty_folder(
    wheel: Path, tmp_path: Path, datasets_folder: Path, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    options = {"cwd": empty, "PYTHONPATH": str(site)}
    where = run_python("-c", "import detres; print(detres.__file__)", **options)
    assert where.stdout.strip() == str(site / "detres" / "__init__.py")
    done = run_python("-m", "detres", "train_det", "--cfg", "shapes_r18", "--dry-run", **options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("dry run done")
    assert "coco_r101" in run_python("-m", "detres", "configs", **options).stdout
    doctor = run_python("-m", "detres", "doctor", **options)
    # 2 where this machine lacks something, which is then told.
    assert doctor.returncode == (2 if "PROBLEM" in doctor.stdout else 0), doctor.stderr
    assert doctor.stdout.startswith("detres ")
    assert list(empty.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("built", ["from the sdist"], indirect=True)
def test_the_sdist_holds_what_builds_tests_and_explains_it(built: Path) -> None:
    (file,) = built.glob("detres-*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("detres", "configs", "docs", "examples", "tests", "tools"):
        for each in (ROOT / folder).rglob("*"):
            if each.is_file() and each.suffix != ".pyc":
                assert each.relative_to(ROOT).as_posix() in names
    assert {"setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md", "Makefile"} <= names
    assert not any("__pycache__" in name for name in names)


@pytest.mark.slow
def test_an_index_would_take_both_archives(built: Path) -> None:
    pytest.importorskip("twine")
    archives = sorted(map(str, built.iterdir()))
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *archives], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == len(archives)


@pytest.mark.slow
def test_the_long_description_leads_nowhere_that_an_index_does_not_have(wheel: Path) -> None:
    """Neither pictures nor files of a clone; code, where [ and ( may stand together, is as it is in README.md."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = message_from_bytes(archive.read(name))
    text = told.get_payload(decode=True).decode()
    assert told["Description-Content-Type"] == "text/markdown"
    assert re.findall(r"\]\((?!https?:)[^)]*\)", text) == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# detres\n")
    blocks = re.compile(r"^```.*?^```", flags=re.M | re.S)
    assert blocks.findall(text) == blocks.findall(readme)
    assert len(blocks.findall(readme)) > 4
    assert re.findall(r"^## .*", text, flags=re.M) == re.findall(r"^## .*", readme, flags=re.M)
