import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.data_file import load_data_file
from detres.data.detection.datasets import load_dataset
from detres.data.formats.yolo.labels import label_file
from detres.data.formats.yolo.reading import load_yolo
from detres.errors import DataError


def test_shares_and_polygons_become_pixels(yolo_root: Path) -> None:
    dataset = load_yolo(yolo_root, "images/train")
    assert dataset.class_names == ("cat", "dog")
    target = dataset.target(0)
    assert target.labels.tolist() == [1, 0]
    assert [[round(value, 3) for value in box] for box in target.boxes.tolist()] == [[15, 15, 45, 25], [6, 4, 18, 20]]
    assert dataset.image_id(0) == "a"


def test_bad_lines_are_counted_and_an_image_without_labels_is_empty(yolo_root: Path) -> None:
    dataset = load_yolo(yolo_root, "images/train")
    assert dataset.problem_counts() == {
        "annotation malformed": 2,
        "unknown class": 1,
        "box without area": 1,
        "box outside the image": 1,
    }
    assert [len(dataset.target(i)) for i in range(3)] == [2, 1, 0]
    with pytest.raises(DataError, match="5 problems"):
        load_yolo(yolo_root, "images/train", strict=True)


def test_a_list_of_files_works_as_a_folder_does(yolo_root: Path) -> None:
    (yolo_root / "train.txt").write_text("./images/train/a.png\n\n./images/train/b.png\n")
    assert [load_yolo(yolo_root, "train.txt").file_name(i) for i in range(2)] == [
        "images/train/a.png",
        "images/train/b.png",
    ]


def test_stems_that_stand_twice_get_their_folder(yolo_root: Path, write_picture) -> None:
    write_picture(yolo_root / "images" / "val" / "a.png")
    dataset = load_yolo(yolo_root, "images")
    assert dataset.image_id(0) == "images/train/a"
    assert len(dataset) == 4


def test_labels_lie_in_the_mirror_of_the_last_images_folder(yolo_root: Path) -> None:
    assert label_file(yolo_root / "images" / "train" / "a.png") == yolo_root / "labels" / "train" / "a.txt"
    assert label_file(Path("/x/images/y/a.png")) == Path("/x/images/y/a.txt")


def test_missing_names_and_folders_are_said(yolo_root: Path) -> None:
    with pytest.raises(DataError, match="no such folder or list"):
        load_yolo(yolo_root, "images/trian")
    (yolo_root / "data.yaml").write_text("names: {0: cat, 2: dog}\n")
    with pytest.raises(DataError, match="one name for each number"):
        load_yolo(yolo_root, "images/train")
    (yolo_root / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"data\.yaml.*classes\.txt"):
        load_yolo(yolo_root, "images/train")
    (yolo_root / "classes.txt").write_text("cat\ndog\n")
    assert load_yolo(yolo_root, "images/train").class_names == ("cat", "dog")


# Where pictures and labels lie.


def files_of(images) -> list[str]:
    return [images.file_name(i) for i in range(len(images))]


def test_labels_of_a_linked_split_lie_beside_the_link(yolo_root: Path) -> None:
    (yolo_root / "store").mkdir()
    (yolo_root / "images" / "train").rename(yolo_root / "store" / "pool")
    (yolo_root / "images" / "train").symlink_to("../store/pool")
    content = "path: .\ntrain: images/train\nnames: [cat, dog]\n"
    (yolo_root / "data.yaml").write_text(content)
    (yolo_root / "own.yaml").write_text("format: yolo\nroot: .\ntrain: images/train\n")
    for file in ("data.yaml", "own.yaml"):
        images = load_dataset(load_data_file(yolo_root / file), "train")
        assert (files_of(images)[0], len(images), len(images.boxes)) == ("images/train/a.png", 3, 3)


