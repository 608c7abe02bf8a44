"""Type checkers see the package's names with their signatures, though each is found when it is first used."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import detres

FACE = Path(detres.__file__)

RIGHT = """
backbone = detres.build_backbone("resnet50", outputs=("c2", "c5"), frozen_stages=2, norm="frozen")
detector = detres.Detector.from_checkpoint("runs/mine", device="cpu", score=0.5)
stride: int = backbone.specs["c5"].stride
names: list[str] = detector.predict("photo.jpg").names
run = detres.train(detres.load_config("coco_r50", ["training.steps=9"]), out="runs/mine")
"""
WRONG = {
    'detres.build_backbone("resnet50", frozen_stages="two")': '"frozen_stages" to "build_backbone" has incompatible',
    'detres.build_backbone("resnet50", norm="bach")': '"norm" to "build_backbone" has incompatible',
    'detres.Detector.from_checkpoint("runs/mine", scores=0.5)': 'Unexpected keyword argument "scores"',
    'detres.train("coco_r50")': 'Argument 1 to "train" has incompatible type "str"',
    "detres.Detectro": "Module has no attribute",
}
# What others say of their types is not asked: to read torch takes minutes.
SETTINGS = "[mypy]\nfollow_imports = silent\nignore_missing_imports = True\n" + "".join(
    f"[mypy-{library}.*]\nfollow_imports = skip\n"
    for library in ("torch", "torchvision", "timm", "numpy", "cv2", "pydantic", "PIL", "matplotlib")
)


def test_every_name_of_the_face_is_imported_for_checkers_from_where_it_is_found() -> None:
    tree = ast.parse(FACE.read_text(encoding="utf-8"))
    guarded = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    told = {alias.name: node.module for node in guarded.body for alias in node.names}
    assert told == detres._LAZY
    # `import X as X`: what else is imported by a package with py.typed counts as its own affair.
    assert all(alias.asname == alias.name for node in guarded.body for alias in node.names)
    assert FACE.with_name("py.typed").is_file()


@pytest.mark.slow
def test_mypy_takes_a_right_script_and_catches_each_wrong_argument(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    lines = ["import detres", *RIGHT.split("\n"), *WRONG]
    (tmp_path / "script.py").write_text("\n".join(lines) + "\n")
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "script.py"],
        env=os.environ | {"MYPYPATH": str(FACE.parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    errors = [line for line in checked.stdout.splitlines() if ": error: " in line]
    first = len(lines) - len(WRONG) + 1
    assert len(errors) == len(WRONG), checked.stdout + checked.stderr
    for number, (error, expected) in enumerate(zip(errors, WRONG.values(), strict=True), start=first):
        assert error.startswith(f"script.py:{number}: ")
        assert expected in error
