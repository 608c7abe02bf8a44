"""Lines and labels on a picture."""

from __future__ import annotations

import numpy as np
import pytest

from detres.report.canvas import INK, WHITE, Canvas, class_colour, contrast, font, shortened, text_colour


@pytest.mark.parametrize("label", range(80))
def test_text_stands_out_on_every_class_colour(label: int) -> None:
    ground = class_colour(label)
    assert contrast(text_colour(ground), ground) >= 4.0


def test_contrast_of_black_and_white_is_twenty_one() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
    assert text_colour((0, 0, 0)) == WHITE
    assert text_colour((255, 255, 255)) == INK


def test_the_first_twenty_class_colours_differ() -> None:
    colours = np.array([class_colour(k) for k in range(20)], float)
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 1e9 * np.eye(20)
    assert apart.min() > 40


def covered(canvas: Canvas, before: np.ndarray) -> np.ndarray:
    return (canvas.pixels() != before).any(axis=2)


def test_a_box_is_hollow_and_lies_on_its_edges() -> None:
    ground = np.full((200, 300, 3), 128, np.uint8)
    canvas = Canvas(ground)
    canvas.box((50, 40, 150, 120), (255, 0, 0))
    drawn = covered(canvas, ground)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    reach = canvas.line_width / 2 + 2
    assert abs(rows[0] - 40) <= reach
    assert abs(rows[-1] - 120) <= reach
    assert abs(columns[0] - 50) <= reach
    assert abs(columns[-1] - 150) <= reach
    assert not drawn[50:110, 60:140].any()
    assert not (ground != 128).any()


def test_line_styles_cover_less_and_less() -> None:
    ground = np.zeros((200, 300, 3), np.uint8)
    amounts = []
    for style in ("solid", "dashed", "dotted"):
        canvas = Canvas(ground)
        canvas.box((20, 20, 280, 180), (255, 255, 0), style=style)
        amounts.append(int(covered(canvas, ground).sum()))
    assert amounts[0] > 1.2 * amounts[1] > 1.2 * amounts[2] > 0


@pytest.mark.parametrize("style", ["solid", "dashed", "dotted"])
@pytest.mark.parametrize(
    "box", [(10, 10, 10, 10), (10, 10, 60, 10), (10, 10, 10, 60), (-50, -9, 900, 700), (9, 9, 8, 8)]
)
def test_boxes_without_area_or_outside_the_picture_are_drawn(style: str, box: tuple[float, ...]) -> None:
    ground = np.zeros((80, 100, 3), np.uint8)
    canvas = Canvas(ground)
    canvas.box(box, (0, 255, 0), style=style, label="thing")
    assert covered(canvas, ground).any()


def test_labels_of_one_box_avoid_each_other_and_stay_inside() -> None:
    ground = np.zeros((240, 320, 3), np.uint8)
    canvas = Canvas(ground)
    places = []
    for _ in range(4):
        places.append(canvas._place((0, 0, 200, 120), 80, 16, places))
    for i, (x1, y1, x2, y2) in enumerate(places):
        assert x1 >= 0
        assert y1 >= 0
        assert x2 <= 320
        assert y2 <= 240
        assert all(x2 <= o[0] or o[2] <= x1 or y2 <= o[1] or o[3] <= y1 for o in places[:i])


def test_text_too_long_for_the_picture_is_shortened() -> None:
    typeface = font(12)
    text = shortened("a name much too long for this", typeface, 60)
    assert text.endswith("…")
    assert typeface.getlength(text) <= 60
    assert shortened("short", typeface, 60) == "short"
    assert shortened("nothing fits", typeface, 1) == "…"


def test_scale_enlarges_the_canvas_and_the_boxes() -> None:
    ground = np.zeros((40, 60, 3), np.uint8)
    canvas = Canvas(ground, scale=4.0)
    canvas.box((30, 20, 50, 35), (255, 255, 255))
    drawn = canvas.pixels().any(axis=2)
    assert drawn.shape == (160, 240)
    assert abs(np.flatnonzero(drawn.any(axis=0))[0] - 120) <= 3


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_picture_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Canvas(picture)
