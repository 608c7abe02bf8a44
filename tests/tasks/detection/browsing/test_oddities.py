from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from detres.config.loading import load_config
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_dataset
from detres.data.problems import Problem
from detres.tasks.detection.browsing.oddities import ODDITIES, OF_BOXES, find_oddities


def with_boxes(images: AnnotatedImages, *boxes: list[tuple[float, float, float, float]]) -> AnnotatedImages:
    """The first images of a set, made 100 x 100, with these boxes each."""
    flat = np.array([box for of_image in boxes for box in of_image], dtype=np.float32).reshape(-1, 4)
    count = len(flat)
    return replace(
        images.subset(np.arange(len(boxes))),
        sizes=np.full((len(boxes), 2), 100),
        offsets=np.cumsum([0, *map(len, boxes)]),
        boxes=flat,
        labels=np.zeros(count, np.int64),
        ignore=np.zeros(count, bool),
        crowd=np.zeros(count, bool),
        truncated=np.zeros(count, bool),
        areas=(flat[:, 2:] - flat[:, :2]).prod(axis=1).astype(np.float64),
        annotated=flat.astype(np.float64),
    )


@pytest.fixture
def images(tiny: Any) -> AnnotatedImages:
    return load_dataset(load_config(tiny.cfg).data, "train")


def test_each_oddity_of_boxes_by_hand(images: AnnotatedImages) -> None:
    plain, thin, edge = (20, 20, 50, 50), (20, 20, 80, 30), (40, 60, 60, 100)
    near, full, speck = (20, 20, 50, 51), (0, 0, 100, 97), (70, 70, 71, 71)
    dataset = with_boxes(images, [plain, thin], [edge], [plain, near], [full], [speck], [])
    dataset.crowd[0] = dataset.ignore[0] = dataset.ignore[1] = True
    odd = find_oddities(dataset)
    expected = {
        "smallest boxes": [6], "largest boxes": [5], "very thin": [1], "at the border": [2, 5],
        "fills the image": [5], "almost twice": [3, 4], "crowd": [0], "difficult": [1],
    }  # fmt: skip
    assert {name: np.flatnonzero(rows).tolist() for name, rows in odd.boxes.items()} == expected
    assert odd.images["almost twice"].tolist() == [0, 0, 2, 0, 0, 0]
    assert odd.images["no boxes"].tolist() == [0, 0, 0, 0, 0, 1]
    assert set(odd.images) == set(ODDITIES)


def test_boxes_almost_twice_are_those_a_full_search_finds(images: AnnotatedImages) -> None:
    draw = np.random.default_rng(0)
    corner = draw.integers(0, 4, size=(60, 2)).astype(np.float32)
    boxes = np.concatenate([corner, corner + draw.integers(40, 60, size=(60, 2))], axis=1)
    dataset = with_boxes(images, list(map(tuple, boxes[:30])), list(map(tuple, boxes[30:])))
    iou = box_iou(torch.from_numpy(boxes), torch.from_numpy(boxes)).fill_diagonal_(0)
    iou[:30, 30:] = iou[30:, :30] = 0
    expected = (iou >= 0.9).any(dim=1).numpy()
    assert 0 < expected.sum() < 60
    np.testing.assert_array_equal(find_oddities(dataset).boxes["almost twice"], expected)


def test_images_with_many_boxes_are_the_few_with_more_than_the_rest(images: AnnotatedImages) -> None:
    many = [(n, n, n + 10, n + 10) for n in range(12)]
    assert find_oddities(with_boxes(images, many, many[:3], many[:4])).images["many boxes"].tolist() == [12, 0, 0]
    assert not find_oddities(with_boxes(images, many[:9], many[:1])).images["many boxes"].any(), "nine are not many"


def test_problems_and_likenesses_are_told_of_their_image(images: AnnotatedImages) -> None:
    problem = Problem("box stands twice", "Annotations/" + Path(images.file_name(1)).stem + ".xml", "square at 1, 2")
    dataset = replace(images, problems=(problem, Problem("image missing", "gone.png", "it is not there")))
    groups = np.arange(len(images))
    groups[2] = 0
    odd = find_oddities(dataset, groups=groups, alike={3: "looks almost as a.png of val"}, unreadable={4: "no image"})
    assert odd.told[1] == ("box stands twice: square at 1, 2",)
    assert odd.told[2] == (f"looks almost as {images.file_name(0)}",)
    assert (odd.told[3], odd.told[4]) == (("looks almost as a.png of val",), ("no image",))
    assert np.flatnonzero(odd.images["near-duplicate"]).tolist() == [0, 2]
    found = {n: np.flatnonzero(odd.images[n]).tolist() for n in ("box stands twice", "has a problem", "cannot be read")}
    assert found == {"box stands twice": [1], "has a problem": [1], "cannot be read": [4]}


def test_a_set_of_nothing_has_no_oddity(images: AnnotatedImages) -> None:
    none = find_oddities(images.subset([]))
    assert all(len(rows) == 0 for rows in none.boxes.values())
    assert all(len(degree) == 0 for degree in none.images.values())
    empty = find_oddities(images.select_boxes(np.array([], dtype=np.int64)))
    assert empty.images["no boxes"].all()
    assert not any(empty.images[name].any() for name in OF_BOXES)
