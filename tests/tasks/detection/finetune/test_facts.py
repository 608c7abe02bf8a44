from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawBox, RawImage, index_images
from detres.tasks.detection.finetune.facts import Facts


@pytest.fixture
def images(tmp_path: Path) -> AnnotatedImages:
    from PIL import Image

    for name, size in (("a", (640, 480)), ("b", (640, 480)), ("c", (100, 300))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    boxes = [RawBox("cat", (0.0, 0.0, side, side)) for side in (10, 20, 30, 40, 90)]
    return index_images(
        [RawImage("a.png", "a", None, boxes), RawImage("b.png", "b"), RawImage("c.png", "c")],
        name="three",
        root=tmp_path,
        known_classes=("cat", "dog"),
        classes=("cat", "dog"),
    )


def test_sizes_are_those_of_the_middle_picture_and_the_small_boxes(images):
    facts = Facts.of(images)
    assert (facts.images, facts.boxes, facts.classes, facts.most_boxes) == (3, 5, 2, 5)
    assert (facts.shorter, facts.longer) == (480, 640)
    assert facts.middle == pytest.approx(30.0)
    assert facts.small == pytest.approx(14.0)  # a tenth of the way through 10, 20, 30, 40, 90


def test_boxes_to_be_ignored_do_not_count(images):
    facts = Facts.of(replace(images, ignore=np.ones(5, dtype=bool)))
    assert (facts.boxes, facts.small, facts.middle) == (0, None, None)


@pytest.mark.parametrize(
    ("names", "sided"),
    [
        (("left_hand", "dog"), "left_hand"),
        (("dog", "Turn Right"), "Turn Right"),
        (("leftover", "bright", "cleft"), None),
        (("arrow-left",), "arrow-left"),
    ],
)
def test_classes_that_a_mirror_exchanges_are_seen(images, names, sided):
    assert Facts.of(replace(images, class_names=names)).sided == sided
