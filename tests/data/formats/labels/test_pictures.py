import os
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.formats.labels.pictures import Pictures
from detres.data.problems import Problem

Write = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("set/train/a.jpg", "set/images/b.png", "set/images/deep/c.png", "set/d.jpg", "set/masks/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "secret.png").write_bytes(b"")
    return tmp_path / "set"


def place(root: Path, *names: object, beside: str = ".", named: str | None = None) -> str | tuple[str, str]:
    found = Pictures(root, root / beside, root / named if named else None).place(*names)
    return (found.kind, found.file) if isinstance(found, Problem) else found


def test_a_name_leads_beside_the_label_file_to_its_images_or_to_the_root(root: Path) -> None:
    assert place(root, "a.jpg", beside="train") == "train/a.jpg"
    assert place(root, "b.png") == "images/b.png"
    assert place(root, "deep/c.png") == "images/deep/c.png"
    assert place(root, "../d.jpg", beside="train") == "d.jpg"
    assert place(root, str(root / "d.jpg")) == "d.jpg"
    assert place(root, "images\\deep\\c.png") == "images/deep/c.png"


@pytest.mark.parametrize(
    "name",
    [
        *("/content/set/train/a.jpg", "C:\\Users\\me\\train\\a.jpg", "C:/x/a.jpg", "gs://bucket/a.jpg"),
        *("https://host/train/a.jpg", "../../elsewhere/a.jpg", "a"),
    ],
)
def test_a_path_of_another_machine_is_found_by_its_end(root: Path, name: str) -> None:
    assert place(root, name) == "train/a.jpg"


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.png", "../../etc/passwd", "/etc/passwd", "..\\secret.png", "file:///etc/passwd"),
        "images/../../x.png",
    ],
)
def test_nothing_outside_the_set_is_named(root: Path, name: str) -> None:
    assert place(root, name) == ("name outside the set", name)


def test_a_named_folder_is_the_only_one(root: Path) -> None:
    assert place(root, "a.jpg", named="train") == "train/a.jpg"
    assert place(root, "d.jpg", named="train") == "train/d.jpg"
    assert place(root, "../d.jpg", named="train") == ("name outside the set", "../d.jpg")


def test_two_pictures_of_one_name_are_told_apart_by_their_folders_or_not_at_all(root: Path) -> None:
    for folder in ("x/cam1", "x/cam2"):
        (root / folder).mkdir(parents=True)
        (root / folder / "e.png").write_bytes(b"")
    assert place(root, "/home/me/cam2/e.png") == "x/cam2/e.png"
    assert place(root, "/home/me/e.png") == ("picture in doubt", "/home/me/e.png")
    assert place(root, "f.png", "/y/cam1/e.png") == "x/cam1/e.png"


def test_of_an_id_the_photograph_is_taken_before_its_mask(root: Path) -> None:
    assert place(root, "d") == "d.jpg"


@pytest.mark.parametrize(
    "name", [None, 3, "", " ", "a\0.png", "\ud800.png", "x" * 300 + ".png", "y/" * 3000, ["a.jpg"]]
)
def test_what_no_file_can_be_called_is_told(root: Path, name: object) -> None:
    assert place(root, name)[0] == "image name unusable"


def test_links_are_the_owners_and_a_loop_ends(root: Path) -> None:
    (root / "link.png").symlink_to(root / "d.jpg")
    (root / "loop").symlink_to(root)
    (root / "outside").symlink_to(root.parent)
    assert place(root, "link.png") == "link.png"
    assert place(root, "/x/b.png") == "images/b.png"


def test_accents_of_either_form_are_one(root: Path) -> None:
    (root / "train" / "cafe\u0301.png").write_bytes(b"")
    assert place(root, "/x/caf\u00e9.png") == "train/cafe\u0301.png"


def test_what_is_nowhere_is_given_as_it_stands(root: Path) -> None:
    assert place(root, "z.png", beside="train") == "train/z.png"
    assert os.listdir(root)
