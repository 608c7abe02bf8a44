from pathlib import Path

import pytest

from detres.data.formats.labels.splits import existing_file, has_split, place_of_split
from detres.errors import DataError


@pytest.mark.parametrize(
    ("split", "file", "images", "subset"),
    [
        ("a.csv", "a.csv", None, None),
        ("a.csv:pictures/train", "a.csv", "pictures/train", None),
        ("a.csv#TRAIN", "a.csv", None, "train"),
        ("a.csv:pictures#Train", "a.csv", "pictures", "train"),
        ("odd#1.csv", "odd#1.csv", None, None),
        ("odd:1.csv", "odd:1.csv", None, None),
        ("odd#1.csv#val", "odd#1.csv", None, "val"),
    ],
)
def test_the_file_that_is_there_decides(
    tmp_path: Path, split: str, file: str, images: str | None, subset: str | None
) -> None:
    (tmp_path / file).write_text("")
    place = place_of_split(tmp_path, split)
    assert (place.file, place.shown, place.subset) == (tmp_path / file, file, subset)
    assert place.images == (None if images is None else tmp_path / images)
    assert has_split(tmp_path, split)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    assert not has_split(tmp_path, "a.csv:images#train")
    with pytest.raises(DataError, match=r"a\.csv: there is no such label file"):
        existing_file(place_of_split(tmp_path, "a.csv"))
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(DataError, match="images: there is no such folder of images"):
        existing_file(place_of_split(tmp_path, "a.csv:images"))
