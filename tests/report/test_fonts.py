"""Names in any script are drawn in a font that has them, else written out; never as squares, and it is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from detres.report import fonts
from detres.report.canvas import Canvas
from detres.report.fonts import font, illegible, legible


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without other fonts."""
    monkeypatch.setattr(fonts, "_system_fonts", tuple)
    fonts._font_with.cache_clear()
    yield
    fonts._font_with.cache_clear()


def _made_font(file: Path, text: str) -> str:
    """A font with a box for each character."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 700), (900, 700), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    box, names = pen.glyph(), [f"g{ord(char)}" for char in text]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap({ord(char): name for char, name in zip(text, names, strict=True)})
    builder.setupGlyf(dict.fromkeys([".notdef", *names], box))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Made", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(file)
    return str(file)


@pytest.mark.parametrize("text", ["dog", "Löwe 0.95", "собака", "naïve …"])
def test_what_the_own_font_has_is_drawn_in_it(text: str) -> None:
    assert legible(text, font(12)) == (text, font(12))


def test_a_font_of_the_system_is_taken_that_has_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = _made_font(tmp_path / "some.ttf", "犬 0.95")
    whole = _made_font(tmp_path / "more.ttf", "犬猫 0.95")
    monkeypatch.setattr(fonts, "_system_fonts", lambda: (lacking, whole))
    text, typeface = legible("犬猫 0.95", font(20))
    assert (text, typeface.path, typeface.size) == ("犬猫 0.95", whole, 20)
    assert illegible(["犬猫"]) is None


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("犬 0.95", r"\u72ac 0.95"),
        ("\uff21\uff22", "AB"),
        ("a\nb\tc\0", r"a\nb\tc\x00"),
        ("\ud800", r"\ud800"),
        ("\U0001f9ff", r"\U0001f9ff"),
    ],
)
def test_what_no_font_has_is_written_out(text: str, drawn: str) -> None:
    assert legible(text, font(12))[0] == drawn


def test_people_are_told_once_what_they_will_see() -> None:
    assert illegible(["dog", "Löwe"]) is None
    assert illegible(["dog", "犬", "猫"]) == (
        "pictures: no font of this machine has all letters of 2 names; '\\u72ac' is drawn as \\u72ac "
        "(install one that has them, such as Noto Sans CJK)"
    )


@pytest.mark.parametrize("label", ["犬", "a\nb", "\ud800", "\0", "x" * 100_000, "", "\u202e", "ก็"])
def test_any_label_can_be_drawn(label: str) -> None:
    canvas = Canvas(np.zeros((60, 80, 3), np.uint8))
    canvas.box((10, 10, 50, 50), (255, 0, 0), label=label)
    assert canvas.pixels().any()