def test_nested_and_linked_folders_of_images_have_nested_labels(yolo_root: Path, write_picture) -> None:
    write_picture(yolo_root / "images" / "train" / "cam2" / "a.png")
    (yolo_root / "images" / "train" / "cam2" / "loop").symlink_to("..")
    (yolo_root / "labels" / "train" / "cam2").mkdir()
    (yolo_root / "labels" / "train" / "cam2" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    images = load_yolo(yolo_root, "images/train")
    assert files_of(images) == [f"images/train/{name}.png" for name in ("a", "b", "c", "cam2/a")]
    assert len(images.target(3)) == 1


def test_hidden_files_are_no_images_and_no_labels(yolo_root: Path, write_picture) -> None:
    write_picture(yolo_root / "images" / "train" / ".ipynb_checkpoints" / "a-checkpoint.png")
    (yolo_root / "images" / "train" / "._a.png").touch()
    (yolo_root / "labels" / "train" / "._a.txt").touch()
    (yolo_root / "labels" / "train" / ".ipynb_checkpoints").mkdir()
    (yolo_root / "labels" / "train" / ".ipynb_checkpoints" / "d.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (yolo_root / "labels" / "train" / "b.txt").unlink()
    images = load_yolo(yolo_root, "images/train", strict=True)
    assert (len(images), images.problems) == (3, ())


def test_what_lies_there_and_is_not_read_is_told_in_a_line_and_nobodys_mistake(yolo_root: Path) -> None:
    for stem in ("b", "c"):
        (yolo_root / "labels" / "train" / f"{stem}.txt").write_text("")
    for name in ("images/train/d.heic", "images/train/e.gif", "labels/train/d.txt", "labels/train/classes.txt"):
        (yolo_root / name).touch()
    images = load_yolo(yolo_root, "images/train", strict=True)
    assert [(problem.kind, problem.file) for problem in images.problems] == [
        ("file not read", "images/train"),
        ("file not read", "labels/train"),
    ]
    assert "2 files are no images by their endings (.gif, .heic) and not read: d.heic, e.gif" in str(images.problems[0])
    assert images.problems[1].detail == "1 label files belong to no image: d.txt"


@pytest.mark.parametrize("split", ["images/train", "train.txt"])
@pytest.mark.parametrize("where", ["labels/train", "images/train"])
@pytest.mark.parametrize("name", ["C.txt", "c.png.txt", "C.PNG.TXT"])
def test_a_label_file_that_differs_in_capitals_or_by_an_ending_is_its_images(
    yolo_root: Path, split: str, where: str, name: str
) -> None:
    (yolo_root / "train.txt").write_text("images/train/a.png\nimages/train/c.png\n")
    (yolo_root / where / name).write_text("0 0.5 0.5 0.5 0.5\n")
    images = load_yolo(yolo_root, split)
    assert len(images.target(len(images) - 1)) == 1
    (problem,) = [problem for problem in images.problems if problem.kind == "written otherwise"]
    assert problem.detail.startswith("1 label files are named as their images")
    assert f"{name} of c.png" in str(problem)


@pytest.mark.parametrize("split", ["images/train", "train.txt"])
@pytest.mark.parametrize("where", ["labels/train", "images/train"])
def test_labels_of_no_image_are_no_harmless_thing_where_images_have_none(
    yolo_root: Path, split: str, where: str
) -> None:
    (yolo_root / "train.txt").write_text("images/train/c.png\n")
    (yolo_root / "labels" / "train" / "b.txt").write_text("")
    (yolo_root / where / "c_1.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (yolo_root / "images" / "train" / "notes.txt").write_text("taken in May\n")
    (problem,) = [p for p in load_yolo(yolo_root, split).problems if p.kind == "annotation missing"]
    assert problem.file == where
    assert problem.detail.startswith("1 label files belong to no image: c_1.txt; 1 images have none")
    with pytest.raises(DataError, match="belong to no image"):
        load_yolo(yolo_root, split, strict=True)


@pytest.mark.parametrize("split", ["images/train", "train.txt"])
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda label: label.mkdir(), "a folder"),
        (lambda label: label.symlink_to("nowhere"), "a link that leads nowhere"),
        (os.mkfifo, "a pipe, socket or device"),
    ],
)
def test_what_has_a_label_files_name_and_is_no_file_costs_its_image(
    yolo_root: Path, make: Callable[[Path], None], what: str, split: str
) -> None:
    (yolo_root / "train.txt").write_text("images/train/a.png\nimages/train/b.png\nimages/train/c.png\n")
    label = yolo_root / "labels" / "train" / "b.txt"
    label.unlink()
    make(label)
    images = load_yolo(yolo_root, split)
    assert "images/train/b.png" not in files_of(images)
    (problem,) = images.problems
    assert (problem.kind, problem.file, problem.costs_image) == ("annotation malformed", "labels/train/b.txt", True)
    assert problem.detail.startswith(f"it is {what}, not a file; ")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_lists_name_images_and_labels_in_any_form_of_unicode(yolo_root: Path, write_picture, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    write_picture(yolo_root / "images" / "train" / unicodedata.normalize(form, "é.png"))
    for each in (form, other):
        label = yolo_root / "labels" / "train" / unicodedata.normalize(each, "é.txt")
        label.write_text("0 0.5 0.5 0.5 0.5\n")
        (yolo_root / "train.txt").write_text(unicodedata.normalize(other, "images/train/é.png"))
        images = load_yolo(yolo_root, "train.txt", strict=True)
        assert (files_of(images), len(images.boxes)) == ([unicodedata.normalize(form, "images/train/é.png")], 1)
        label.unlink()


def test_names_that_look_alike_are_told(yolo_root: Path) -> None:
    (yolo_root / "data.yaml").write_text("names: [cat, Cat]\n")
    assert load_yolo(yolo_root, "images/train").problem_counts()["class names look alike"] == 1


def test_a_number_of_classes_that_is_not_that_of_the_names_is_told(yolo_root: Path) -> None:
    (yolo_root / "data.yaml").write_text("nc: 3\nnames: [cat, dog]\n")
    assert "written otherwise: data.yaml: nc is 3, and it has 2 names" in str(
        load_yolo(yolo_root / "data.yaml", "images/train").problems[0]
    )
    (yolo_root / "data.yaml").write_text("nc: 2\nnames: [cat, dog]\n")
    assert "written otherwise" not in load_yolo(yolo_root, "images/train").problem_counts()


def test_a_mask_beside_a_photo_does_not_get_its_labels(yolo_root: Path, write_picture) -> None:
    write_picture(yolo_root / "images" / "train" / "a.jpg")
    write_picture(yolo_root / "images" / "train" / "c.jpg")
    images = load_yolo(yolo_root, "images/train")
    assert files_of(images) == [f"images/train/{name}" for name in ("a.jpg", "b.png", "c.jpg", "c.png")]
    assert [images.image_id(i) for i in range(4)] == [
        f"images/train/{name}" for name in ("a.jpg", "b.png", "c.jpg", "c.png")
    ]
    (problem,) = [problem for problem in images.problems if problem.kind == "picture in doubt"]
    assert (problem.file, problem.costs_image) == ("images/train/a.png", True)
    assert problem.detail == "a.jpg has the same label file, labels/train/a.txt, and is taken; left out"


def test_a_set_without_any_label_file_says_where_they_were_looked_for(yolo_root: Path) -> None:
    (yolo_root / "labels").rename(yolo_root / "lables")
    (problem,) = load_yolo(yolo_root, "images/train").problems
    assert (problem.kind, problem.file) == ("set without annotations", "images/train")
    assert f"such as a.txt in {yolo_root / 'labels' / 'train'} or beside it" in problem.detail


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["train.txt", "TRAIN.TXT"])
def test_lists_of_any_editor_name_their_images(yolo_root: Path, write_picture, encoding: str, name: str) -> None:
    write_picture(yolo_root / "images" / "train" / "IMG 001 (2).png")
    lines = ["images/train/a.png ", "images\\train\\b.png", "", ".\\images\\train\\IMG 001 (2).png"]
    (yolo_root / name).write_bytes("\r\n".join([*lines, f"{yolo_root}/images/train/c.png"]).encode(encoding))
    images = load_yolo(yolo_root, name)
    assert files_of(images) == [f"images/train/{stem}.png" for stem in ("a", "b", "IMG 001 (2)", "c")]
    assert len(images.target(0)) == 2


