"""VOC's average precision against a plain transcription of its definition.

Boxes here are the devkit's: xmin, ymin, xmax, ymax in whole pixels, counted from 1, the last one inside.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from detres.evaluation.voc_ap import area_ap, eleven_point_ap, voc_metrics

Box = tuple[float, float, float, float]


def inclusive_iou(a: Box, b: Box) -> Fraction:
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return Fraction(0)
    area_a = (a[2] - a[0] + 1) * (a[3] - a[1] + 1)
    area_b = (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    return Fraction(width * height) / Fraction(area_a + area_b - width * height)


def plain_ap(objects: list[dict[str, Any]], found: list[dict[str, Any]]) -> tuple[Fraction, Fraction] | None:
    """Area and 11-point AP of one class, one detection after the other, in exact fractions."""
    npos = sum(not o["difficult"] for o in objects)
    if npos == 0:
        return None
    taken: set[int] = set()
    tp = fp = 0
    curve: list[tuple[int, Fraction]] = []
    for d in sorted(found, key=lambda d: -d["score"]):
        best, best_iou = None, Fraction(0)
        for i, o in enumerate(objects):
            if o["image"] == d["image"] and inclusive_iou(o["box"], d["box"]) > best_iou:
                best, best_iou = i, inclusive_iou(o["box"], d["box"])
        if best is not None and best_iou >= Fraction(1, 2):
            if objects[best]["difficult"]:
                continue
            if best in taken:
                fp += 1
            else:
                taken.add(best)
                tp += 1
        else:
            fp += 1
        curve.append((tp, Fraction(tp, tp + fp)))

    def best_precision_from(hits: Fraction) -> Fraction:
        return max((p for t, p in curve if t >= hits), default=Fraction(0))

    area = sum((best_precision_from(Fraction(t)) for t in range(1, npos + 1)), Fraction(0)) / npos
    points = sum((best_precision_from(Fraction(i * npos, 10)) for i in range(11)), Fraction(0)) / 11
    return area, points


def as_coco(box: Box) -> list[float]:
    return [box[0] - 1, box[1] - 1, box[2] - box[0] + 1, box[3] - box[1] + 1]


def dicts(
    objects: list[dict[str, Any]], found: list[dict[str, Any]], num_images: int, classes: list[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    ground_truth = {
        "images": [{"id": 100 + i} for i in range(num_images)],
        "categories": [{"id": 7 * k + 3, "name": name} for k, name in enumerate(classes)],
        "annotations": [
            {
                "id": n,
                "image_id": 100 + o["image"],
                "category_id": 7 * o["class"] + 3,
                "bbox": as_coco(o["box"]),
                "difficult": o["difficult"],
            }
            for n, o in enumerate(objects)
        ],
    }
    results = [
        {
            "image_id": 100 + d["image"],
            "category_id": 7 * d["class"] + 3,
            "bbox": as_coco(d["box"]),
            "score": d["score"],
        }
        for d in found
    ]
    return ground_truth, results


def check(objects: list[dict[str, Any]], found: list[dict[str, Any]], num_images: int, num_classes: int) -> None:
    classes = [f"class{k}" for k in range(num_classes)]
    metrics = voc_metrics(*dicts(objects, found, num_images, classes))
    expected = [
        plain_ap([o for o in objects if o["class"] == k], [d for d in found if d["class"] == k])
        for k in range(num_classes)
    ]
    for name, pair in zip(classes, expected, strict=True):
        row = metrics["per_class"][name]
        if pair is None:
            assert row == {"voc_AP50": None, "voc_AP50_07": None}
        else:
            assert row["voc_AP50"] == pytest.approx(float(pair[0]), abs=1e-12)
            assert row["voc_AP50_07"] == pytest.approx(float(pair[1]), abs=1e-12)
    defined = [pair for pair in expected if pair is not None]
    for key, which in (("mAP50", 0), ("mAP50_07", 1)):
        if not defined:
            assert metrics[key] is None
        else:
            mean = sum(pair[which] for pair in defined) / len(defined)
            assert metrics[key] == pytest.approx(float(mean), abs=1e-12)


def some_box(draw: random.Random, size: int) -> Box:
    x, y = draw.randint(1, size), draw.randint(1, size)
    return (x, y, x + draw.randint(0, size), y + draw.randint(0, size))


@pytest.mark.parametrize("seed", range(60))
def test_random_sets_agree_with_the_plain_transcription(seed: int) -> None:
    # Small pictures and few scores: overlaps of exactly one half, ties and duplicates come up all the time.
    draw = random.Random(seed)
    num_images, num_classes = draw.randint(1, 4), draw.randint(1, 3)
    scores = [draw.random() for _ in range(draw.randint(1, 6))]
    objects = [
        {
            "image": draw.randrange(num_images),
            "class": draw.randrange(num_classes),
            "box": some_box(draw, 6),
            "difficult": draw.random() < 0.3,
        }
        for _ in range(draw.randint(0, 25))
    ]
    found = []
    for _ in range(draw.randint(0, 60)):
        source = draw.choice(objects) if objects and draw.random() < 0.6 else None
        box = source["box"] if source else some_box(draw, 6)
        if source and draw.random() < 0.5:
            box = (box[0], box[1], box[2] + draw.randint(0, 2), box[3] + draw.randint(0, 2))
        place = {k: source[k] for k in ("image", "class")} if source else {"image": 0, "class": 0}
        found.append(place | {"box": box, "score": draw.choice(scores)})
    check(objects, found, num_images, num_classes)


def one_object(difficult: bool = False) -> dict[str, Any]:
    return {"image": 0, "class": 0, "box": (1, 1, 10, 10), "difficult": difficult}


def hit(score: float = 0.5, image: int = 0) -> dict[str, Any]:
    return {"image": image, "class": 0, "box": (1, 1, 10, 10), "score": score}


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ([], []),
        ([], [hit()]),
        ([one_object()], []),
        ([one_object(difficult=True)], [hit()]),
        ([one_object(difficult=True)], []),
        ([one_object()], [hit(0.5), hit(0.5), hit(0.5)]),
        ([one_object()], [hit(0.5, image=1), hit(0.5)]),
        ([one_object()], [hit(0.5), hit(0.5, image=1)]),
        ([one_object(), one_object(difficult=True)], [hit()]),
        ([one_object(difficult=True), one_object()], [hit()]),
        ([one_object(), one_object()], [hit(), hit()]),
    ],
)
def test_adversarial_sets_agree_with_the_plain_transcription(
    objects: list[dict[str, Any]], found: list[dict[str, Any]]
) -> None:
    check(objects, found, 2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 7, 10, 30, 49, 70, 99])
def test_every_number_of_hits_meets_the_eleven_thresholds_exactly(count: int) -> None:
    objects = [{"image": i, "class": 0, "box": (1, 1, 10, 10), "difficult": False} for i in range(count)]
    for hits in range(count + 1):
        check(objects, [hit(1 - i / 200, image=i) for i in range(hits)] + [hit(0.01, image=0)], count, 1)


def test_three_of_four_found_with_one_false_alarm_by_hand() -> None:
    # Precision at the hits: 1, 2/3, 3/4; made falling: 1, 3/4, 3/4.
    hits = np.array([1, 0, 1, 1])
    assert area_ap(hits, 4) == pytest.approx((1 + 0.75 + 0.75) / 4)
    # Recall 0, .1, .2 are reached by the first hit, .3 to .7 by the third, .8 and more by none.
    assert eleven_point_ap(hits, 4) == pytest.approx((3 * 1 + 5 * 0.75) / 11)


def test_an_overlap_of_exactly_one_half_is_a_hit() -> None:
    found = {"image": 0, "class": 0, "box": (1, 1, 10, 5), "score": 1.0}
    assert voc_metrics(*dicts([one_object()], [found], 1, ["a"]))["mAP50"] == 1.0
    found["box"] = (1, 1, 9, 5)
    assert voc_metrics(*dicts([one_object()], [found], 1, ["a"]))["mAP50"] == 0.0


@pytest.mark.parametrize("mark", ["iscrowd", "ignore", "difficult"])
def test_every_mark_of_an_ignored_object_counts(mark: str) -> None:
    objects = [one_object(), {"image": 1, "class": 0, "box": (1, 1, 10, 10), "difficult": False}]
    ground_truth, results = dicts(objects, [hit(0.9, image=1), hit(0.5)], 2, ["a"])
    ground_truth["annotations"][1] |= {"difficult": 0, mark: 1}
    assert voc_metrics(ground_truth, results)["mAP50"] == 1.0


def test_ground_truth_without_classes_is_undefined() -> None:
    metrics = voc_metrics({"images": [], "categories": [], "annotations": []}, [])
    assert metrics == {"mAP50": None, "mAP50_07": None, "per_class": {}}
