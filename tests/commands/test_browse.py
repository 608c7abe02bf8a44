"""browse writes one page of a set, whatever its files are called, and says what it cannot show."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Done = Callable[..., str]
NASTY = "</script><script>alert(1)</script>"


def read(page: Path) -> tuple[dict[str, Any], list[str], str]:
    """The page's data, its pictures, and all of its text."""
    text = page.read_text(encoding="utf-8")
    data, pictures = (json.loads(s) for s in re.findall(r'<script type="application/json".*?>(.*?)</script>', text))
    return data, pictures, text


@pytest.fixture
def copy(tiny: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.root, tmp_path / "set"))


def test_a_set_is_one_page_with_all_of_its_splits(done: Done, copy: Path, tmp_path: Path) -> None:
    told = done("browse", "--data", copy / "voc.yaml", "--out", tmp_path / "page.html")
    assert told.endswith(f"12 of 12 images: {tmp_path / 'page.html'}\n")
    data, pictures, text = read(tmp_path / "page.html")
    assert data["splits"] == ["train", "test"]
    assert len(data["images"]) == len(pictures) == 12
    assert sum(len(image["boxes"]) for image in data["images"]) == 20
    first = data["images"][0]["boxes"][0]
    assert data["classes"][first[0]] in ("square", "disc")
    assert "http://www.w3.org/2000/svg" in text
    assert re.findall(r"(?:src|href)=[\"'](?!data:|#)", text) == []
    assert "12 images, 20 boxes of 2 classes" in text


def test_images_that_were_left_out_are_counted_apart(done: Done, copy: Path, tmp_path: Path) -> None:
    (copy / "JPEGImages" / "000001.png").write_bytes(b"no picture")
    told = done("browse", "--data", copy / "voc.yaml", "--out", tmp_path / "page.html")
    assert told.endswith(f"11 of 11 images: {tmp_path / 'page.html'}\n")
    assert "11 images and 1 left out (see the problems), " in read(tmp_path / "page.html")[2]


def test_limit_and_split_choose_and_a_folder_takes_the_page(done: Done, copy: Path, tmp_path: Path) -> None:
    told = done("browse", "--data", copy / "voc.yaml", "--out", tmp_path, "--split", "test", "--limit", "2")
    assert told.endswith(f"2 of 5 images: {tmp_path / 'browse.html'}\n")
    assert read(tmp_path / "browse.html")[0]["splits"] == ["test"]


def test_hostile_names_stay_text(done: Done, copy: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        file = copy / "coco" / f"{split}.json"
        content = json.loads(file.read_text())
        content["categories"][0]["name"] = NASTY
        content["images"].append({"id": 1, "file_name": f"{NASTY}.png", "width": 9, "height": 9})
        file.write_text(json.dumps(content))
    done("browse", "--data", copy / "coco.yaml", "--out", tmp_path / "page.html")
    data, _, text = read(tmp_path / "page.html")
    assert NASTY in data["classes"]
    assert text.count("</script>") == 3, "the page's own"
    assert "<script>alert" not in text
    assert "image missing" in text


def test_what_cannot_be_read_is_shown_and_said(done: Done, copy: Path, tmp_path: Path) -> None:
    broken = copy / "JPEGImages" / "000002.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: whole.index(b"IDAT") + 4])
    (copy / "coco" / "test.json").unlink()
    told = done("browse", "--data", copy / "coco.yaml", "--out", tmp_path / "page.html")
    assert "test: cannot be used: " in told
    data, _, text = read(tmp_path / "page.html")
    assert "cannot be used: test" in text
    number = data["oddities"].index("cannot be read")
    (image,) = [image for image in data["images"] if number in image["odd"]]
    assert image["name"].endswith("000002.png")
    assert image["told"]


def test_mistakes_are_one_message(refused: Done, tiny: Any, tiny_classes: Any) -> None:
    assert "--limit is 0" in refused("browse", "--data", tiny.voc, "--limit", "0")
    assert "name a set with --cfg or --data" in refused("browse")
    refused("browse", "--cfg", tiny_classes.cfg)
    assert "absent" in refused("browse", "--data", tiny.voc, "data.train=[absent]", "data.test=[]", kind="DataError")
