"""Pictures of detections: who is drawn how, and sheets that hold what they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detres.report import drawing
from detres.report.canvas import class_colour
from detres.report.drawing import (
    _FALSE_ALARM,
    _HIT,
    _IGNORED,
    _MISS,
    draw_comparison,
    draw_detections,
    draw_objects,
    picture_sheet,
)
from detres.structures import Detections, DetectionTarget

NAMES = ("dog", "cat")
GROUND = np.full((400, 500, 3), 90, np.uint8)


def found(*rows: tuple[list[float], float, int]) -> Detections:
    boxes, scores, labels = zip(*rows, strict=True) if rows else ([], [], [])
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int64),
        (400, 500),
    )


def target(*rows: tuple[list[float], int, bool]) -> DetectionTarget:
    if not rows:
        return DetectionTarget.empty()
    boxes, labels, ignore = zip(*rows, strict=True)
    return DetectionTarget(torch.tensor(boxes, dtype=torch.float32), torch.tensor(labels), torch.tensor(ignore))


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(colour, np.uint8)).all(axis=2).any())


def test_only_scores_high_enough_are_drawn_each_in_its_classes_colour() -> None:
    detections = found(([50, 60, 200, 200], 0.9, 0), ([250, 60, 400, 200], 0.3, 1))
    picture = draw_detections(GROUND, detections, NAMES)
    assert picture.shape == GROUND.shape
    assert has(picture, class_colour(0))
    assert not has(picture, class_colour(1))
    assert has(draw_detections(GROUND, detections, NAMES, min_score=0.2), class_colour(1))


def test_no_detections_leave_the_picture_as_it_is() -> None:
    assert np.array_equal(draw_detections(GROUND, found(), NAMES), GROUND)
    assert draw_detections(GROUND, found(), NAMES, scale=2.0).shape == (800, 1000, 3)


def test_objects_are_named_and_never_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    monkeypatch.setattr(drawing.Canvas, "box", lambda self, box, colour, *, label="", **how: labels.append(label))
    draw_objects(GROUND, target(([50, 60, 200, 200], 0, False), ([250, 60, 400, 200], 1, True)), NAMES)
    assert labels == ["dog", "cat"]
    draw_detections(GROUND, found(([50, 60, 200, 200], 1.0, 0)), NAMES)
    assert labels[2:] == ["dog 1.00"]


def test_objects_have_the_colours_of_their_classes_and_ignored_ones_are_grey() -> None:
    picture = draw_objects(GROUND, target(([50, 60, 200, 200], 0, False), ([250, 60, 400, 200], 1, True)), NAMES)
    assert has(picture, class_colour(0))
    assert not has(picture, class_colour(1))
    assert has(picture, _IGNORED.colour)
    assert np.array_equal(draw_objects(GROUND, target(), NAMES), GROUND)


@pytest.mark.parametrize("shape", [(8, 8), (3, 700), (700, 3)])
def test_tiny_and_narrow_pictures_are_drawn(shape: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    detections = found(([0, 0, 2, 2], 0.9, 0))
    assert draw_detections(picture, detections, NAMES).shape == picture.shape
    assert draw_comparison(picture, target(([0, 0, 2, 2], 0, False)), detections, NAMES, min_side=10).ndim == 3


def panels(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right without the bands of text above and below, which hold the legend."""
    half = picture.shape[1] // 2
    return picture[30:420, : half - 8], picture[30:420, half + 8 :]


@pytest.mark.parametrize(
    ("objects", "detections", "left", "right"),
    [
        (target(([50, 60, 200, 200], 0, False)), found(([52, 60, 205, 200], 0.9, 0)), {_HIT}, {_HIT}),
        (target(([50, 60, 200, 200], 0, False)), found(([52, 60, 205, 200], 0.9, 1)), {_MISS}, {_FALSE_ALARM}),
        (target(([50, 60, 200, 200], 0, False)), found(([52, 60, 205, 200], 0.4, 0)), {_MISS}, set()),
        (target(([50, 60, 200, 200], 0, True)), found(([52, 60, 205, 200], 0.9, 0)), {_IGNORED}, {_IGNORED}),
        (
            target(([50, 60, 200, 200], 0, False)),
            found(([52, 60, 205, 200], 0.9, 0), ([50, 62, 210, 200], 0.8, 0)),
            {_HIT},
            {_HIT, _FALSE_ALARM},
        ),
        (target(), found(), set(), set()),
    ],
)
def test_hits_misses_and_false_alarms_have_their_own_colours(
    objects: DetectionTarget, detections: Detections, left: set, right: set
) -> None:
    picture = draw_comparison(GROUND, objects, detections, NAMES)
    for panel, expected in zip(panels(picture), (left, right), strict=True):
        assert {s for s in (_HIT, _MISS, _FALSE_ALARM, _IGNORED) if has(panel, s.colour)} == expected


def test_kinds_of_boxes_differ_in_line_as_well_as_in_colour() -> None:
    assert len({stroke.style for stroke in (_HIT, _MISS, _FALSE_ALARM)}) == 3


def test_small_pictures_are_enlarged_for_a_comparison() -> None:
    small = np.zeros((96, 128, 3), np.uint8)
    picture = draw_comparison(small, target(), found(), NAMES, min_side=384)
    assert picture.shape[1] >= 2 * 512


def test_a_sheet_holds_every_picture_in_order() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200)]
    pictures = [np.full((60 + 10 * i, 80, 3), colour, np.uint8) for i, colour in enumerate(colours)]
    sheet = picture_sheet(pictures, 2, title="five", captions=list("abcde"), width=600)
    assert sheet.shape[1] == 600
    first_rows = []
    for colour in colours:
        inside = (sheet == np.array(colour, np.uint8)).all(axis=2)
        assert inside.sum() > 1000
        first_rows.append(int(np.flatnonzero(inside.any(axis=1))[0]))
    assert first_rows[0] == first_rows[1] < first_rows[2] == first_rows[3] < first_rows[4]


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (3, 2000)])
def test_pictures_as_thin_as_needles_stay_within_what_files_take(shape: tuple[int, int]) -> None:
    needle = np.zeros((*shape, 3), np.uint8)
    assert max(draw_comparison(needle, target(), found(), NAMES).shape) < 5000
    assert max(picture_sheet([needle] * 6, 3, width=900).shape) < 10_000


def test_a_sheet_of_one_picture_needs_no_words() -> None:
    assert picture_sheet([GROUND], 4).shape[1] == 500


@pytest.mark.parametrize(("count", "columns", "captions"), [(0, 2, []), (2, 0, []), (2, 2, ["only one"])])
def test_a_sheet_that_cannot_be_made_is_refused(count: int, columns: int, captions: list[str]) -> None:
    with pytest.raises(ValueError, match="make no sheet"):
        picture_sheet([GROUND] * count, columns, captions=captions)
