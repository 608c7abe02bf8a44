"""The upright boxes of what annotation tools let one draw: corners, rectangles that are turned, circles, ellipses.

A box is xyxy, in whatever unit its shape is. Every function returns None where a number is none, or is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from detres.data.values import finite_number

Box = tuple[float, float, float, float]


def numbers_of(values: Iterable[Any]) -> list[float] | None:
    """All of them as finite numbers; None where one is none."""
    numbers = []
    for value in values:
        number = finite_number(value)
        if number is None:
            return None
        numbers.append(number)
    return numbers


def box_of_sides(x: Any, y: Any, width: Any, height: Any) -> Box | None:
    """From the upper left corner and the sides."""
    numbers = numbers_of((x, y, width, height))
    if numbers is None:
        return None
    left, top, wide, high = numbers
    return left, top, left + wide, top + high


def box_of_points(xs: Sequence[Any], ys: Sequence[Any], *, fewest: int = 2) -> Box | None:
    """Around points; None where there are fewer, or not as many xs as ys."""
    across, down = numbers_of(xs), numbers_of(ys)
    if across is None or down is None or len(across) != len(down) or len(across) < fewest:
        return None
    return min(across), min(down), max(across), max(down)


def box_of_ellipse(cx: Any, cy: Any, rx: Any, ry: Any, *, degrees: Any = 0) -> Box | None:
    """Around an ellipse of these half axes, turned about its centre."""
    numbers = numbers_of((cx, cy, rx, ry, degrees))
    if numbers is None:
        return None
    x, y, wide, high, angle = numbers
    cos, sin = _cos_and_sin(angle)
    across, down = math.hypot(wide * cos, high * sin), math.hypot(wide * sin, high * cos)
    return x - across, y - down, x + across, y + down


def box_of_turned(box: Box, degrees: Any, about: tuple[float, float] | None = None) -> Box | None:
    """Around a rectangle that is turned clockwise (y points down) about a point, its centre where none is given."""
    angle = finite_number(degrees)
    if angle is None:
        return None
    if angle == 0:
        return box
    x1, y1, x2, y2 = box
    px, py = about or ((x1 + x2) / 2, (y1 + y2) / 2)
    cos, sin = _cos_and_sin(angle)
    corners = [(x - px, y - py) for x in (x1, x2) for y in (y1, y2)]
    xs = [px + x * cos - y * sin for x, y in corners]
    ys = [py + x * sin + y * cos for x, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _cos_and_sin(degrees: float) -> tuple[float, float]:
    """Exact where a quarter turn is meant: sin(pi) is not 0."""
    quarter = {0.0: (1.0, 0.0), 90.0: (0.0, 1.0), 180.0: (-1.0, 0.0), 270.0: (0.0, -1.0)}.get(degrees % 360)
    return quarter or (math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))
