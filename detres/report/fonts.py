"""Which letters a picture can show: those of the font matplotlib brings along, else of one this machine has.

DejaVu Sans has Europe's scripts and some more. Where a text has others (Chinese, Japanese, Korean, Thai, ...), the
first font of the system that has all of its characters is taken; what no font has is written out as \\u72ac, not drawn
as a square.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from PIL import ImageFont

# Words in the names of files of fonts for many scripts, which are looked into first.
_WIDE = ("cjk", "noto", "han", "wqy", "hei", "ming", "gothic", "song", "unifont", "droid", "arialuni", "yahei")
_MOST_FONTS = 2000
_LONGEST = 1000  # characters; no picture shows as many


@functools.lru_cache(maxsize=64)
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along, `size` pixels high."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def legible(text: str, typeface: ImageFont.FreeTypeFont) -> tuple[str, ImageFont.FreeTypeFont]:
    """The text in one line as it can be drawn, and the font to draw it in: `typeface` where that has its letters."""
    text = text[:_LONGEST]
    if text.isascii() and text.isprintable():
        return text, typeface
    text = "".join(_written_out(char) if _is_control(char) else char for char in text)
    own = _characters(str(typeface.path))
    missing = {char for char in text if ord(char) not in own}
    if not missing:
        return text, typeface
    other = _font_with(frozenset(text))
    if other is not None:
        return text, _opened(other, round(typeface.size))
    return "".join(_nearest(char, own) if char in missing else char for char in text), typeface


def illegible(names: Iterable[str]) -> str | None:
    """A line for people where no font of this machine has the letters of some names."""
    own = font(12)
    told = [name for name in names if legible(name, own)[0] != name[:_LONGEST]]
    if not told:
        return None
    example, shown = told[0][:40], legible(told[0][:40], own)[0]
    return (
        f"pictures: no font of this machine has all letters of {len(told)} names; {example!a} is drawn as {shown} "
        "(install one that has them, such as Noto Sans CJK)"
    )


@functools.lru_cache(maxsize=1024)
def _font_with(characters: frozenset[str]) -> str | None:
    """The file of the first font of this system that has all of these characters."""
    codes = {ord(char) for char in characters}
    return next((file for file in _system_fonts() if codes <= _characters(file) and _opens(file)), None)


@functools.cache
def _system_fonts() -> tuple[str, ...]:
    from matplotlib.font_manager import findSystemFonts

    files = [file for file in findSystemFonts() if "lastresort" not in Path(file).name.lower()]
    return tuple(sorted(files, key=lambda file: (not _is_wide(file), file))[:_MOST_FONTS])


def _is_wide(file: str) -> bool:
    return any(word in Path(file).name.lower() for word in _WIDE)


@functools.cache
def _characters(file: str) -> frozenset[int]:
    """The code points a font has; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()


@functools.cache
def _opens(file: str) -> bool:
    try:
        _opened(file, 12)
    except (OSError, ValueError):  # of bitmaps, such as those of coloured emoji
        return False
    return True


@functools.lru_cache(maxsize=64)
def _opened(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def _nearest(char: str, own: frozenset[int]) -> str:
    """Letters that are there and mean the same (a wide A), none where nothing is seen of it, else its number."""
    plain = unicodedata.normalize("NFKD", char)
    if plain != char and all(ord(part) in own for part in plain):
        return plain
    return "" if unicodedata.category(char) in ("Cf", "Mn") else _written_out(char)


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


def _written_out(char: str) -> str:
    return char.encode("unicode_escape", errors="backslashreplace").decode()
