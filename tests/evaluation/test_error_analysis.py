"""TIDE's errors and their costs against a plain reading of the definitions, one detection after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detres.evaluation.coco_ap import coco_metrics
from detres.evaluation.error_analysis import analyze_errors
from detres.evaluation.error_kinds import DEFINITIONS, FOUND, KINDS, NOT_COUNTED
from detres.evaluation.flat_boxes import FlatDetections

Scene = tuple[dict[str, Any], list[dict[str, Any]]]
Rows = list[tuple[Any, float, bool]]  # class, score, whether it is a hit


def iou(a: list[float], b: list[float], of_first: bool = False) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0
    return shared / (a[2] * a[3] if of_first else a[2] * a[3] + b[2] * b[3] - shared)


def plain_mean_ap(rows: Rows, to_find: dict[Any, int]) -> float | None:
    """Rows come in the order in which equal scores count."""
    each = []
    for label, count in to_find.items():
        if not count:
            continue
        hits = [hit for of, _, hit in sorted(rows, key=lambda row: -row[1]) if of == label]
        points = []
        for n in range(len(hits)):
            points.append((sum(hits[: n + 1]) / count, sum(hits[: n + 1]) / (n + 1)))
        each.append(sum(max([p for r, p in points if r >= t], default=0) for t in np.linspace(0, 1, 101)) / 101)
    return sum(each) / len(each) if each else None


def plain_analysis(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    """Kinds of all results, which objects were missed, and AP50 without each kind."""
    things = [a for a in ground_truth["annotations"] if not a["iscrowd"]]
    crowds = [a for a in ground_truth["annotations"] if a["iscrowd"]]
    best_first = sorted(range(len(results)), key=lambda n: -results[n]["score"])
    hit_of: dict[int, int] = {}  # a thing's id: the detection that found it
    kinds: dict[int, str] = {}
    for n in best_first:
        r = results[n]
        mine = [a for a in things if (a["image_id"], a["category_id"]) == (r["image_id"], r["category_id"])]
        free = [a for a in mine if a["id"] not in hit_of and iou(r["bbox"], a["bbox"]) >= 0.5]
        if free:
            hit_of[max(free, key=lambda a: (iou(r["bbox"], a["bbox"]), a["id"]))["id"]] = n
            kinds[n] = "found"
        elif any(
            (a["image_id"], a["category_id"]) == (r["image_id"], r["category_id"])
            and iou(r["bbox"], a["bbox"], of_first=True) >= 0.5
            for a in crowds
        ):
            kinds[n] = "not counted"
    aims: dict[int, dict[str, Any]] = {}
    for n, r in enumerate(results):
        if n in kinds:
            continue
        here = [a for a in things if a["image_id"] == r["image_id"]]
        own = [(iou(r["bbox"], a["bbox"]), -a["id"], a) for a in here if a["category_id"] == r["category_id"]]
        other = [(iou(r["bbox"], a["bbox"]), -a["id"], a) for a in here if a["category_id"] != r["category_id"]]
        own_best, other_best = max(own, default=(0, 0, None)), max(other, default=(0, 0, None))
        if 0.1 <= own_best[0] < 0.5:
            kinds[n], aims[n] = "localization", own_best[2]
        elif other_best[0] >= 0.5:
            kinds[n], aims[n] = "classification", other_best[2]
        elif own_best[0] >= 0.5:
            kinds[n] = "duplicate"
        elif other_best[0] >= 0.1:
            kinds[n] = "both"
        else:
            kinds[n] = "background"
    claims: dict[int, int] = {}
    for n in best_first:
        if n in aims and aims[n]["id"] not in hit_of:
            claims.setdefault(aims[n]["id"], n)
    missed = [a["id"] for a in things if a["id"] not in hit_of and a["id"] not in claims]
    categories = {c["id"]: 0 for c in ground_truth["categories"]}
    to_find = {c: sum(a["category_id"] == c for a in things) for c in categories}
    # Equal scores count image by image.
    in_order = sorted(range(len(results)), key=lambda n: results[n]["image_id"])

    def without(kind: str) -> float | None:
        rows: Rows = []
        for n in in_order:
            r = results[n]
            if kinds[n] != kind and kinds[n] != "not counted":
                rows.append((r["category_id"], r["score"], kinds[n] == "found"))
            elif kinds[n] == kind and n in aims and claims.get(aims[n]["id"]) == n:
                rows.append((aims[n]["category_id"], r["score"], True))
        left = {
            c: count - (kind == "missed") * sum(a["category_id"] == c for a in things if a["id"] in missed)
            for c, count in to_find.items()
        }
        return plain_mean_ap(rows, left)

    return {
        "kinds": [kinds[n] for n in range(len(results))],
        "missed": missed,
        "base": without("nothing"),
        "without": {kind: without(kind) for kind in KINDS},
    }


@pytest.mark.parametrize("seed", range(60))
def test_random_scenes_agree_with_a_plain_reading(seed: int, random_scene: Callable[[int], Scene]) -> None:
    ground_truth, results = random_scene(seed)
    analysis, expected = analyze_errors(ground_truth, results), plain_analysis(ground_truth, results)
    names = dict(enumerate(KINDS)) | {FOUND: "found", NOT_COUNTED: "not counted"}
    assert [names[kind] for kind in analysis.judged.kind.tolist()] == expected["kinds"]
    ids = [a["id"] for a in ground_truth["annotations"]]
    assert [ids[place] for place in np.flatnonzero(analysis.judged.missed)] == expected["missed"]
    assert analysis.counts["missed"] == len(expected["missed"])
    for kind in KINDS[:-1]:
        assert analysis.counts[kind] == expected["kinds"].count(kind)
    if expected["base"] is None:
        assert analysis.ap50 is None
        assert set(analysis.costs.values()) == {None}
        return
    assert analysis.ap50 == pytest.approx(expected["base"], abs=1e-12)
    assert analysis.ap50 == pytest.approx(coco_metrics(ground_truth, results)["AP50"], abs=1e-12)
    for kind, ap in expected["without"].items():
        assert analysis.costs[kind] == pytest.approx((1 if ap is None else ap) - expected["base"], abs=1e-12), kind
        assert analysis.costs[kind] >= -1e-12


A, B, AWAY = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 10.0, 10.0], [0.0, 30.0, 4.0, 4.0]
HALF_OF_A = [4.0, 0.0, 10.0, 10.0]  # IoU 60 / 140
HALF_OF_B = [24.0, 0.0, 10.0, 10.0]


def costs_of(scene: Scene) -> dict[str, float]:
    return {kind: round(cost, 9) for kind, cost in analyze_errors(*scene).costs.items() if cost}


@pytest.mark.parametrize(
    ("found", "kind", "cost"),
    [
        # Class 0 has two objects, A and B. A alone found is AP 51 / 101, since 51 recalls are at most 1/2.
        ([(0, 0, A, 0.9), (0, 1, B, 0.8)], "classification", 1 - 51 / 101),
        ([(0, 0, A, 0.9), (0, 0, HALF_OF_B, 0.8)], "localization", 1 - 51 / 101),
        # Best first, a false alarm, and then both: precision is 1/2 at first and 2/3 at last, so 2/3 everywhere.
        ([(0, 0, A, 0.8), (0, 0, B, 0.7), (0, 0, AWAY, 0.9)], "background", 1 - 2 / 3),
        # The duplicate comes between the two: 1 up to recall 1/2, then 2/3.
        ([(0, 0, A, 0.9), (0, 0, A, 0.8), (0, 0, B, 0.7)], "duplicate", 1 - (51 + 50 * 2 / 3) / 101),
        ([(0, 0, A, 0.9)], "missed", 1 - 51 / 101),
    ],
)
def test_one_error_of_each_kind_costs_what_it_hides(
    found: list[Any], kind: str, cost: float, scene: Callable[..., Scene]
) -> None:
    truth = scene([(0, 0, A), (0, 0, B)], found)
    assert costs_of(truth) == {kind: pytest.approx(cost, abs=1e-9)}
    assert analyze_errors(*truth).counts == {each: int(each == kind) for each in KINDS}


def test_a_poor_box_of_a_wrong_class_is_removed(scene: Callable[..., Scene]) -> None:
    # Class 1 has an object away from all; its false alarm lies half on A, of class 0, and goes before its hit.
    truth = scene([(0, 0, A), (0, 1, AWAY)], [(0, 0, A, 0.9), (0, 1, HALF_OF_A, 0.9), (0, 1, AWAY, 0.5)])
    analysis = analyze_errors(*truth)
    assert analysis.counts == {kind: int(kind == "both") for kind in KINDS}
    assert analysis.ap50 == pytest.approx((1 + 0.5) / 2)
    assert analysis.costs["both"] == pytest.approx(0.25)
    assert analysis.false_positives == pytest.approx(0.25)
    assert analysis.false_negatives == 0


def test_an_object_is_given_to_the_best_of_those_that_aim_at_it(scene: Callable[..., Scene]) -> None:
    # A poor box of 0.9 and a wrong class of 0.8 aim at A: mending classes mends nothing.
    truth = scene([(0, 0, A)], [(0, 0, HALF_OF_A, 0.9), (0, 1, A, 0.8)])
    assert costs_of(truth) == {"localization": 1.0}
    found_as_well = scene([(0, 0, A)], [(0, 0, HALF_OF_A, 0.9), (0, 0, A, 0.8)])
    # A keeps its detection, and the poor box is removed.
    assert costs_of(found_as_well) == {"localization": 0.5}


def test_thresholds_belong_to_the_better_kind(scene: Callable[..., Scene]) -> None:
    half, tenth = [0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 1.0]
    for box, label, kind in ((half, 1, "classification"), (tenth, 0, "localization"), (tenth, 1, "both")):
        assert analyze_errors(*scene([(0, 0, A)], [(0, label, box, 0.5)])).counts[kind] == 1
    assert analyze_errors(*scene([(0, 0, A)], [(0, 0, half, 0.5)])).ap50 == 1


def test_crowds_are_neither_aimed_at_nor_missed(scene: Callable[..., Scene]) -> None:
    # Within a crowd of its class a detection does not count; one of another class is a mistake on background.
    ground_truth, results = scene(
        [(0, 0, A), (0, 0, B)], [(0, 0, B, 0.9), (0, 0, A, 0.8), (0, 1, A, 0.7)], ignored=(0,)
    )
    analysis = analyze_errors(ground_truth, results)
    assert analysis.judged.kind.tolist() == [FOUND, NOT_COUNTED, KINDS.index("background")]
    assert analysis.judged.missed.tolist() == [False, False]
    assert analysis.ap50 == 1


def test_a_detector_that_finds_nothing_misses_everything(scene: Callable[..., Scene]) -> None:
    analysis = analyze_errors(*scene([(0, 0, A), (0, 1, B)], []))
    assert analysis.ap50 == 0
    assert analysis.costs == {kind: 1.0 if kind == "missed" else 0.0 for kind in KINDS}
    assert analysis.false_negatives == 1


@pytest.mark.parametrize("classes", [0, 2])
def test_without_objects_no_cost_is_defined(classes: int, scene: Callable[..., Scene]) -> None:
    found = [(0, 1, A, 0.5)] if classes else []
    analysis = analyze_errors(*scene([], found, classes=classes))
    assert analysis.ap50 is None
    assert set(analysis.costs.values()) == {None}
    assert analysis.counts["background"] == len(found)


def test_every_kind_has_a_definition_that_says_how_it_is_mended() -> None:
    assert len(DEFINITIONS) == 6
    assert all("Mended by" in definition for definition in DEFINITIONS.values())


@pytest.mark.slow
def test_a_thousand_images_of_a_hundred_detections_take_seconds() -> None:
    draw, images = np.random.default_rng(0), 1000
    corners, sides = draw.uniform(0, 400, (7 * images, 2)), draw.uniform(20, 150, (7 * images, 2))
    boxes = np.concatenate([corners, sides], axis=1)
    image_of, label_of = np.repeat(np.arange(images), 7), draw.integers(0, 80, 7 * images)
    copied = np.arange(images)[:, None] * 7 + draw.integers(0, 7, (images, 100))
    found = FlatDetections(
        image=np.repeat(np.arange(images), 100),
        label=np.where(draw.random(100 * images) < 0.6, label_of[copied.ravel()], draw.integers(0, 80, 100 * images)),
        boxes=boxes[copied.ravel()] + draw.uniform(0, 40, (100 * images, 4)),
        scores=draw.random(100 * images),
    )
    ground_truth = {
        "images": [{"id": i} for i in range(images)],
        "categories": [{"id": k, "name": str(k)} for k in range(80)],
        "annotations": [
            {"image_id": image, "category_id": label, "bbox": box}
            for image, label, box in zip(image_of.tolist(), label_of.tolist(), boxes.tolist(), strict=True)
        ],
    }
    begin = time.process_time()
    analysis = analyze_errors(ground_truth, found)
    # It takes one; a machine that is busy takes longer.
    assert time.process_time() - begin < 10
    assert sum(analysis.counts.values()) > 60_000
