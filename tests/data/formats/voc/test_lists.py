"""What the lines of a VOC list mean, and which picture an entry has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.voc.reading import load_voc
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.errors import DataError

Write = Callable[..., Path]


class Builder:
    """A VOC folder, an annotation and a picture at a time."""

    def __init__(self, root: Path, write_picture: Write) -> None:
        self.root, self._write_picture = root, write_picture
        (root / "ImageSets" / "Main").mkdir(parents=True)

    def annotate(self, entry: str, file_name: str, *names: str) -> None:
        file = self.root / "Annotations" / f"{entry}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_annotation(file, file_name, (40, 60), [VocObject(name, (0, 0, 10, 20)) for name in names])

    def picture(self, *names: str) -> None:
        for name in names:
            self._write_picture(self.root / "JPEGImages" / name)

    def load(self, lines: str | bytes, **more: object) -> AnnotatedImages:
        content = lines.encode() if isinstance(lines, str) else lines
        (self.root / "ImageSets" / "Main" / "train.txt").write_bytes(content)
        return load_voc(self.root, "train", **more)


@pytest.fixture
def voc(tmp_path: Path, write_picture: Write) -> Builder:
    return Builder(tmp_path, write_picture)


def files_of(images: AnnotatedImages) -> list[str]:
    return [images.file_name(i).removeprefix("JPEGImages/") for i in range(len(images))]


@pytest.mark.parametrize(
    "line",
    ["a", "a ", "\ta", "a.jpg", "a.JPG", "a.xml", "./a", ".\\a", "a -1", "a  1", "a.jpg 0", "x/../a", "a\r"],
)
def test_all_that_people_write_for_an_entry_is_that_entry(voc: Builder, line: str) -> None:
    voc.annotate("a", "a.jpg", "cat")
    voc.picture("a.jpg")
    images = voc.load(f"\n{line}\n\n")
    assert (files_of(images), images.image_id(0), images.problems) == (["a.jpg"], "a", ())


@pytest.mark.parametrize("entry", ["a", "cam2/a"])
@pytest.mark.parametrize(
    "line",
    [
        *("JPEGImages/{}.jpg", "./JPEGImages/{}.jpg 1", "Annotations/{}.xml", "../../JPEGImages/{}.jpg"),
        *("{root}/JPEGImages/{}.jpg", "{root}/Annotations/{}", "./JPEGImages/{}"),
    ],
)
def test_paths_through_the_folders_of_the_set_are_entries(voc: Builder, line: str, entry: str) -> None:
    voc.annotate(entry, "a.jpg", "cat")
    voc.picture(f"{entry}.jpg")
    text = line.format(entry, root=voc.root.name)
    for each in (text, text.replace("/", "\\")):
        images = voc.load(each)
        assert (files_of(images), images.image_id(0), images.problems) == ([f"{entry}.jpg"], entry, ())


def test_a_path_through_a_folder_of_the_set_whose_annotation_is_missing_is_told_by_its_name(voc: Builder) -> None:
    voc.annotate("a", "a.jpg", "cat")
    voc.picture("a.jpg", "b.jpg")
    (problem,) = voc.load("a\nJPEGImages/b.jpg\n").problems
    assert (problem.kind, problem.file) == ("annotation missing", "Annotations/b.xml")
    (problem,) = voc.load("a\nother/JPEGImages/a.jpg\n").problems
    assert (problem.kind, problem.file) == ("annotation missing", "Annotations/other/JPEGImages/a.xml")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_of_windows_lose_no_line(voc: Builder, encoding: str) -> None:
    for stem in ("ä", "b"):
        voc.annotate(stem, f"{stem}.jpg", "cat")
        voc.picture(f"{stem}.jpg")
    assert files_of(voc.load("ä\r\nb\r\n".encode(encoding))) == ["ä.jpg", "b.jpg"]


def test_a_list_in_a_code_page_is_named(voc: Builder) -> None:
    with pytest.raises(DataError, match=r"train\.txt: line 1 is no UTF-8 text \(byte 0xe4\)"):
        voc.load("ä\n".encode("latin-1"))


@pytest.mark.parametrize("stem", ["IMG 001 (2)", "run 1", "a.jpg", "x.y", "back\\slash", "b -1"])
def test_the_whole_line_counts_where_that_file_is_there(voc: Builder, stem: str) -> None:
    for each in (stem, "IMG", "run", "a", "x", "b"):
        voc.annotate(each, f"{each}.jpg", "cat")
        voc.picture(f"{each}.jpg")
    images = voc.load(f"{stem}\n")
    assert (files_of(images), images.problems) == ([f"{stem}.jpg"], ())


def test_a_second_column_is_none_unless_it_says_whether_a_class_is_there(voc: Builder) -> None:
    voc.annotate("a", "a.jpg", "cat")
    voc.picture("a.jpg")
    voc.annotate("b", "b.jpg", "cat")
    voc.picture("b.jpg")
    (problem,) = voc.load("a 2\nb 1\n").problems
    assert (problem.kind, problem.file) == ("annotation missing", "Annotations/a 2.xml")


@pytest.mark.parametrize("line", ["cam2/a", "cam2\\a", "cam2/a.jpg", "{root}/JPEGImages/cam2/a.jpg"])
def test_an_entry_in_a_subfolder_has_the_picture_beside_it(voc: Builder, line: str) -> None:
    voc.annotate("a", "a.jpg", "cat")
    voc.annotate("cam2/a", "a.jpg", "dog")
    voc.picture("a.jpg", "cam2/a.jpg")
    images = voc.load("a\n" + line.format(root=voc.root))
    assert files_of(images) == ["a.jpg", "cam2/a.jpg"]
    assert images.class_names == ("cat", "dog")
    assert images.labels.tolist() == [0, 1]


def test_an_entry_in_a_subfolder_never_takes_the_picture_of_another(voc: Builder) -> None:
    voc.annotate("a", "a.jpg", "cat")
    voc.annotate("cam2/a", "a.jpg", "dog")
    voc.picture("a.jpg")
    (problem,) = voc.load("a\ncam2/a\n").problems
    assert (problem.kind, problem.file) == ("image missing", "JPEGImages/cam2/a.jpg")


@pytest.mark.parametrize("file_name", ["b.jpg", "C:\\photos\\b.jpg", "/home/me/b.jpg", "flat/b.jpg"])
def test_pictures_without_the_subfolder_of_their_annotations_are_found_by_file_name(
    voc: Builder, file_name: str
) -> None:
    voc.annotate("cam2/a", file_name, "dog")
    voc.picture("flat/b.jpg" if "flat" in file_name else "b.jpg")
    images = voc.load("cam2/a\n")
    assert files_of(images) == ["flat/b.jpg" if "flat" in file_name else "b.jpg"]


@pytest.mark.parametrize(
    ("file_name", "expected", "doubts"),
    [
        *(("a.jpg", "a.jpg", 0), ("a.png", "a.png", 0), ("A.PNG", "a.png", 0), ("d:\\x\\a.png", "a.png", 0)),
        *(("", "a.jpg", 1), ("old.jpg", "a.jpg", 1), ("a", "a.jpg", 1)),
    ],
)
def test_of_a_photo_and_its_mask_the_file_name_decides_else_the_photo_is_taken_and_said(
    voc: Builder, file_name: str, expected: str, doubts: int
) -> None:
    voc.annotate("a", file_name, "cat")
    voc.picture("a.jpg", "a.png")
    (voc.root / "JPEGImages" / "._a.jpg").touch()
    images = voc.load("a\n")
    assert files_of(images) == [expected]
    assert images.problem_counts() == ({"picture in doubt": 1} if doubts else {})


def test_a_file_name_from_before_renaming_is_passed_over_and_said_where_it_is_another_picture(voc: Builder) -> None:
    """Copies of an annotation, such as a mirrored image's, keep the <filename> of the first."""
    for stem in ("a", "a_mirrored", "c"):
        voc.annotate(stem, "a.jpg" if stem != "c" else "gone.jpg", "cat")
        voc.picture(f"{stem}.jpg")
    images = voc.load("a\na_mirrored\nc\n")
    assert files_of(images) == ["a.jpg", "a_mirrored.jpg", "c.jpg"]
    (problem,) = images.problems
    assert (problem.kind, problem.file) == ("picture in doubt", "Annotations/a_mirrored.xml")


