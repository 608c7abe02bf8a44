import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.data.formats.labels.createml import load_createml, recognize
from detres.errors import DataError

Write = Callable[..., Path]


def entry(name: Any, *boxes: Any) -> dict[str, Any]:
    return {"image": name, "annotations": list(boxes)}


def box(label: Any = "cat", **sides: Any) -> dict[str, Any]:
    return {"label": label, "coordinates": {"x": 20, "y": 15, "width": 10, "height": 8} | sides}


def test_x_and_y_are_the_centre_in_the_keys_of_either_tool(tmp_path: Path, write_picture: Write) -> None:
    """Roboflow's export of two splits, one in the keys of Apple's example."""
    for split in ("train", "valid"):
        write_picture(tmp_path / split / "a.png")
    (tmp_path / "train" / "_annotations.createml.json").write_text(json.dumps([entry("a.png", box())]))
    apple = [{"imagefilename": "a.png", "annotation": [box("dog", x=20.5)]}]
    (tmp_path / "valid" / "_annotations.createml.json").write_text(json.dumps(apple))
    known = recognize(tmp_path)
    assert known is not None
    splits = (*known.train, *known.val)
    train, val = (load_createml(tmp_path, split, sibling_splits=splits) for split in splits)
    assert train.boxes.tolist() == [[15, 11, 25, 19]]
    assert val.boxes.tolist() == [[15.5, 11, 25.5, 19]]
    assert train.class_names == val.class_names == ("cat", "dog")
    assert val.file_name(0) == "valid/a.png"
    assert (train.name, val.name) == (f"{tmp_path.name}-train", f"{tmp_path.name}-valid")


def test_what_is_malformed_is_told_and_costs_itself_alone(tmp_path: Path, write_picture: Write) -> None:
    write_picture(tmp_path / "a.png")
    bad = [box(None), box(x="nan"), box(width=None), box(y=10**400), {"label": "cat"}, "box", box(x=-100)]
    content = [entry("a.png", box(), *bad), entry("../a.png"), entry(None), "entry", {"image": "a.png"}, entry("b.png")]
    (tmp_path / "a.json").write_text(json.dumps(content))
    images = load_createml(tmp_path, "a.json")
    assert images.boxes.tolist() == [[15, 11, 25, 19]]
    counts = images.problem_counts()
    assert counts["annotation malformed"] == 6 + 3
    assert counts["box outside the image"] == 1
    assert counts["image missing"] == 1


def test_shares_are_asked_about(tmp_path: Path, write_picture: Write) -> None:
    write_picture(tmp_path / "a.png")
    boxes = [box(x=0.1 * number, y=0.5, width=0.1, height=0.2) for number in range(1, 7)]
    (tmp_path / "a.json").write_text(json.dumps([entry("a.png", *boxes)]))
    assert load_createml(tmp_path, "a.json").problem_counts()["boxes look like shares"] == 1


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, "[]", "3"])
def test_what_is_no_such_file_is_a_message(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json"):
        load_createml(tmp_path, "a.json")
