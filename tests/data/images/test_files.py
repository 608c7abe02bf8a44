"""Which files of a folder are images: the same for every reader of folders."""

import os
from pathlib import Path

import pytest

from detres.data.formats.class_folders import load_folder
from detres.data.images.files import find_images, list_images
from detres.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names_in(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_images(folder)]


def test_endings_of_all_that_is_decoded_count_in_any_case(tmp_path: Path) -> None:
    names = ["a.JPG", "b.jpe", "c.jfif", "d.JPEG", "e.mpo", "f.dib", "g.ppm", "h.TIF", "i.webp"]
    assert names_in(touch(tmp_path, *names)) == names


def test_what_systems_and_notebooks_leave_is_hidden(tmp_path: Path) -> None:
    left = [".ipynb_checkpoints/a-checkpoint.jpg", "._a.jpg", "__MACOSX/b.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg"]
    assert names_in(touch(tmp_path, "a.jpg", "d/b.jpg", "d/.c/e.jpg", *left)) == ["a.jpg", "d/b.jpg"]


def test_linked_folders_and_images_are_found_under_the_links_names(tmp_path: Path) -> None:
    touch(tmp_path / "store", "pool/a.jpg", "b.jpg")
    touch(tmp_path / "set", "own/c.jpg")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "store" / "pool")
    (tmp_path / "set" / "b.jpg").symlink_to(tmp_path / "store" / "b.jpg")
    (tmp_path / "all").symlink_to("set")
    for folder in ("set", "all"):
        assert names_in(tmp_path / folder) == ["b.jpg", "linked/a.jpg", "own/c.jpg"]


def test_links_that_lead_back_end_and_no_image_comes_twice(tmp_path: Path) -> None:
    touch(tmp_path, "set/a.jpg", "set/z/b.jpg", "other/c.jpg")
    for name, target in (("set/loop", "set"), ("set/again", "set/z"), ("set/z/up", "."), ("other/back", "set")):
        (tmp_path / name).symlink_to(tmp_path / target)
    (tmp_path / "set" / "self").symlink_to("self")
    assert names_in(tmp_path / "set") == ["a.jpg", "z/b.jpg"]


def test_folders_that_link_to_each_other_are_read_in_time_that_grows_with_their_number(tmp_path: Path) -> None:
    folders = [tmp_path / str(i) for i in range(12)]
    for folder in folders:
        touch(folder, "a.jpg")
    for folder in folders:
        for other in folders:
            (folder / other.name).symlink_to(other)
    assert len(find_images(tmp_path)) == len(folders)


def test_a_link_that_leads_nowhere_is_an_image_that_is_missing_and_a_pipe_is_none(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nothing.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert names_in(tmp_path) == ["gone.jpg"]
    assert list_images(tmp_path).others == ["pipe.jpg"]


def test_what_is_neither_an_image_nor_beside_images_by_habit_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.heic", "c.gif", "d", "a.txt", "data.yaml", "train.cache", "e/f.HEIC")
    assert sorted(list_images(tmp_path).others) == ["b.heic", "c.gif", "d", "e/f.HEIC"]
    assert list_images(tmp_path / "absent") == ([], [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(DataError, match="closed: this folder cannot be read"):
        find_images(tmp_path)


def test_class_folders_hold_the_same_images(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.jfif", "cat/._a.jpg", "cat/.ipynb_checkpoints/b.jpg", "cat/c.heic", "dog/d.jpg")
    touch(tmp_path, ".ipynb_checkpoints/cat/e.jpg", "__MACOSX/f.jpg")
    (tmp_path / "all").symlink_to(".")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "cat" / "loop").symlink_to(".")
    images = load_folder(tmp_path, ".")
    assert images.class_names == ("cat", "dog")
    assert [images.image_id(i) for i in range(len(images))] == ["cat/a.jfif", "dog/d.jpg"]
    (problem,) = images.problems
    assert (problem.kind, problem.file) == ("file not read", ".")
    assert "1 files are no images by their endings (.heic) and not read: cat/c.heic" in problem.detail