def test_the_file_name_decides_where_no_picture_has_the_annotations_name(voc: Builder) -> None:
    voc.annotate("a", "b.jfif", "cat")
    voc.picture("c.jpg")
    (voc.root / "JPEGImages" / "c.jpg").rename(voc.root / "JPEGImages" / "b.jfif")
    assert files_of(voc.load("a\n")) == ["b.jfif"]


@pytest.mark.parametrize("line", ["../a", "..", "/etc/passwd", "x/../../a", "../JPEGImages/../../a", "/"])
def test_a_line_that_leads_out_of_the_set_is_left_out_and_said(voc: Builder, line: str) -> None:
    voc.annotate("b", "b.jpg", "cat")
    voc.picture("b.jpg")
    write_annotation(voc.root / "a.xml", "a.jpg", (40, 60), [VocObject("secret", (0, 0, 9, 9))])
    images = voc.load(f"b\n{line}\n")
    assert (files_of(images), images.class_names) == (["b.jpg"], ("cat",))
    (problem,) = images.problems
    assert (problem.kind, problem.file) == ("name outside the set", "ImageSets/Main/train.txt")
    assert line in problem.detail


@pytest.mark.parametrize("file_name", ["../../secret.jpg", "/secret.jpg", "../secret.jpg", "..\\secret.jpg"])
def test_a_file_name_that_leads_out_of_the_set_is_not_followed(voc: Builder, file_name: str) -> None:
    voc.annotate("a", file_name, "cat")
    voc.annotate("b", "b.jpg", "cat")
    voc.picture("b.jpg", "../secret.jpg")
    images = voc.load("a\nb\n")
    assert files_of(images) == ["b.jpg"]
    (problem,) = images.problems
    assert (problem.kind, problem.file) == ("image missing", "JPEGImages/secret.jpg")


