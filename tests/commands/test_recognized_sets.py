"""--data FOLDER through the commands: what they say of a set that nobody described."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tiny: Any, tmp_path: Path) -> Path:
    """A set as labelImg leaves it: each XML beside its picture."""
    place = tmp_path / "birds"
    shutil.copytree(tiny.root / "JPEGImages", place)
    shutil.copytree(tiny.root / "Annotations", place, dirs_exist_ok=True)
    return place


def test_check_data_reads_a_bare_folder_and_an_archive_of_it(done: Callable[..., str], folder: Path) -> None:
    told = done("check_data", "--data", folder)
    assert told.startswith(f"--data {folder}: read as voc (birds/ holds ")
    assert "\ntrain: birds, " in told
    assert "\nval: a part of birds, " in told
    archive = shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
    packed = done("check_data", "--data", archive)
    assert f"unpacked to {archive}.unpacked: in birds/, read as voc" in packed
    assert packed.splitlines()[1:] == told.splitlines()[1:]


def test_what_was_guessed_is_taken_back_by_keys(done: Callable[..., str], folder: Path) -> None:
    told = done("check_data", "--data", folder, "data.val_fraction=0")
    assert "\ntrain: birds, " in told
    assert "\nval: " not in told


def test_the_keys_alone_choose_a_set_without_a_config(
    done: Callable[..., str], refused: Callable[..., str], folder: Path
) -> None:
    assert done("check_data", "data.format=voc", f"data.root={folder}", "data.train=.").startswith("train: birds, ")
    assert "name a set with --cfg or --data" in refused("check_data", f"data.root={folder}")


def test_pictures_are_drawn_of_a_bare_folder(done: Callable[..., str], folder: Path, tmp_path: Path) -> None:
    told = done("visualize", "--data", folder, "--limit", "1", "--out", tmp_path / "out")
    assert told.startswith(f"--data {folder}: read as voc")
    assert (tmp_path / "out" / "sheet.png").is_file()


def test_one_picture_is_no_set_to_train_on_and_says_how_it_may_be(refused: Callable[..., str], folder: Path) -> None:
    kept = sorted(folder.glob("*.xml"))[0].stem
    for file in folder.iterdir():
        if file.stem != kept:
            file.unlink()
    message = refused("check_data", "--data", folder, kind="DataError")
    assert "of 1 image leaves none to train on; bring more" in message
    assert "learn without measuring, with data.val_fraction=0" in message


@pytest.mark.slow
def test_training_and_evaluation_take_a_bare_folder(
    done: Callable[..., str], folder: Path, tiny: Any, trained: Path, tmp_path: Path
) -> None:
    told = done("train_det", "--cfg", tiny.cfg, "--data", folder, "--dry-run", "--device", "cpu")
    assert f"--data {folder}: read as voc" in told
    assert "val_groups: near_duplicates" in told
    told = done("eval_det", "--weights", trained, "--data", folder, "--out", tmp_path / "eval", "--device", "cpu")
    assert f"--data {folder}: read as voc" in told
    assert (tmp_path / "eval" / "metrics.json").is_file()