def test_a_name_that_is_no_utf_8_is_told(yolo_root: Path) -> None:
    (yolo_root / "images" / "train" / "c.png").rename(yolo_root / "images" / "train" / os.fsdecode(b"\xe9.png"))
    images = load_yolo(yolo_root, "images/train")
    assert len(images) == 2
    assert [str(problem) for problem in images.problems if problem.kind == "image unreadable"] == [
        "image unreadable: \ufffd.png: its name is no UTF-8; rename it; left out"
    ]


# Names that lead out of the set.


@pytest.fixture
def secret(yolo_root: Path, tmp_path_factory: pytest.TempPathFactory, write_picture) -> Path:
    return write_picture(tmp_path_factory.mktemp("private") / "secret.png")


@pytest.mark.parametrize("form", ["{}", "images/../{up}", "{up}", "./{up}", "images/train/../../{up}"])
def test_a_list_names_nothing_outside_the_set(yolo_root: Path, secret: Path, form: str) -> None:
    line = form.format(secret, up=os.path.relpath(secret, yolo_root))
    (yolo_root / "train.txt").write_text(f"images/train/a.png\n{line}\n")
    for root in (yolo_root, yolo_root / "data.yaml"):
        images = load_yolo(root, "train.txt")
        assert files_of(images) == ["images/train/a.png"]
        (problem,) = images.problems
        assert (problem.kind, problem.file) == ("name outside the set", "train.txt")


def test_a_list_that_is_named_by_its_full_path_names_images_anywhere(yolo_root: Path, secret: Path) -> None:
    listed = yolo_root / "train.txt"
    listed.write_text(f"images/train/a.png\n{secret}\n")
    content = f"train: {listed}\nval: train.txt\nnames: [cat, dog]\n"
    (yolo_root / "data.yaml").write_text(content)
    assert len(load_dataset(load_data_file(yolo_root / "data.yaml"), "train")) == 2
    (yolo_root / "own.yaml").write_text(f"format: yolo\nroot: .\ntrain: {listed}\nval: train.txt\n")
    own = load_data_file(yolo_root / "own.yaml")
    assert (len(load_dataset(own, "train")), len(load_dataset(own, "val"))) == (2, 1)
    (yolo_root / "data.yaml").write_text(content.replace(f"train: {listed}", "train: train.txt"))
    assert len(load_dataset(load_data_file(yolo_root / "data.yaml"), "train")) == 1


