import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.commands.main import main
from detres.config.classification_schema import ClassificationDataConfig
from detres.data.classification.checking import check_classified
from detres.errors import DataError


@pytest.fixture
def root(tmp_path: Path, write_picture: Callable[..., Path]) -> Path:
    """Three cats, one of them damaged, and two dogs; the val's only cat is one of those to train on."""
    for i, (name, height) in enumerate((("cat/a", 8), ("cat/b", 20), ("cat/c", 8), ("dog/a", 12), ("dog/b", 8))):
        write_picture(tmp_path / "train" / f"{name}.png", height, 10, seed=i)
    file = tmp_path / "train" / "cat" / "c.png"
    file.write_bytes(file.read_bytes()[:-40])
    for name in ("cat", "dog"):
        (tmp_path / "val" / name).mkdir(parents=True)
    shutil.copy(tmp_path / "train" / "cat" / "a.png", tmp_path / "val" / "cat" / "same.png")
    write_picture(tmp_path / "val" / "dog" / "z.png", 9, 9, seed=77)
    return tmp_path


def test_a_report_counts_what_is_there_and_what_is_wrong(root: Path) -> None:
    train, val = check_classified(ClassificationDataConfig(format="folder", root=str(root), strict=True))
    assert (train.split, train.images, train.images_per_class) == ("train", 5, {"cat": 3, "dog": 2})
    assert train.image_sizes == ((8, 10), (20, 10))
    assert [(problem.kind, problem.file) for problem in train.problems] == [("image unreadable", "train/cat/c.png")]
    assert (val.repeated, val.unlabelled) == (1, 0)
    (problem,) = val.problems
    assert str(problem) == f"image repeated: val/cat/same.png: the same bytes as train/cat/a.png of {root.name}/train"


def test_a_config_without_splits_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="names no split"):
        check_classified(ClassificationDataConfig(format="folder", root=str(root), train=(), val=()))


def test_the_command_takes_a_folder_of_class_folders(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check_data", "--data", str(root)]) == 0
    said = capsys.readouterr().out
    assert f"train: {root.name}/train, 5 images of 10x8 to 10x20 pixels in 2 classes" in said
    assert "  images of a class: cat 3, dog 2" in said
    assert "  1 problem: image unreadable 1" in said
    assert main(["check_data", "--data", str(root), "--fix", str(root / "fixed")]) == 2
    assert "--fix writes annotations of boxes" in capsys.readouterr().err


def test_the_command_tells_a_half_unpacked_set_in_one_message(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / ".x.tar.unpacking").touch()
    (root / "mine.yaml").write_text("format: folder\ntrain: train\n")
    assert main(["check_data", "--data", str(root / "mine.yaml")]) == 2
    assert capsys.readouterr().err.startswith("DataError: ")
