"""What documents, docstrings and comments name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet50

from detres.backbones.weights.metadata import WeightsMetadata
from detres.structures import IMAGENET_STATS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "datasets").glob("*.md")])
SOURCES = sorted(file for folder in ("detres", "tests", "tools", "examples") for file in (ROOT / folder).rglob("*.py"))
_NAMED = re.compile(r"(?<![\w/.-])((?:[\w-]+/)*[a-z]\w*\.py)\b")
# Of other projects, of Python, and of none.
FOREIGN = {
    *("pickletools.py", "datasets/prepare_SET.py", "user/configs/_base_/models/faster_rcnn_r50_fpn.py"),
    "user/configs/faster_rcnn/faster_rcnn_r101_caffe_fpn_1x_coco.py",
    "demo/demo.py",
    "demo/image_demo.py",
    "faster_rcnn_r50_fpn_1x_coco.py",
    "references/classification/train.py",
    "references/detection/train.py",
    "tools/analysis_tools/analyze_logs.py",
    "tools/analysis_tools/analyze_results.py",
    "tools/analysis_tools/browse_dataset.py",
    "tools/analyze_model.py",
    "tools/dataset_converters/pascal_voc.py",
    "tools/misc/print_config.py",
    "tools/test.py",
    "tools/train.py",
    "tools/train_net.py",
    "tools/visualize_data.py",
    "train.py",
    "train_net.py",
}


def named_files(text: str) -> Iterator[str]:
    """Python files that a text names, by a path or a name alone."""
    yield from dict.fromkeys(_NAMED.findall(text))


def stale(file: Path) -> list[str]:
    """Names of files neither near it, nor below the root, detres/ or tests/, nor where one named before lies."""
    text = file.read_text(encoding="utf-8")
    text = re.sub(r"\[[^\]]*\]\(", "(", text)  # Of a link, where it leads.
    if file.suffix == ".py":  # Only what is prose: docstrings and comments.
        text = "\n".join([*re.findall(r'"""(.*?)"""', text, flags=re.S), *re.findall(r"# .*", text)])
    bases, absent = [file.parent, file.parent.parent, ROOT, ROOT / "detres", ROOT / "tests"], []
    for name in named_files(text):
        found = next((base / name for base in bases if (base / name).is_file()), None)
        if found is not None:
            bases.append(found.parent)
        elif name not in FOREIGN:
            absent.append(name)
    return absent


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_every_file_that_a_document_names_is_there(file: Path) -> None:
    assert stale(file) == []


def test_every_file_that_the_code_names_is_there() -> None:
    found = {str(file.relative_to(ROOT)): names for file in SOURCES if (names := stale(file))}
    assert found == {}


def test_the_heart_is_as_long_as_its_page_says() -> None:
    page = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    told = {name: int(lines) for name, lines in re.findall(r"^\| \[(\S+)\]\(\S+\) \| (\d+) \|", page, flags=re.M)}
    assert len(told) == 10
    assert told == {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in told}
    assert f"That is {sum(told.values()):,} lines." in page


@pytest.mark.slow
def test_the_readmes_python_runs_as_it_stands(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a photo and a run; a file stands in for published weights, which a test does not fetch."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (120, 90), (90, 120, 60)).save("photo.jpg")
    Path("runs").mkdir()
    Path("runs/shapes_r18").symlink_to(trained)
    torch.save(resnet50().state_dict(), "published.pth")
    Path("published.pth.json").write_text(WeightsMetadata("resnet50", IMAGENET_STATS).to_json(), encoding="utf-8")
    assert block.count('"pretrained"') == 1
    here: dict[str, Any] = {}
    exec(compile(block.replace('"pretrained"', '"published.pth"'), "README.md", "exec"), here)
    assert here["features"]["c4"].shape[:2] == (1, 1024)
    assert np.asarray(here["picture"]).shape == (90, 120, 3)
    assert Path("detector.pt2").stat().st_size > 0
