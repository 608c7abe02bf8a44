"""One scene of the shapes set: a textured ground and one to six shapes on it.

Everything is whole-number arithmetic after the outlines are placed, so that pixels agree on every machine: libraries
differ in how they round when they blend, blur or resize. H, W height and width; M shapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.data.formats.shapes import SHAPES

# A colour a class, RGB: worn two times in three.
_COLOURS = ((214, 52, 46), (160, 70, 190), (235, 125, 35), (40, 110, 220), (240, 190, 30), (50, 168, 70))
_OWN_COLOUR_SHARE = 2 / 3

_LONG_SIDE, _SHORT_SIDES = 224, (160, 176, 192, 208, 224)
_SMALLEST, _LARGEST = 18, 112
_MOST_SHAPES, _EMPTY_SHARE = 6, 0.03

# A shape may hide this share of an earlier one's box, and no more.
_MOST_OVERLAP = 0.25

# Outlines are drawn this many times larger and averaged down, for smooth edges.
_FINE = 4


@dataclass
class Scene:
    """rgb: (H, W, 3). labels, boxes (xyxy, whole pixels) and areas (covered pixels) of M shapes, the lowest first."""

    rgb: NDArray[np.uint8]
    labels: list[int] = field(default_factory=list)
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)


def draw_scene(draw: np.random.Generator) -> Scene:
    """A scene from the numbers of `draw` alone."""
    short = int(draw.choice(_SHORT_SIDES))
    height, width = (short, _LONG_SIDE) if draw.random() < 0.5 else (_LONG_SIDE, short)
    scene = Scene(_ground(draw, height, width))
    count = 0 if draw.random() < _EMPTY_SHARE else int(draw.integers(1, _MOST_SHAPES + 1))
    for _ in range(count):
        _add_shape(draw, scene)
    return scene


def draw_single(draw: np.random.Generator, label: int, side: int) -> NDArray[np.uint8]:
    """One shape of a class on a ground of (side, side) pixels, of two fifths to nine tenths of its length."""
    rgb = _ground(draw, side, side)
    alpha = _alpha(label, int(side * draw.uniform(0.4, 0.9)), float(draw.uniform(-0.25, 0.25)))
    x, y = draw.integers(0, side - len(alpha) + 1, size=2).tolist()
    _paint(rgb, alpha, x, y, _colour(draw, label), draw)
    return rgb


def draw_localized(draw: np.random.Generator, label: int, short: int) -> Scene:
    """One shape of a class, of three tenths to seven tenths of the shorter side, anywhere on an oblong ground.

    short: pixels of the shorter side; the longer one has up to a third more.
    """
    longer = short + int(draw.integers(short // 3 + 1))
    height, width = (short, longer) if draw.random() < 0.5 else (longer, short)
    scene = Scene(_ground(draw, height, width))
    alpha = _alpha(label, int(short * draw.uniform(0.3, 0.7)), float(draw.uniform(-0.25, 0.25)))
    _place(draw, scene, label, alpha, _colour(draw, label))
    return scene


def _add_shape(draw: np.random.Generator, scene: Scene) -> None:
    """Draw one shape where there is room for it; a scene that is full stays as it is."""
    label = int(draw.integers(len(SHAPES)))
    colour = _colour(draw, label)
    for _ in range(20):
        side = int(_SMALLEST * (_LARGEST / _SMALLEST) ** draw.random())
        alpha = _alpha(label, side, float(draw.uniform(-0.25, 0.25)))
        if _place(draw, scene, label, alpha, colour):
            return


def _place(
    draw: np.random.Generator, scene: Scene, label: int, alpha: NDArray[np.int64], colour: NDArray[np.int64]
) -> bool:
    """Paint the shape wherever it lies within the image; False where it would hide too much of an earlier one."""
    height, width = scene.rgb.shape[:2]
    rows, columns = np.flatnonzero((alpha >= 128).any(axis=1)), np.flatnonzero((alpha >= 128).any(axis=0))
    x = int(draw.integers(-columns[0], width - columns[-1]))
    y = int(draw.integers(-rows[0], height - rows[-1]))
    box = (x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1)
    if any(_overlap(box, other) > _MOST_OVERLAP for other in scene.boxes):
        return False
    _paint(scene.rgb, alpha, x, y, colour, draw)
    scene.labels.append(label)
    scene.boxes.append(box)
    scene.areas.append(int((alpha >= 128).sum()))
    return True


def _colour(draw: np.random.Generator, label: int) -> NDArray[np.int64]:
    own = draw.random() < _OWN_COLOUR_SHARE
    base = np.array(_COLOURS[label if own else int(draw.integers(len(_COLOURS)))])
    return np.clip(base + draw.integers(-25, 26, size=3), 0, 255)


def _alpha(label: int, side: int, angle: float) -> NDArray[np.int64]:
    """(S, S) coverage 0..255 of a shape of about `side` pixels, with a margin of a pixel or two around it."""
    size = side + 4
    canvas = np.zeros((size * _FINE, size * _FINE), dtype=np.uint8)
    for outline, value in _outlines(SHAPES[label], side / 2 * _FINE, angle):
        points = np.array(
            [[round(size * _FINE / 2 + x), round(size * _FINE / 2 + y)] for x, y in outline], dtype=np.int32
        )
        cv2.fillPoly(canvas, [points], value, lineType=cv2.LINE_8)
    return canvas.reshape(size, _FINE, size, _FINE).astype(np.int64).sum(axis=(1, 3)) // _FINE**2


def _outlines(name: str, radius: float, angle: float) -> list[tuple[list[tuple[float, float]], int]]:
    """Polygons around the origin, each with the value it is filled with; all lie within `radius` on both axes."""
    if name == "circle":
        return [(_ngon(48, radius, 0.0), 255)]
    if name == "ring":
        return [(_ngon(48, radius, 0.0), 255), (_ngon(48, radius * 0.55, 0.0), 0)]
    if name == "square":
        return [(_ngon(4, radius, math.pi / 4 + angle), 255)]
    if name == "triangle":
        return [(_ngon(3, radius, math.pi / 6 + angle), 255)]
    if name == "star":
        outer, inner = _ngon(5, radius, -math.pi / 2 + angle), _ngon(5, radius * 0.42, -math.pi * 0.3 + angle)
        return [([point for pair in zip(outer, inner, strict=True) for point in pair], 255)]
    arm, end = radius * 0.28, radius * 0.95
    bar = [(-end, -arm), (end, -arm), (end, arm), (-end, arm)]
    return [(_turned(bar, angle), 255), (_turned(bar, angle + math.pi / 2), 255)]


def _ngon(corners: int, radius: float, first: float) -> list[tuple[float, float]]:
    angles = [first + 2 * math.pi * i / corners for i in range(corners)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _turned(points: list[tuple[float, float]], angle: float) -> list[tuple[float, float]]:
    cosine, sine = math.cos(angle), math.sin(angle)
    return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in points]


def _overlap(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Shared area over the smaller box's."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return max(width, 0) * max(height, 0) / smaller


def _paint(rgb: NDArray[np.uint8], alpha: NDArray, x: int, y: int, colour: NDArray, draw: np.random.Generator) -> None:
    """Blend a shape with a little grain of its own into the image, its canvas' corner at (x, y)."""
    size = len(alpha)
    grain = _grain(draw, size, size, 8)
    top, left = max(-y, 0), max(-x, 0)
    part = rgb[max(y, 0) : y + size, max(x, 0) : x + size]
    rows, columns = slice(top, top + part.shape[0]), slice(left, left + part.shape[1])
    weight = alpha[rows, columns, None]
    painted = np.clip(colour + grain[rows, columns], 0, 255)
    part[:] = (painted * weight + part.astype(np.int64) * (255 - weight) + 127) // 255


