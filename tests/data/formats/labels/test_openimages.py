from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detres.data.formats.labels.openimages import load_openimages, recognize
from detres.errors import DataError

Write = Callable[..., Path]
HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)


def write(root: Path, name: str, *rows: str) -> str:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return name


def test_shares_groups_and_names(tmp_path: Path, write_picture: Write) -> None:
    write_picture(tmp_path / "train" / "0001.png")
    (tmp_path / "class-descriptions-boxable.csv").write_text('/m/01,Cat\n/m/02,"Salt, pepper"\n')
    split = write(
        tmp_path,
        "train-annotations-bbox.csv",
        "0001,xclick,/m/01,1,0.1,0.6,0.25,0.75,0,1,0,0,0",
        "0001,xclick,/m/02,1,0,1,0,1,-1,-1,1,-1,0",
        "0002,xclick,/m/01,1,0,1,0,1,0,0,0,0,0",
    )
    images = load_openimages(tmp_path, split)
    assert images.class_names == ("Cat", "Salt, pepper")
    np.testing.assert_allclose(images.boxes, [[6, 10, 36, 30], [0, 0, 60, 40]], rtol=1e-6)
    assert (images.crowd.tolist(), images.truncated.tolist()) == ([False, True], [True, False])
    assert [str(problem) for problem in images.problems] == [
        "file not read: train-annotations-bbox.csv: 1 of its 2 images are not there; left out with their boxes"
    ]


def test_fiftyones_layout_is_recognized(tmp_path: Path, write_picture: Write) -> None:
    for split in ("train", "validation"):
        write_picture(tmp_path / split / "data" / "0001.png")
        write(tmp_path, f"{split}/labels/detections.csv", "0001,x,/m/01,1,0,0.5,0,0.5,0,0,0,0,0")
        (tmp_path / split / "metadata").mkdir()
        (tmp_path / split / "metadata" / "classes.csv").write_text("/m/01,Cat\n")
    known = recognize(tmp_path)
    assert known is not None
    assert (known.train, known.val) == (("train/labels/detections.csv",), ("validation/labels/detections.csv",))
    images = load_openimages(tmp_path, "train/labels/detections.csv", strict=True)
    assert (images.file_name(0), images.class_names) == ("train/data/0001.png", ("Cat",))


def test_ids_without_names_and_bad_rows_are_told(tmp_path: Path, write_picture: Write) -> None:
    write_picture(tmp_path / "0001.png")
    split = write(
        tmp_path,
        "train.csv",
        "0001,x,/m/01,1,0,0.5,0,0.5,0,0,0,0,0",
        "0001,x,/m/01,1,nan,0.5,0,0.5,0,0,0,0,0",
        "0001,x,/m/01,1,0,0.5,0",
        ",x,/m/01,1,0,0.5,0,0.5,0,0,0,0,0",
        "../../etc/passwd,x,/m/01,1,0,0.5,0,0.5,0,0,0,0,0",
    )
    images = load_openimages(tmp_path, split)
    assert images.class_names == ("/m/01",)
    assert images.problem_counts() == {"annotation malformed": 3, "written otherwise": 1, "file not read": 1}
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="this is no table of Open Images' boxes"):
        load_openimages(tmp_path, "other.csv")
