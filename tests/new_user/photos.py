"""Photos as a new user has them, drawn: 1280 × 960 JPEGs of things on uneven grounds, and what is to be seen on each.

The one list of boxes that every form of annotations_*.py is written from, and that what detres reads is held against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 1280, 960
CLASSES = ("ball", "box", "kite")
# Two in thirty show nothing: an assembly line between two parts, a street at night.
EMPTY = (11, 23)
_COLOURS = {"ball": (40, 60, 205), "box": (60, 160, 70), "kite": (200, 110, 40)}  # blue, green, red
_LEAST, _MOST = 90, 260
_APART = 12

Corners = tuple[int, int, int, int]


@dataclass(frozen=True)
class Thing:
    """xyxy: of the pixels it covers, in whole pixels, the far edges not included."""

    name: str
    xyxy: Corners


@dataclass(frozen=True)
class Photo:
    """stem: of its file, which is STEM.jpg."""

    stem: str
    things: tuple[Thing, ...]

    @property
    def file(self) -> str:
        return f"{self.stem}.jpg"


def draw_photos(folder: Path, count: int = 30, seed: int = 0) -> list[Photo]:
    """Draw so many photos into a folder; returns them in the order of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    # One noise for all, moved about: to draw it anew takes longer than all else.
    noise = 5 * np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH, 3), dtype=np.float32)
    photos = []
    for number in range(1, count + 1):
        random = np.random.default_rng([seed, number])
        photo = Photo(f"IMG_{number:04d}", () if number in EMPTY else tuple(_things(random)))
        picture = _ground(random)
        for thing in photo.things:
            _draw(picture, thing, random)
        picture += np.roll(noise, int(random.integers(noise.size)))
        pixels = np.clip(picture, 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / photo.file), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        photos.append(photo)
    return photos


def _things(random: np.random.Generator) -> list[Thing]:
    """Two to five, none over another."""
    things: list[Thing] = []
    wanted = int(random.integers(2, 6))
    while len(things) < wanted:
        wide, high = (int(side) for side in random.integers(_LEAST, _MOST, 2))
        name = CLASSES[int(random.integers(len(CLASSES)))]
        x, y = int(random.integers(0, WIDTH - wide)), int(random.integers(0, HEIGHT - high))
        box = (x, y, x + wide, y + high)
        if not any(_touch(box, other.xyxy) for other in things):
            things.append(Thing(name, box))
    return things


def _touch(one: Corners, other: Corners) -> bool:
    return (
        one[0] < other[2] + _APART
        and other[0] < one[2] + _APART
        and one[1] < other[3] + _APART
        and other[1] < one[3] + _APART
    )


def _ground(random: np.random.Generator) -> NDArray[np.float32]:
    """A gradient from corner to corner with blurred stains."""
    corners = random.uniform(70, 200, (2, 2, 3)).astype(np.float32)
    stains = random.normal(0, 14, (6, 8, 3)).astype(np.float32)
    ground = cv2.resize(corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(ground + cv2.resize(stains, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def _draw(picture: NDArray[np.float32], thing: Thing, random: np.random.Generator) -> None:
    """Shaded from above, in its class's shape and about its colour."""
    x1, y1, x2, y2 = thing.xyxy
    rows, columns = np.mgrid[0 : y2 - y1, 0 : x2 - x1]
    across, down = (columns + 0.5) / (x2 - x1) * 2 - 1, (rows + 0.5) / (y2 - y1) * 2 - 1
    inside = {
        "ball": across**2 + down**2 <= 1,
        "box": np.ones_like(across, dtype=bool),
        "kite": np.abs(across) + np.abs(down) <= 1,
    }[thing.name]
    colour = np.array(_COLOURS[thing.name]) + random.uniform(-25, 25, 3)
    shaded = colour * (1.0 - 0.25 * down[..., None])
    picture[y1:y2, x1:x2][inside] = shaded[inside]


def described(photos: Sequence[Photo]) -> dict[str, list[tuple[str, Corners]]]:
    """What is on each photo by its file's name, in one order, so that two descriptions can be compared."""
    return {photo.file: sorted((thing.name, thing.xyxy) for thing in photo.things) for photo in photos}
