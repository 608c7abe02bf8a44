from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from detres.evaluation.error_kinds import judge_errors
from detres.evaluation.flat_boxes import flat_detections, flat_objects
from detres.evaluation.image_errors import image_badness

A, B, AWAY = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 10.0, 10.0], [0.0, 30.0, 4.0, 4.0]


def badness(scene: tuple[dict[str, Any], list[dict[str, Any]]]) -> list[float]:
    objects, found = flat_objects(scene[0]), flat_detections(*scene)
    images = len(scene[0]["images"])
    return image_badness(objects, found, judge_errors(objects, found), images).tolist()


def test_what_hits_lack_what_is_missed_and_what_is_false_add_up(scene: Callable[..., Any]) -> None:
    objects = [(0, 0, A), (0, 0, B), (1, 0, A), (3, 0, A)]
    found = [(0, 0, A, 0.9), (0, 1, AWAY, 0.3), (1, 0, A, 1.0), (2, 0, A, 0.25), (3, 0, A, 0.5)]
    truth = scene(objects, found, images=5, ignored=(3,))
    assert badness(truth) == pytest.approx([0.1 + 1 + 0.3, 0, 0.25, 0, 0])


def test_no_image_went_badly_where_there_is_none(scene: Callable[..., Any]) -> None:
    assert badness(scene([], [], images=0)) == []