def test_classes_are_those_of_the_annotations_that_any_list_names(voc: Builder) -> None:
    for stem, name in (("a", "cat"), ("cam2/b", "dog"), ("c", "stale")):
        voc.annotate(stem, f"{stem}.jpg", name)
        voc.picture(f"{stem}.jpg")
    main = voc.root / "ImageSets" / "Main"
    (main / "val.txt").write_text("cam2/b\n")
    (main / "._val.txt").write_bytes(b"\0\5\x16\7")
    (main / "notes.txt").write_bytes("für später".encode("latin-1"))
    assert voc.load("a\n").class_names == ("cat", "dog")


def test_a_slip_in_a_value_is_counted_and_costs_nothing_else(voc: Builder) -> None:
    voc.annotate("a", "a.jpg", "cat")
    voc.picture("a.jpg")
    file = voc.root / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("<difficult>0", "<difficult>seldom"))
    images = voc.load("a\n")
    assert (len(images.boxes), images.ignore.tolist()) == (1, [False])
    assert images.problem_counts() == {"annotation malformed": 1}


def test_an_upper_case_ending_of_a_list_is_found(voc: Builder) -> None:
    voc.annotate("a", "a.jpg", "cat")
    voc.picture("a.jpg")
    (voc.root / "ImageSets" / "Main" / "val.TXT").write_text("a\n")
    assert len(load_voc(voc.root, "val")) == 1


def test_test_lists_without_annotations_name_pictures_with_spaces(voc: Builder) -> None:
    voc.picture("IMG 1.jpg", "b.png", "c.jpg")
    voc.annotate("c", "c.jpg", "cat")
    (voc.root / "ImageSets" / "Main" / "all.txt").write_text("c\n")
    images = voc.load("IMG 1\nb.png\n")
    assert files_of(images) == ["IMG 1.jpg", "b.png"]
    assert images.problem_counts() == {"set without annotations": 1}
