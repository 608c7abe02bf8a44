import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from detres.config.detection_schema import DataConfig
from detres.data.detection.datasets import load_listed
from detres.data.formats.coco.reading import coco_ground_truth, load_coco
from detres.data.formats.voc.reading import load_voc
from detres.errors import DataError

SPLIT = "annotations/instances_val.json"


def test_labels_follow_ascending_category_ids(coco_root: Path) -> None:
    dataset = load_coco(coco_root, SPLIT)
    assert dataset.class_names == ("car", "toothbrush")
    assert dataset.category_ids == (3, 90)


def test_every_mistake_is_counted_with_its_file_and_the_rest_is_kept(coco_root: Path) -> None:
    dataset = load_coco(coco_root, SPLIT)
    assert dataset.problem_counts() == {
        "box outside the image": 2,
        "unknown image": 1,
        "image missing": 1,
        "box without area": 1,
        "unknown class": 1,
        "annotation malformed": 1,
    }
    assert {problem.file for problem in dataset.problems} == {SPLIT, "val/13.png", "val/5.png", "val/9.png"}
    assert np.diff(dataset.offsets).tolist() == [3, 1, 0]
    assert (dataset.boxes[:, 2:] > dataset.boxes[:, :2]).all()


def test_strict_is_one_error_that_lists_them(coco_root: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_coco(coco_root, SPLIT, strict=True)
    message = str(caught.value)
    assert "7 problems" in message
    assert "val/13.png" in message
    assert "category 77" in message


def test_classes_select_and_order(coco_root: Path) -> None:
    dataset = load_coco(coco_root, SPLIT, classes=["toothbrush"])
    assert dataset.class_names == ("toothbrush",)
    assert dataset.category_ids == (90,)
    assert np.diff(dataset.offsets).tolist() == [1, 1, 0]
    with pytest.raises(DataError, match="toothbrsh is no class of this set; did you mean toothbrush"):
        load_coco(coco_root, SPLIT, classes=["toothbrsh"])


def test_ground_truth_keeps_ids_areas_and_boxes_of_a_coco_set(coco_root: Path) -> None:
    truth = coco_ground_truth(load_coco(coco_root, SPLIT))
    assert [image["id"] for image in truth["images"]] == [5, 9, 12]
    first, crowd, clipped, *_ = truth["annotations"]
    assert (first["bbox"], first["area"], first["category_id"]) == ([1.5, 2.25, 10.0, 20.0], 123.5, 3)
    assert (crowd["iscrowd"], crowd["category_id"]) == (1, 90)
    assert clipped["bbox"] == [50.0, 30.0, 20.0, 20.0], "what is evaluated is what the file says"


def test_ground_truth_of_a_voc_set_counts_ids_from_one(voc_root: Path) -> None:
    truth = coco_ground_truth(load_voc(voc_root, "train"))
    assert [image["id"] for image in truth["images"]] == [1, 2]
    dog, cat = truth["annotations"]
    assert (dog["bbox"], dog["area"], dog["iscrowd"]) == ([0.0, 0.0, 10.0, 20.0], 200.0, 0)
    assert (cat["iscrowd"], cat["difficult"]) == (1, 1)
    assert [category["id"] for category in truth["categories"]] == [1, 2, 3]


def test_ground_truth_of_real_coco_is_the_file(real_data: Path) -> None:
    file = real_data / "coco128" / "annotations" / "instances_train2017.json"
    with contextlib.redirect_stdout(io.StringIO()):
        oracle = COCO(str(file))
    dataset = load_coco(real_data / "coco128", "annotations/instances_train2017.json")
    truth = coco_ground_truth(dataset)
    assert len(dataset) == 128
    assert dataset.crowd.sum() == 10
    assert [dataset.image_id(i) for i in np.flatnonzero(np.diff(dataset.offsets) == 0)] == [250, 508]
    assert dataset.category_ids == tuple(sorted(oracle.cats))
    by_image = {image_id: oracle.loadAnns(oracle.getAnnIds([image_id])) for image_id in oracle.imgs}
    ours: dict[int, list] = {image_id: [] for image_id in oracle.imgs}
    for annotation in truth["annotations"]:
        ours[annotation["image_id"]].append(annotation)
    for image_id, expected in by_image.items():
        for got, want in zip(ours[image_id], expected, strict=True):
            assert got["category_id"] == want["category_id"]
            assert (got["area"], got["iscrowd"]) == (want["area"], want["iscrowd"])
            np.testing.assert_allclose(got["bbox"], want["bbox"], rtol=0, atol=1e-9)


def test_an_umbrella_category_of_roboflow_is_left_out_and_said(coco_root: Path) -> None:
    file = coco_root / SPLIT
    content = json.loads(file.read_text())
    content["categories"] = [{"id": 0, "name": "things", "supercategory": "none"}] + [
        category | {"supercategory": "things"} for category in content["categories"]
    ]
    file.write_text(json.dumps(content))
    dataset = load_coco(coco_root, SPLIT)
    assert dataset.class_names == ("car", "toothbrush")
    assert dataset.problem_counts()["empty supercategory"] == 1


def test_missing_files_say_what_was_looked_for(coco_root: Path) -> None:
    with pytest.raises(DataError, match=r"instances_train\.json: there is no such annotation file"):
        load_coco(coco_root, "annotations/instances_train.json")
    (coco_root / "val").rename(coco_root / "elsewhere")
    with pytest.raises(DataError, match=r"were looked for in .*val"):
        load_coco(coco_root, SPLIT)
    assert len(load_coco(coco_root, f"{SPLIT}:elsewhere")) == 3
    (coco_root / SPLIT).write_text("[]")
    with pytest.raises(DataError, match="no COCO instances file"):
        load_coco(coco_root, SPLIT)


def test_entries_that_are_not_as_coco_has_them_are_one_error(coco_root: Path) -> None:
    content = json.loads((coco_root / SPLIT).read_text())
    for part, key in (("categories", "name"), ("images", "id")):
        broken = content | {part: [{k: v for k, v in entry.items() if k != key} for entry in content[part]]}
        (coco_root / SPLIT).write_text(json.dumps(broken))
        with pytest.raises(DataError, match="not as COCO has it"):
            load_coco(coco_root, SPLIT)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"images": {"0": {"id": 1}}, "categories": [], "annotations": []}, "its images are no list of objects"),
        ({"images": [], "categories": [3], "annotations": []}, "its categories are no list of objects"),
        ({"images": [], "annotations": []}, "it has no categories"),
        ("text", "it holds a str, not an object"),
    ],
)
def test_a_file_of_another_form_says_what_is_wrong_with_it(coco_root: Path, content: object, said: str) -> None:
    (coco_root / SPLIT).write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"no COCO instances file: {said}"):
        load_coco(coco_root, SPLIT)


