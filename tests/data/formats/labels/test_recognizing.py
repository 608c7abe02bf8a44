from pathlib import Path

import pytest

from detres.data.formats.labels.recognizing import candidate_files, recognize_files
from detres.errors import DataError


def recognize(place: Path, **more: object) -> dict[str, tuple[str, ...]] | None:
    found = recognize_files(place, ".x", lambda file: file.read_text() == "ours", "ours", "what", **more)  # type: ignore[arg-type]
    return None if found is None else {"train": found.train, "val": found.val, "test": found.test}


def write(root: Path, *names: str, text: str = "ours") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_splits_are_told_by_the_names_of_files_or_folders(tmp_path: Path) -> None:
    write(tmp_path, "train/_a.x", "valid/_a.x", "test/_a.x")
    write(tmp_path, "train/other.x", text="theirs")
    assert recognize(tmp_path) == {"train": ("train/_a.x",), "val": ("valid/_a.x",), "test": ("test/_a.x",)}
    assert recognize(tmp_path / "valid" / "_a.x") == {"train": ("_a.x",), "val": (), "test": ()}
    assert recognize(tmp_path / "train" / "other.x") is None


def test_files_by_their_own_words(tmp_path: Path) -> None:
    write(tmp_path, "labels-train2017.x", "labels-VAL.x")
    assert recognize(tmp_path) == {"train": ("labels-train2017.x",), "val": ("labels-VAL.x",), "test": ()}


def test_one_file_of_no_word_is_for_training(tmp_path: Path) -> None:
    write(tmp_path, "boxes.x")
    assert recognize(tmp_path) == {"train": ("boxes.x",), "val": (), "test": ()}


def test_subsets_of_the_one_file_are_its_splits(tmp_path: Path) -> None:
    write(tmp_path, "boxes.x")
    assert recognize(tmp_path, subsets=lambda file: ["TRAIN", "UNASSIGNED", "Validation"]) == {
        "train": ("boxes.x#TRAIN", "boxes.x#UNASSIGNED"),
        "val": ("boxes.x#Validation",),
        "test": (),
    }
    for alone in ([], [""], ["TRAIN"], ["train", ""]):
        assert recognize(tmp_path, subsets=lambda file, found=alone: found) == {
            "train": ("boxes.x",),
            "val": (),
            "test": (),
        }


def test_which_is_which_is_asked(tmp_path: Path) -> None:
    write(tmp_path, "one.x", "two.x")
    with pytest.raises(DataError, match=r"it holds the label files one\.x, two\.x, .*\n  format: ours\n") as error:
        recognize(tmp_path)
    assert "train: one.x" in str(error.value)


def test_a_folder_of_hundreds_is_another_thing_and_is_not_looked_into(tmp_path: Path) -> None:
    write(tmp_path, *(f"many/{number}.x" for number in range(300)), "train.x")
    assert recognize(tmp_path) == {"train": ("train.x",), "val": (), "test": ()}
    assert candidate_files(tmp_path / "absent", ".x") == []


def test_folders_are_looked_into_as_deep_as_is_said(tmp_path: Path) -> None:
    write(tmp_path, "train/labels/a.x")
    assert recognize(tmp_path) is None
    assert recognize(tmp_path, deep=2) == {"train": ("train/labels/a.x",), "val": (), "test": ()}
