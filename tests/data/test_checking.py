from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from detres.config.schema import DataConfig
from detres.data.checking import AnchorShapes, best_anchor_iou, check
from detres.data.data_file import load_data_file
from detres.data.datasets import load_dataset
from detres.errors import DataError


def _config(root: Path, **more) -> DataConfig:
    return DataConfig(root=str(root), test=("annotations/instances_val.json",), **more)


def test_a_report_counts_what_is_there_and_what_is_wrong(coco_root: Path) -> None:
    file = coco_root / "val" / "12.png"
    file.write_bytes(file.read_bytes()[:2000])
    (report,) = check(_config(coco_root, strict=True))
    assert (report.split, report.images, report.boxes, report.ignored) == ("test", 3, 4, 1)
    assert report.empty_images == 1
    assert report.boxes_per_class == {"car": 2, "toothbrush": 1}
    assert report.most_boxes == 3
    kinds = [problem.kind for problem in report.problems]
    assert len(kinds) == 8
    assert report.problems[-1].file == "val/12.png"
    assert kinds[-1] == "image unreadable"


def test_the_cleaned_copy_has_nothing_wrong_and_is_ready_for_use(coco_root: Path, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed"
    check(_config(coco_root), fix=fixed)
    config = load_data_file(fixed / "data.yaml").model_copy(update={"strict": True})
    before, after = load_dataset(_config(coco_root), "test"), load_dataset(config, "test")
    assert not after.problems
    np.testing.assert_array_equal(before.boxes, after.boxes)
    np.testing.assert_array_equal(before.ignore, after.ignore)
    np.testing.assert_array_equal(before.areas, after.areas)
    with pytest.raises(DataError, match="is there already"):
        check(_config(coco_root), fix=fixed)


def test_difficult_stays_difficult_in_the_cleaned_copy(voc_root: Path, tmp_path: Path) -> None:
    check(DataConfig(format="voc", root=str(voc_root), train=("train",)), fix=tmp_path / "fixed")
    dataset = load_dataset(load_data_file(tmp_path / "fixed"), "train")
    assert (dataset.ignore.tolist(), dataset.crowd.tolist()) == ([False, True], [False, False])


def test_the_best_anchor_is_the_one_a_full_search_finds() -> None:
    draw = np.random.default_rng(0)
    sides = (np.array([[16.0, 16], [23, 11], [11, 23]]), np.array([[32.0, 32], [45, 23]]))
    anchors = AnchorShapes(sides, (8, 16), positive_iou=0.7)
    corner = draw.uniform(0, 60, size=(50, 2))
    boxes = np.concatenate([corner, corner + draw.uniform(3, 40, size=(50, 2))], axis=1)
    every = []
    for shapes, stride in zip(sides, anchors.strides, strict=True):
        y, x = np.meshgrid(np.arange(0, 100, stride), np.arange(0, 110, stride), indexing="ij")
        centres = np.stack([x.ravel(), y.ravel()], axis=1)
        every.append(np.concatenate([np.concatenate([centres - s / 2, centres + s / 2], axis=1) for s in shapes]))
    oracle = box_iou(torch.from_numpy(boxes), torch.from_numpy(np.concatenate(every))).amax(dim=1)
    ours = best_anchor_iou(boxes, np.tile([100, 110], (50, 1)), anchors)
    np.testing.assert_allclose(ours, oracle.numpy(), atol=1e-12)


def test_boxes_no_anchor_covers_are_counted_after_the_resize(coco_root: Path) -> None:
    fitting = AnchorShapes((np.array([[20.0, 40.0]]),), (1,), positive_iou=0.7)
    # Images become twice as large: the car of 10 by 20 fits the anchor, the clipped one of 10 by 10 does not, nor the
    # toothbrush of 4 by 5.
    (report,) = check(_config(coco_root, shortest_side=(80,)), anchors=fitting, decode=False)
    assert report.uncovered == 2
    (report,) = check(_config(coco_root), decode=False)
    assert report.uncovered is None


def test_an_empty_set_of_boxes_is_covered() -> None:
    anchors = AnchorShapes((np.array([[20.0, 40.0]]),), (1,), positive_iou=0.7)
    assert len(best_anchor_iou(np.zeros((0, 4)), np.zeros((0, 2)), anchors)) == 0


def test_a_config_without_splits_is_refused() -> None:
    with pytest.raises(DataError, match="names no split"):
        check(DataConfig())
