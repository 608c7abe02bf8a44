"""What a line of a YOLO label file may mean, but for a box or a polygon: pose labels and predictions look alike.

Keypoints follow a box in pairs, or in threes with a visibility (0, 1, 2) or a confidence; predictions end with a
confidence, a track's id, or both. An even number of numbers could always be the corners of a polygon. What tells them
apart: keypoints lie in their box, and width and height are no point near the others, as a second corner would be. One
polygon may pass for another thing by chance; of a set, most do not. Width and height of a large box are near the others
by themselves: there it tells that all lines are equally long and every point lies in its box.
"""

from __future__ import annotations

from collections.abc import Sequence

# How far a box may reach beyond the image, and a keypoint beyond its box, in shares of the image: rounding, no more.
_TOLERANCE = 0.02
# How far a rectangle's corner may lie from where the other three have it: to three pixels of 640.
_ROUNDING = 0.005
# How far a polygon may reach beyond the image, in the same shares: what lies farther out is no corner.
_BEYOND = 0.1


def other_meaning(numbers: Sequence[float]) -> str | None:
    """What an even number of numbers behind a class may be but for a polygon; None where nothing else fits."""
    if len(numbers) == 4:
        return None
    (cx, cy, w, h), rest = numbers[:4], numbers[4:]
    if not _is_box(cx, cy, w, h):
        return None
    if len(rest) == 2 and _is_tail(rest):
        return "a box, its confidence and its track's id"
    box = cx, cy, w, h
    for tail, ending in ((0, ""), (1, " and a confidence"), (2, ", a confidence and a track's id")):
        points, more = rest[: len(rest) - tail], rest[len(rest) - tail :]
        if points and _is_tail(more):
            for each, seen in ((3, True), (2, False), (3, False)):
                if len(points) % each == 0 and _are_keypoints(points, each, box, seen):
                    return f"{_keypoints(len(points) // each, each)}{ending}"
    return None


def keypoints_in_box(numbers: Sequence[float]) -> str | None:
    """What numbers are whose first four are a box of any size and all pairs behind it points in it; else None."""
    cx, cy, w, h = numbers[:4]
    box = cx, cy, w, h
    if len(numbers) == 4 or len(numbers) % 2 or not _is_box(cx, cy, w, h):
        return None
    inside = all(_is_inside(x, y, box) for x, y in zip(numbers[4::2], numbers[5::2], strict=True))
    return _keypoints((len(numbers) - 4) // 2, 2) if inside else None


def is_rectangle(numbers: Sequence[float]) -> bool:
    """Whether these are the corners of a rectangle, turned or not, in order: keypoints hardly ever are."""
    return len(numbers) == 8 and all(abs(a - b + c - d) <= _ROUNDING for a, b, c, d in (numbers[::2], numbers[1::2]))


def is_no_polygon(numbers: Sequence[float]) -> bool:
    """Whether any of these is far outside the image, where no corner of a polygon is."""
    return not -_BEYOND <= min(numbers) <= max(numbers) <= 1 + _BEYOND


def meaning_of_odd(count: int) -> str:
    """What to ask of a line with an odd number of numbers, more than a box's."""
    if count == 5:
        return "taken for a box and its confidence, or its track's id, as predictions are written; remove that column"
    points, left = divmod(count - 4, 3)
    keypoints = f"a box and {points} keypoints of 3 numbers (state kpt_shape: [{points}, 3] in the data.yaml), or "
    behind = "a polygon or keypoints, and a confidence or a track's id behind them (remove that column)"
    return f"taken for {'' if left else keypoints}{behind}"


def _keypoints(count: int, each: int) -> str:
    return f"a box, {count} keypoints of {each} numbers"


def _is_box(cx: float, cy: float, w: float, h: float) -> bool:
    """Whether these are a box in the image."""
    return w > 0 and h > 0 and _is_inside(cx, cy, (0.5, 0.5, 1 - w, 1 - h))


def _is_tail(numbers: Sequence[float]) -> bool:
    """Whether these are a confidence and the id of a track, in either order, as far as there are numbers."""
    if len(numbers) < 2:
        return all(0 <= value <= 1 for value in numbers)
    # Ids count from 0 or 1, and what is not followed has -1.
    return any(
        0 <= confidence <= 1 and track >= -1 and track.is_integer()
        for confidence, track in (numbers, reversed(numbers))
    )


def _are_keypoints(points: Sequence[float], each: int, box: tuple[float, float, float, float], seen: bool) -> bool:
    """Whether points of 2 or 3 numbers lie in a box (cx, cy, w, h), or at 0, 0 as those that nobody saw do.

    seen: whether the third numbers are to be visibilities, which are a mark of their own.
    """
    pairs = list(zip(points[::each], points[1::each], strict=True))
    third = points[2::each] if each == 3 else []
    if not all(x == y == 0 or _is_inside(x, y, box) for x, y in pairs):
        return False
    if seen:
        return all(value in (0, 1, 2) for value in third)
    marked = each == 2 and any(x == y == 0 for x, y in pairs)
    return (marked or not _is_inside(box[2], box[3], box)) and all(0 <= value <= 1 for value in third)


def _is_inside(x: float, y: float, box: tuple[float, float, float, float]) -> bool:
    cx, cy, w, h = box
    return abs(x - cx) <= w / 2 + _TOLERANCE and abs(y - cy) <= h / 2 + _TOLERANCE
