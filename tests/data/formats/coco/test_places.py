"""Nothing outside a set is read, whatever its file names say."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.detection import indexing
from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.coco.reading import load_coco
from detres.data.images.reading import read_header
from detres.errors import DataError

Load = Callable[..., AnnotatedImages]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images that are looked into."""
    seen: list[Path] = []
    monkeypatch.setattr(indexing, "read_header", lambda path, **_: seen.append(Path(path)) or read_header(path))
    return seen


@pytest.mark.parametrize(
    "name",
    [
        "../{set}-outside.png",
        "{root}-outside.png",
        "x/../../{set}-outside.png",
        "..\\{set}-outside.png",
        "x\\..\\..\\{set}-outside.png",
        "\\etc\\passwd",
        "//etc/passwd",
        "..",
        "../../../../../../../../../etc/passwd",
    ],
)
def test_a_name_that_leads_out_is_a_counted_problem_and_never_read(
    load_entries: Load, opened: list[Path], write_picture: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    outside = write_picture(tmp_path.with_name(f"{tmp_path.name}-outside.png"))
    name = name.format(set=tmp_path.name, root=tmp_path)
    dataset = load_entries([{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": name}])
    assert [dataset.file_name(i) for i in range(len(dataset))] == ["a.png"]
    assert dataset.problem_counts() == {"image name unusable": 1}
    assert outside not in [path.resolve() for path in opened]
    assert len(opened) == 1


@pytest.mark.parametrize("name", ["a\0.png", "\0", "x" * 300 + ".png", "x/" * 3000 + "a.png", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_a_counted_problem(load_entries: Load, name: str) -> None:
    dataset = load_entries([{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": name}])
    assert len(dataset) == 1
    (problem,) = dataset.problems
    assert problem.kind == "image name unusable"
    assert len(str(problem)) < 300
    with pytest.raises(DataError, match="were looked for in"):
        load_entries([{"id": 2, "file_name": name}])


@pytest.mark.parametrize("name", [None, 5, [], {}, True])
def test_a_name_that_is_no_text_is_a_counted_problem(load_entries: Load, name: object) -> None:
    dataset = load_entries([{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": name}])
    assert dataset.problem_counts() == {"annotation malformed": 1}


def test_boxes_of_an_image_without_a_place_go_with_it(load_entries: Load) -> None:
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 5, 5]} for n in (1, 2)]
    dataset = load_entries([{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "../b.png"}], boxes)
    assert dataset.problem_counts() == {"image name unusable": 1}


@pytest.mark.parametrize("name", ["{root}/a.png", "./a.png", "x/../a.png", ".//a.png", "~/../a.png"])
def test_a_roundabout_name_inside_is_read(load_entries: Load, tmp_path: Path, name: str) -> None:
    dataset = load_entries([{"id": 1, "file_name": name.format(root=tmp_path)}], strict=True)
    assert dataset.file_name(0) == "a.png"


def test_names_with_backslashes_are_read_as_folders_and_said_once(
    load_entries: Load, write_picture: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("deep/er/c.png", "deep/d.png"):
        write_picture(tmp_path / name)
    images = [{"id": 1, "file_name": "deep\\er\\c.png"}, {"id": 2, "file_name": ".\\deep\\d.png"}]
    dataset = load_entries(images, strict=True)
    assert [dataset.file_name(i) for i in range(2)] == ["deep/er/c.png", "deep/d.png"]
    (problem,) = dataset.problems
    assert str(problem) == "written otherwise: train.json: 2 file names have backslashes, which are read as slashes"


def test_a_file_that_is_called_so_keeps_its_backslash(
    load_entries: Load, write_picture: Callable[..., Path], tmp_path: Path
) -> None:
    write_picture(tmp_path / "c\\d.png")
    dataset = load_entries([{"id": 1, "file_name": "c\\d.png"}])
    assert dataset.path(0).is_file()
    assert not dataset.problems


def test_the_folder_that_the_split_names_is_part_of_the_set(
    load_entries: Load, write_picture: Callable[..., Path], tmp_path: Path
) -> None:
    elsewhere = write_picture(tmp_path / "elsewhere" / "in" / "c.png").parent
    (tmp_path / "set").mkdir()
    load_entries([{"id": 1, "file_name": "a.png"}])
    (tmp_path / "train.json").rename(tmp_path / "set" / "train.json")
    file = tmp_path / "set" / "train.json"
    file.write_text(file.read_text().replace("a.png", "c.png"))
    for named in (str(elsewhere), "../elsewhere/in"):
        assert load_coco(tmp_path / "set", f"train.json:{named}").path(0).samefile(elsewhere / "c.png")
    file.write_text(file.read_text().replace("c.png", "../c.png"))
    write_picture(tmp_path / "elsewhere" / "c.png")
    with pytest.raises(DataError, match="image name unusable"):
        load_coco(tmp_path / "set", f"train.json:{elsewhere}")


def test_a_name_that_is_no_utf8_is_read_and_comes_back_as_it_is(
    load_entries: Load, write_picture: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "a.png").rename(tmp_path / "\udce9.png")
    dataset = load_entries([{"id": 1, "file_name": "\udce9.png"}])
    assert dataset.path(0).is_file()
    assert len(dataset.digest()) == 16


def test_only_cocos_own_files_are_advised_to_be_downloaded(load_entries: Load, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_entries([{"id": 1, "file_name": "absent.png"}])
    assert "detres prepare coco" not in str(caught.value)
    for name, advised in (("mine.json", False), ("instances_train2017.json", True), ("train.json:there", False)):
        with pytest.raises(DataError) as caught:
            load_coco(tmp_path / "nowhere", name)
        assert ("detres prepare coco" in str(caught.value)) == advised
