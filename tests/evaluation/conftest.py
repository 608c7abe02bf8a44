"""Small random scenes on a coarse grid: overlaps of exactly a half, ties, duplicates and crowds come up often."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

Scene = tuple[dict[str, Any], list[dict[str, Any]]]


def make_scene(
    objects: list[tuple[int, int, list[float]]],
    found: list[tuple[int, int, list[float], float]],
    *,
    images: int = 1,
    classes: int = 2,
    ignored: tuple[int, ...] = (),
) -> Scene:
    """Ground truth and results. objects: (image, class, box), found: (image, class, box, score), boxes x, y, w, h."""
    ground_truth = {
        "images": [{"id": 100 + i, "file_name": f"{i}.png", "width": 40, "height": 40} for i in range(images)],
        "categories": [{"id": 7 * k + 3, "name": f"class{k}"} for k in range(classes)],
        "annotations": [
            {
                "id": n + 1,
                "image_id": 100 + image,
                "category_id": 7 * label + 3,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": int(n in ignored),
            }
            for n, (image, label, box) in enumerate(objects)
        ],
    }
    results = [
        {"image_id": 100 + image, "category_id": 7 * label + 3, "bbox": box, "score": score}
        for image, label, box, score in found
    ]
    return ground_truth, results


def make_random_scene(seed: int) -> Scene:
    draw = random.Random(seed)
    images, classes = draw.randint(1, 4), draw.randint(1, 3)
    scores = [draw.random() for _ in range(draw.randint(2, 8))]

    def box() -> list[float]:
        return [float(draw.randint(0, 8)), float(draw.randint(0, 8)), draw.randint(1, 6), draw.randint(1, 6)]

    objects = [(draw.randrange(images), draw.randrange(classes), box()) for _ in range(draw.randint(0, 18))]
    found = []
    for _ in range(draw.randint(0, 40)):
        image, label, where = draw.choice(objects) if objects and draw.random() < 0.8 else (0, 0, box())
        if draw.random() < 0.3:
            label = draw.randrange(classes)
        if draw.random() < 0.6:
            where = [
                where[0] + draw.randint(-1, 2),
                where[1] + draw.randint(-1, 1),
                where[2] + draw.randint(0, 2),
                where[3],
            ]
        found.append((image, label, where, draw.choice(scores)))
    ignored = tuple(n for n in range(len(objects)) if draw.random() < 0.2)
    return make_scene(objects, found, images=images, classes=classes, ignored=ignored)


@pytest.fixture(scope="session")
def scene() -> Callable[..., Scene]:
    return make_scene


@pytest.fixture(scope="session")
def random_scene() -> Callable[[int], Scene]:
    return make_random_scene
