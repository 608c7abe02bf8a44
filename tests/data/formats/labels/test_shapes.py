import math

import cv2
import numpy as np
import pytest

from detres.data.formats.labels.shapes import (
    box_of_ellipse,
    box_of_points,
    box_of_sides,
    box_of_turned,
    numbers_of,
)


def test_corners_and_sides_by_hand() -> None:
    assert box_of_sides("1", 2, 10.5, "8") == (1, 2, 11.5, 10)
    assert box_of_points([5, 1, 3], [2, 9, 4]) == (1, 2, 5, 9)
    assert box_of_ellipse(10, 20, 3, 4) == (7, 16, 13, 24)


def test_quarter_turns_are_exact() -> None:
    box = (10.0, 10.0, 30.0, 20.0)
    assert box_of_turned(box, 90) == (15, 5, 25, 25)
    assert box_of_turned(box, 90, (10, 10)) == (0, 10, 10, 30)
    assert box_of_turned(box, 180, (10, 10)) == (-10, 0, 10, 10)
    assert box_of_turned(box, -90) == box_of_turned(box, 270) == (15, 5, 25, 25)
    assert box_of_turned(box, 0) is box
    assert box_of_ellipse(10, 20, 3, 4, degrees=90) == (6, 17, 14, 23)


@pytest.mark.parametrize("degrees", [7.5, 45, 133, 289.25])
def test_turned_rectangles_are_as_opencv_has_them(degrees: float) -> None:
    around = cv2.boxPoints(((20.0, 15.0), (20.0, 10.0), degrees))
    expected = (*around.min(axis=0), *around.max(axis=0))
    np.testing.assert_allclose(box_of_turned((10.0, 10.0, 30.0, 20.0), degrees), expected, atol=1e-4)


@pytest.mark.parametrize("degrees", [0, 30, 77, 160])
def test_a_turned_ellipse_is_within_its_box_and_touches_it(degrees: float) -> None:
    angles, turn = np.linspace(0, 2 * math.pi, 20000), math.radians(degrees)
    x, y = 9 * np.cos(angles), 4 * np.sin(angles)
    xs, ys = 50 + x * np.cos(turn) - y * np.sin(turn), 40 + x * np.sin(turn) + y * np.cos(turn)
    expected = (xs.min(), ys.min(), xs.max(), ys.max())
    np.testing.assert_allclose(box_of_ellipse(50, 40, 9, 4, degrees=degrees), expected, atol=1e-5)


@pytest.mark.parametrize("bad", ["nan", "inf", "", None, True, [], 10**400, "1_0", {}])
def test_what_is_no_finite_number_makes_no_box(bad: object) -> None:
    assert numbers_of([1, bad]) is None
    assert box_of_sides(1, 2, bad, 4) is None
    assert box_of_points([1, 2], [3, bad]) is None
    assert box_of_ellipse(1, 2, 3, bad) is None
    assert box_of_turned((1, 2, 3, 4), bad) is None


def test_too_few_points_make_no_box() -> None:
    assert box_of_points([], []) is None
    assert box_of_points([1, 2], [1]) is None
    assert box_of_points([1, 2], [1, 2], fewest=3) is None