def test_a_list_names_images_below_the_path_that_the_yaml_states(yolo_root: Path, secret: Path) -> None:
    (yolo_root / "train.txt").write_text(f"images/train/a.png\n{secret}\nsecret.png\n")
    path = os.path.relpath(secret.parent, yolo_root)
    for form in (path, path.replace("/", "\\")):
        (yolo_root / "data.yaml").write_text(f"path: {form}\ntrain: train.txt\nnames: [cat, dog]\n")
        images = load_yolo(yolo_root / "data.yaml", "train.txt")
        assert len(images) == 2
        assert [problem.kind for problem in images.problems] == ["image repeated"]  # secret.png stands there twice


# Classes.


def test_a_yaml_of_ours_called_data_yaml_leaves_the_names_to_classes_txt(yolo_root: Path) -> None:
    (yolo_root / "data.yaml").write_text("format: yolo\nroot: .\ntrain: images/train\n")
    (yolo_root / "classes.txt").write_bytes("\ufeffcat \r\ndog\r\n\r\n".encode())
    for given in (yolo_root, yolo_root / "data.yaml"):
        images = load_dataset(load_data_file(given), "train")
        assert (images.class_names, len(images.boxes)) == (("cat", "dog"), 3)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("file", ["classes.txt", "data.yaml"])
def test_class_names_of_any_editor(yolo_root: Path, encoding: str, file: str) -> None:
    (yolo_root / "data.yaml").unlink()
    text = "猫\r\nsalt & pepper\r\n" if file == "classes.txt" else "names:\r\n  - 猫\r\n  - salt & pepper\r\n"
    (yolo_root / file).write_bytes(text.encode(encoding))
    assert load_yolo(yolo_root, "images/train").class_names == ("猫", "salt & pepper")


@pytest.mark.parametrize("file", ["classes.txt", "data.yaml"])
def test_class_names_in_a_code_page_name_file_and_encoding(yolo_root: Path, file: str) -> None:
    (yolo_root / "data.yaml").unlink()
    (yolo_root / file).write_bytes("names:\n- 狗".encode("gbk"))
    with pytest.raises(DataError, match=rf"{file}: line 2 is no UTF-8 text"):
        load_yolo(yolo_root, "images/train")


def test_an_empty_line_among_class_names_is_asked_about(yolo_root: Path) -> None:
    (yolo_root / "data.yaml").unlink()
    (yolo_root / "classes.txt").write_text("cat\n\ndog\n")
    with pytest.raises(DataError, match="line 2 is empty, and lines are counted"):
        load_yolo(yolo_root, "images/train")


@pytest.mark.parametrize("names", ["{0: no, 1: yes}", "[cat, ~]", "[cat, [dog]]", "['', dog]"])
def test_a_name_that_yaml_reads_as_something_else_is_refused(yolo_root: Path, names: str) -> None:
    (yolo_root / "data.yaml").write_text(f"names: {names}\n")
    with pytest.raises(DataError, match=r"names: number \d reads as .*put it in quotes"):
        load_yolo(yolo_root, "images/train")


@pytest.mark.parametrize("names", ["{'0': cat, 1: dog}", "{1: dog, 0: cat}", "{0.0: cat, '1': dog}"])
def test_numbers_of_names_may_be_text(yolo_root: Path, names: str) -> None:
    (yolo_root / "data.yaml").write_text(f"names: {names}\n")
    assert load_yolo(yolo_root, "images/train").class_names == ("cat", "dog")


@pytest.mark.parametrize(
    "names", ["{'²': cat, 1: dog}", "{0: cat, '0': dog}", "{true: cat, 0: dog}", f"{{{10**15}: cat}}"]
)
def test_numbers_of_names_that_are_none_are_refused(yolo_root: Path, names: str) -> None:
    (yolo_root / "data.yaml").write_text(f"names: {names}\n")
    with pytest.raises(DataError, match="one name for each number from 0 on"):
        load_yolo(yolo_root, "images/train")


def test_two_classes_of_one_name_are_one_and_said(yolo_root: Path) -> None:
    (yolo_root / "data.yaml").write_text("names: [dog, dog, cat]\n")
    images = load_yolo(yolo_root, "images/train")
    assert images.class_names == ("dog", "cat")
    assert str(images.problems[0]) == "class named twice: data.yaml: dog; its boxes are of one class"
    (yolo_root / "data.yaml").write_text("format: yolo\n")
    (yolo_root / "classes.txt").write_text("dog\ndog\ncat\n")
    for root in (yolo_root, yolo_root / "data.yaml"):
        assert load_yolo(root, "images/train").problems[0].file == "classes.txt"