def _ground(draw: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Clouds, stripes or a chequered pattern in dull colours, with grain."""
    rows, columns = np.mgrid[:height, :width]
    first = draw.integers(40, 216) + draw.integers(-25, 26, size=3)
    second = first + draw.integers(-45, 46, size=3)
    kind = int(draw.integers(3))
    if kind == 0:
        share = _clouds(draw, height, width)
    elif kind == 1:
        across, down, period = (int(draw.integers(low, high)) for low, high in ((-3, 4), (1, 4), (12, 40)))
        share = (columns * across + rows * down) // period % 2 * 256
    else:
        period = int(draw.integers(8, 32))
        share = (columns // period + rows // period) % 2 * 256
    mixed = (first * (256 - share[..., None]) + second * share[..., None]) // 256
    return np.clip(mixed + _grain(draw, height, width, 6), 0, 255).astype(np.uint8)


def _grain(draw: np.random.Generator, height: int, width: int, most: int) -> NDArray[np.int64]:
    """(H, W, 1) grey noise in cells of 2×2 pixels: that of single pixels would double the files."""
    cells = draw.integers(-most, most + 1, size=(height // 2 + 1, width // 2 + 1))
    return cells.repeat(2, axis=0).repeat(2, axis=1)[:height, :width, None]


def _clouds(draw: np.random.Generator, height: int, width: int) -> NDArray[np.int64]:
    """(H, W) in 0..256: a coarse random grid, filled in linearly."""
    cell = 32
    grid = draw.integers(0, 257, size=(height // cell + 2, width // cell + 2))
    row, down = np.divmod(np.arange(height), cell)
    column, across = np.divmod(np.arange(width), cell)
    upper, lower = grid[row], grid[row + 1]
    lines = upper * (cell - down[:, None]) + lower * down[:, None]
    return (lines[:, column] * (cell - across) + lines[:, column + 1] * across) // cell**2
