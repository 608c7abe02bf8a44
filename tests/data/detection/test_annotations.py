from pathlib import Path

import numpy as np
import pytest
import torch

from detres.data.detection.annotations import AnnotatedImages, concatenate
from detres.data.formats.coco.reading import load_coco
from detres.data.formats.voc.reading import load_voc
from detres.errors import DataError


@pytest.fixture
def coco(coco_root: Path) -> AnnotatedImages:
    return load_coco(coco_root, "annotations/instances_val.json")


def test_targets_are_the_images_own_rows(coco: AnnotatedImages) -> None:
    target = coco.target(0)
    torch.testing.assert_close(target.boxes, torch.tensor([[1.5, 2.25, 11.5, 22.25], [0, 0, 30, 30], [50, 30, 60, 40]]))
    assert target.labels.tolist() == [0, 1, 0]
    assert target.ignore.tolist() == [False, True, False]
    assert len(coco.target(2)) == 0
    assert coco.target(2).boxes.shape == (0, 4)


def test_a_target_can_be_written_to_without_touching_the_set(coco: AnnotatedImages) -> None:
    coco.target(0).boxes.zero_()
    assert coco.boxes[0, 0] == 1.5


def test_no_field_is_a_python_list_of_boxes(coco: AnnotatedImages) -> None:
    for name in ("file_names", "file_offsets", "boxes", "labels", "offsets", "sizes", "image_ids"):
        assert isinstance(getattr(coco, name), np.ndarray)


def test_a_subset_keeps_what_belongs_to_its_images(coco: AnnotatedImages) -> None:
    some = coco.subset([2, 0])
    assert [some.file_name(i) for i in range(2)] == ["val/12.png", "val/5.png"]
    assert [some.image_id(i) for i in range(2)] == [12, 5]
    assert len(some.target(0)) == 0
    torch.testing.assert_close(some.target(1).boxes, coco.target(0).boxes)
    assert len(coco.subset([])) == 0


def test_subsets_concatenate_to_the_whole(coco: AnnotatedImages) -> None:
    parts = [coco.subset([i]) for i in range(len(coco))]
    assert concatenate(parts).digest() == coco.digest()


def test_ids_that_stand_twice_become_text(coco: AnnotatedImages) -> None:
    twice = concatenate([coco, coco])
    assert [twice.image_id(i) for i in (0, 3)] == ["0/5", "1/5"]
    assert len(set(twice.image_ids.tolist())) == len(twice)


def test_sets_of_other_classes_are_not_joined(coco: AnnotatedImages, coco_root: Path) -> None:
    other = load_coco(coco_root, "annotations/instances_val.json", classes=["toothbrush"])
    with pytest.raises(DataError, match=r"car, toothbrush; toothbrush\. Select common ones.* with data\.classes="):
        concatenate([coco, other])


def test_the_digest_changes_with_any_annotation(coco: AnnotatedImages) -> None:
    before = coco.digest()
    coco.boxes[0, 0] += 1
    assert coco.digest() != before


def test_difficult_boxes_can_be_positives_or_dropped_in_training(voc_root: Path) -> None:
    voc = load_voc(voc_root, "train")
    assert voc.with_difficult("ignore").target(0).ignore.tolist() == [False, True]
    assert voc.with_difficult("positive").target(0).ignore.tolist() == [False, False]
    dropped = voc.with_difficult("drop")
    assert dropped.class_names[int(dropped.target(0).labels)] == "dog"
    assert len(dropped) == len(voc)
