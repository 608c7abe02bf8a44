"""A picture to draw boxes and labels on: lines seen on any ground, labels that avoid each other and stay inside.

H×W pixels of the picture given; everything drawn is in proportion to its size.
"""

from __future__ import annotations

import colorsys
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from detres.report.fonts import font, legible

Rgb = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]
LineStyle = Literal["solid", "dashed", "dotted"]

WHITE: Rgb = (255, 255, 255)
INK: Rgb = (28, 32, 38)
# Thinner letters than this many pixels cannot be read.
_SMALLEST_FONT = 10


class Canvas:
    """Draws on a copy of a picture.

    rgb: (H, W, 3) uint8. scale: the canvas is this many times the picture; boxes are given in the picture's pixels.
    """

    def __init__(self, rgb: NDArray[np.uint8], *, scale: float = 1.0) -> None:
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise ValueError(f"a picture is uint8 (H, W, 3) RGB, got {rgb.dtype} {rgb.shape}")
        self._scale = scale
        self._image = Image.fromarray(rgb)
        if scale != 1.0:
            size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
            self._image = self._image.resize(size, Image.Resampling.BICUBIC)
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self.width, self.height = self._image.size
        extent = math.sqrt(self.width * self.height)
        self.line_width = max(1, round(extent / 240))
        self._font = font(max(_SMALLEST_FONT, round(extent / 36)), bold=True)
        self._labels: list[tuple[Rectangle, str, Rgb]] = []

    def box(
        self, box: Rectangle, colour: Rgb, *, style: LineStyle = "solid", label: str = "", tint: float = 0.0
    ) -> None:
        """A rectangle around `box` (xyxy), its inside tinted by a share of the colour.

        Its label is drawn by `pixels`, above all boxes drawn until then.
        """
        x1, y1, x2, y2 = (value * self._scale for value in box)
        half = self.line_width / 2
        # Kept inside, so that a box along the picture's edge shows all its sides.
        x1, x2 = (min(max(x, half), self.width - half) for x in (x1, x2))
        y1, y2 = (min(max(y, half), self.height - half) for y in (y1, y2))
        if tint and x2 > x1 and y2 > y1:
            self._draw.rectangle((x1, y1, x2, y2), fill=(*colour, round(255 * tint)))
        sides = [(x1, y1, x2, y1), (x2, y1, x2, y2), (x1, y2, x2, y2), (x1, y1, x1, y2)]
        strokes = [stroke for side in sides for stroke in _strokes(side, self.line_width, style)]
        # A dark rim sets the line off from a ground of its own colour.
        for stroke in strokes:
            self._bar(stroke, self.line_width + 2, (0, 0, 0, 130))
        for stroke in strokes:
            self._bar(stroke, self.line_width, (*colour, 255))
        if label:
            self._labels.append(((x1, y1, x2, y2), label, colour))

    def pixels(self) -> NDArray[np.uint8]:
        """The picture with everything on it, (H, W, 3) uint8. Labels given last are placed first."""
        taken: list[Rectangle] = []
        placed: list[tuple[Rectangle, str, ImageFont.FreeTypeFont, Rgb]] = []
        padding = max(2, round(self._font.size * 0.28))
        height = round(self._font.size * 1.36)
        for box, text, colour in reversed(self._labels):
            text, typeface = legible(text, self._font)
            text = shortened(text, typeface, self.width - 2 * padding)
            width = math.ceil(typeface.getlength(text)) + 2 * padding
            place = self._place(box, width, height, taken)
            taken.append(place)
            placed.append((place, text, typeface, colour))
        for (x1, y1, x2, y2), text, typeface, colour in reversed(placed):
            self._draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=(*colour, 255), outline=(0, 0, 0, 110))
            self._draw.text((x1 + padding, (y1 + y2) / 2), text, font=typeface, fill=text_colour(colour), anchor="lm")
        self._labels.clear()
        return np.array(self._image)

    def _bar(self, stroke: Rectangle, width: float, colour: tuple[int, int, int, int]) -> None:
        x1, y1, x2, y2 = stroke
        half = width / 2
        left, top = round(x1 - half), round(y1 - half)
        right, bottom = max(left + 1, round(x2 + half)), max(top + 1, round(y2 + half))
        self._draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)

    def _place(self, box: Rectangle, width: int, height: int, taken: list[Rectangle]) -> Rectangle:
        """Where a label of this size goes: at its box, inside the picture, off the labels placed so far if it can."""
        x1, y1, x2, y2 = box
        half = self.line_width / 2
        left, right = x1 - half, x2 + half - width
        middle = (left + right) / 2
        above, below, in_top, in_bottom = y1 - half - height, y2 + half, y1 - half, y2 + half - height
        corners = [(left, above), (left, in_top), (left, below), (right, above), (right, below), (right, in_top)]
        corners += [(left, in_bottom), (right, in_bottom), (middle, above), (middle, below)]
        corners += [(x, y) for x in (x2 + half, x1 - half - width) for y in (in_top, in_bottom)]
        candidates = []
        for rank, (x, y) in enumerate(corners):
            inside_x = min(max(round(x), 0), self.width - width)
            inside_y = min(max(round(y), 0), self.height - height)
            moved = abs(inside_x - x) + abs(inside_y - y) > height / 2
            place = (inside_x, inside_y, inside_x + width, inside_y + height)
            hidden = sum(_shared_area(place, other) for other in taken) / (width * height)
            candidates.append((hidden + 0.01 * rank + 0.1 * moved, place))
        return min(candidates)[1]


def shortened(text: str, typeface: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of its beginning as fits into `width` pixels with an ellipsis."""
    if typeface.getlength(text) <= width:
        return text
    kept = len(text)
    while kept and typeface.getlength(text[:kept].rstrip() + "…") > width:
        kept -= 1
    return text[:kept].rstrip() + "…"


def class_colour(label: int) -> Rgb:
    """A vivid colour for each class, those of neighbouring labels far apart."""
    # Steps by the golden section never come near an earlier hue for long.
    hue = (0.58 + label * 0.61803399) % 1.0
    lightness = (0.52, 0.66, 0.42)[label // 8 % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_colour(ground: Rgb) -> Rgb:
    """Near-black or white, whichever stands out more on this ground (WCAG 2 contrast)."""
    return INK if contrast(INK, ground) >= contrast(WHITE, ground) else WHITE


def contrast(colour: Rgb, other: Rgb) -> float:
    """Contrast ratio of two colours, 1 to 21. Source: W3C, Web Content Accessibility Guidelines 2.1."""
    bright, dark = sorted((_luminance(colour), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: Rgb) -> float:
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _strokes(side: Rectangle, width: int, style: LineStyle) -> list[Rectangle]:
    """The side of a box cut into strokes that begin and end at its corners."""
    x1, y1, x2, y2 = side
    length = max(x2 - x1, y2 - y1)
    # Gaps stay open beside the dark rims of thin lines.
    stroke, gap = (0.0, 2.0 * width + 3) if style == "dotted" else (4.0 * width, 2.0 * width + 3)
    if style == "solid" or length <= stroke + gap:
        return [side]
    steps = max(1, round((length - stroke) / (stroke + gap)))
    step = (length - stroke) / steps
    right, down = (1, 0) if x2 > x1 else (0, 1)
    starts = [i * step for i in range(steps + 1)]
    return [(x1 + right * s, y1 + down * s, x1 + right * (s + stroke), y1 + down * (s + stroke)) for s in starts]


def _shared_area(a: Rectangle, b: Rectangle) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
