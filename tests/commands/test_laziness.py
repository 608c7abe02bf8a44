"""What a command does not need, it does not import: other tasks' code, torch where nothing is computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

PROGRAM = """
import json, sys
from detres.commands.main import main
status = main(sys.argv[1:])
print(json.dumps([status, sorted(sys.modules)]))
"""
# Files of detres that a dry run of a detector may import, its own packages' __init__.py among them.
MOST = 116
# Rooms that training a detector has nothing to do with.
FOREIGN = ("classification", "localization", "conversion", "reproduction", "benchmarks", "report", "prediction")


@pytest.fixture
def modules_after(run_python: Callable[..., CompletedProcess[str]], tmp_path: Path) -> Callable[..., list[str]]:
    """The modules that are loaded when a command is done."""

    def run(*arguments: object) -> list[str]:
        ended = run_python("-c", PROGRAM, *arguments, cwd=tmp_path)
        status, modules = json.loads(ended.stdout.splitlines()[-1])
        assert status == 0, ended.stderr
        return modules

    return run


def ours(modules: Sequence[str]) -> list[str]:
    return [module for module in modules if module.split(".")[0] == "detres"]


def foreign(modules: Sequence[str], rooms: Sequence[str]) -> list[str]:
    """Those that lie in one of the rooms, or in a room of that name further down."""
    return [module for module in ours(modules) if set(module.split(".")[1:]) & set(rooms)]


@pytest.mark.slow
def test_a_dry_run_of_a_detector_imports_its_own_task(modules_after: Callable[..., list[str]]) -> None:
    modules = modules_after("train_det", "--cfg", "coco_r101", "--dry-run", "--device", "cpu")
    assert "detres.detection.model.faster_rcnn" in modules, "nothing was built"
    assert foreign(modules, FOREIGN) == []
    assert [module for module in ours(modules) if "classif" in module or "locali" in module] == []
    assert len(ours(modules)) <= MOST, "\n".join(ours(modules))


@pytest.mark.slow
def test_training_a_detector_imports_its_own_task(
    modules_after: Callable[..., list[str]], tiny: object, tmp_path: Path
) -> None:
    steps = ["training.steps=1", "data.workers=0", "training.logs=[]", "--out", tmp_path / "run", "--device", "cpu"]
    modules = modules_after("train_det", "--cfg", tiny.cfg, *steps)
    assert (tmp_path / "run" / "checkpoints" / "last").is_dir(), "nothing was trained"
    assert foreign(modules, FOREIGN) == []
    assert [module for module in ours(modules) if "classif" in module or "locali" in module] == []


@pytest.mark.slow
@pytest.mark.parametrize("command", ["--help", "configs"])
def test_what_computes_nothing_imports_no_torch(modules_after: Callable[..., list[str]], command: str) -> None:
    modules = modules_after(command)
    assert {"torch", "numpy", "cv2"}.isdisjoint(modules)
