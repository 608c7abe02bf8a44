"""Curves by hand, and their means and areas against what metrics.json holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detres.evaluation.coco_ap import coco_metrics
from detres.evaluation.pr_curves import IOUS, coco_class_curves, voc_class_curves
from detres.evaluation.voc_ap import voc_metrics

Scene = tuple[dict[str, Any], list[dict[str, Any]]]
A, B, AWAY = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 10.0, 10.0], [0.0, 30.0, 4.0, 4.0]


def same(value: float, expected: float | None) -> bool:
    return bool(np.isnan(value)) if expected is None else value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_means_and_areas_are_those_of_the_metrics(seed: int, random_scene: Callable[[int], Scene]) -> None:
    ground_truth, results = random_scene(seed)
    coco, voc = coco_metrics(ground_truth, results), voc_metrics(ground_truth, results)
    curves, voc_curves = coco_class_curves(ground_truth, results), voc_class_curves(ground_truth, results)
    assert curves.precision.shape == (len(ground_truth["categories"]), 10, 101)
    for label, name in enumerate(coco["per_class"]):
        assert same(float(curves.precision[label].mean()), coco["per_class"][name]["AP"])
        assert same(float(curves.precision[label, 0].mean()), coco["per_class"][name]["AP50"])
        assert same(float(curves.size_ap[label, 0]), coco["per_class"][name]["AP"])
        expected, curve = voc["per_class"][name]["voc_AP50"], voc_curves[label]
        if curve is None:
            assert expected is None
        else:
            steps = np.diff(curve.recall, prepend=0.0)
            assert float((steps * curve.precision).sum()) == pytest.approx(expected, abs=1e-12)
    for key, size in (("APs", 1), ("APm", 2), ("APl", 3)):
        defined = curves.size_ap[:, size][~np.isnan(curves.size_ap[:, size])]
        assert same(float(defined.mean()) if len(defined) else np.nan, coco[key])


def test_a_class_of_two_found_once_after_a_false_alarm(scene: Callable[..., Scene]) -> None:
    truth = scene([(0, 0, A), (0, 0, B)], [(0, 0, AWAY, 0.9), (0, 0, [0.0, 0.0, 10.0, 7.0], 0.8)])
    curves = coco_class_curves(*truth)
    # Half of the recall at precision 1/2, at thresholds up to the overlap of 0.7.
    assert curves.precision[0, IOUS.index(0.7)].tolist() == pytest.approx([0.5] * 51 + [0.0] * 50)
    assert curves.precision[0, IOUS.index(0.75)].tolist() == [0.0] * 101
    assert np.isnan(curves.precision[1]).all(), "of the other class there is nothing to find"
    assert curves.size_ap[0, 1] == pytest.approx(0.5 * 51 / 101 * 5 / 10), "boxes of 100 pixels are small"
    (found, nothing) = voc_class_curves(*truth)
    assert nothing is None
    assert found is not None
    assert (found.recall.tolist(), found.precision.tolist()) == ([0.5], [0.5])


def test_without_images_or_detections_curves_are_empty(scene: Callable[..., Scene]) -> None:
    nothing = scene([], [], images=0)
    assert np.isnan(coco_class_curves(*nothing).precision).all()
    assert voc_class_curves(*nothing) == [None, None]
    unfound = scene([(0, 0, A)], [])
    assert coco_class_curves(*unfound).precision[0].sum() == 0
    assert len(voc_class_curves(*unfound)[0].recall) == 0