def test_image_ids_may_be_text(coco_root: Path) -> None:
    content = json.loads((coco_root / SPLIT).read_text())
    numbered = load_coco(coco_root, SPLIT)
    for entry in content["images"]:
        entry["id"] = f"img-{entry['id']}"
    for entry in content["annotations"]:
        entry["image_id"] = f"img-{entry['image_id']}"
    (coco_root / SPLIT).write_text(json.dumps(content))
    named = load_coco(coco_root, SPLIT)
    assert named.image_ids.tolist() == [f"img-{number}" for number in numbered.image_ids]
    np.testing.assert_array_equal(named.boxes, numbered.boxes)
    assert [image["id"] for image in coco_ground_truth(named)["images"]] == named.image_ids.tolist()


def test_a_list_of_images_without_annotations_is_a_set_without_boxes_and_says_so(coco_root: Path) -> None:
    content = json.loads((coco_root / SPLIT).read_text())
    del content["annotations"]
    (coco_root / "annotations" / "image_info_val.json").write_text(json.dumps(content))
    dataset = load_coco(coco_root, "annotations/image_info_val.json")
    assert len(dataset) == 3
    assert len(dataset.boxes) == 0
    assert dataset.problem_counts()["set without annotations"] == 1


@pytest.fixture
def coco_2014(tmp_path: Path, write_picture: Callable[..., Path]) -> Path:
    """Images as COCO 2014 names and places them, with trainval35k's two files and one file of all of them."""
    lists = {"train2014": ["train2014"], "valminusminival2014": ["val2014"], "trainval35k": ["train2014", "val2014"]}
    for number, folder in enumerate(("train2014", "val2014"), 1):
        write_picture(tmp_path / folder / f"COCO_{folder}_{number:012d}.jpg", 40, 60, seed=number)
    (tmp_path / "annotations").mkdir()
    for name, folders in lists.items():
        numbers = [("train2014", "val2014").index(folder) + 1 for folder in folders]
        files = [f"COCO_{folder}_{number:012d}.jpg" for number, folder in zip(numbers, folders, strict=True)]
        content = {
            "images": [{"id": n, "file_name": f} for n, f in zip(numbers, files, strict=True)],
            "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9]} for n in numbers],
            "categories": [{"id": 1, "name": "person"}],
        }
        (tmp_path / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_trainval35k_is_two_files_of_two_folders(coco_2014: Path) -> None:
    files = ("annotations/instances_train2014.json", "annotations/instances_valminusminival2014.json")
    dataset = load_listed(DataConfig(format="coco", root=str(coco_2014)), files)
    assert dataset.name == "coco-train2014+coco-valminusminival2014"
    assert [dataset.file_name(i).split("/")[0] for i in range(2)] == ["train2014", "val2014"]
    assert dataset.image_ids.tolist() == [1, 2]
    assert not dataset.problems


@pytest.mark.parametrize("above", ["", "images", "pictures"])
def test_one_file_may_list_images_of_two_folders(coco_2014: Path, above: str) -> None:
    """As trainval35k in one file; the folders lie in the root, in images/ or where the split says."""
    (coco_2014 / above).mkdir(exist_ok=True)
    for folder in ("train2014", "val2014"):
        (coco_2014 / folder).rename(coco_2014 / above / folder)
    split = "annotations/instances_trainval35k.json" + (":pictures" if above == "pictures" else "")
    dataset = load_coco(coco_2014, split)
    assert [dataset.path(i).is_file() for i in range(len(dataset))] == [True, True]
    assert len(dataset.boxes) == 2


def test_an_absent_folder_of_two_is_named(coco_2014: Path) -> None:
    (coco_2014 / "val2014").rename(coco_2014 / "elsewhere")
    with pytest.raises(DataError, match=r"such as COCO_val2014_000000000002\.jpg\) were looked for in \S+/val2014, "):
        load_coco(coco_2014, "annotations/instances_trainval35k.json")


@pytest.mark.parametrize("name", ["test2017", "test-dev2017", "test-challenge2017"])
def test_lists_of_test_images_lie_in_one_folder(tmp_path: Path, write_picture: Callable[..., Path], name: str) -> None:
    write_picture(tmp_path / "test2017" / "000000000001.jpg")
    content = {"images": [{"id": 1, "file_name": "000000000001.jpg"}], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / f"image_info_{name}.json").write_text(json.dumps(content))
    dataset = load_coco(tmp_path, f"image_info_{name}.json", strict=True)
    assert (dataset.name, len(dataset), len(dataset.boxes)) == (f"coco-{name}", 1, 0)
