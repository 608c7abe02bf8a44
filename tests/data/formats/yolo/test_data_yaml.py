"""A data.yaml that names what is not there, beside folders that are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.formats.yolo.data_yaml import Described, data_of_yaml


@pytest.fixture
def described(tmp_path: Path, write_picture: Callable[..., Path]) -> Callable[..., Described]:
    """What a yaml of these keys means beside these folders of images."""

    def describe(folders: str, **keys: object) -> Described:
        for folder in folders.split():
            write_picture(tmp_path / folder / "a.png")
        (tmp_path / "data.yaml").touch()
        return data_of_yaml({"names": ["cat"], **keys}, tmp_path / "data.yaml")

    return describe


@pytest.mark.parametrize(
    ("stated", "there"),
    [
        ("../val/images", "valid/images"),
        ("val/images", "images/val"),
        ("images/val", "val/images"),
        ("images/val", "valid/images"),
        ("../valid", "val"),
        ("/content/set-1/valid/images", "valid/images"),
        ("/content/set-1/valid/images", "set-1/valid/images"),
        ("dev", "validation/images"),
    ],
)
def test_a_val_that_is_not_there_is_the_folder_that_must_be_meant(
    described: Callable[..., Described], tmp_path: Path, stated: str, there: str
) -> None:
    data, said = described(f"train/images {there}", train="train/images", val=stated)
    assert data.val == (str(tmp_path / there),)
    assert said == (f"data.yaml: val: {stated} is not there; {there} is taken for it",)


@pytest.mark.parametrize(
    ("folders", "stated"),
    [
        ("train/images", "valid/images"),
        ("train/images images", "valid/images"),  # images/ alone would be any split's
        ("train/images test/images", "valid/images"),
        ("train/images valid", "val.txt"),
    ],
)
def test_what_cannot_be_meant_is_taken_for_nothing(
    described: Callable[..., Described], tmp_path: Path, folders: str, stated: str
) -> None:
    data, said = described(folders, train="train/images", val=stated)
    assert (data.val, said) == ((str(tmp_path / stated),), ())


def test_a_folder_that_another_split_has_is_not_taken_twice(
    described: Callable[..., Described], tmp_path: Path
) -> None:
    data, said = described("valid/images", train="valid/images", val="val/images")
    assert (data.val, said) == ((str(tmp_path / "val" / "images"),), ())


def test_a_val_that_the_yaml_does_not_name_is_told_and_not_used(
    described: Callable[..., Described], tmp_path: Path
) -> None:
    data, said = described("train/images valid/images", train="train/images")
    assert data.val == ()
    assert said == (
        "data.yaml names no val, so valid/images/ is not used; `val: valid/images` there, or "
        f"data.val=[{tmp_path}/valid/images], uses it",
    )
    assert described("val/images", train="train/images", val="val/images").said == ()
