"""Names from outside (of classes, images, splits) as names of files and folders of ours, on any system."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Container, Iterable

_FORBIDDEN = re.compile(r'[/\\<>:"|?*]')
"""What separates folders or stands for something else, on this system or another."""

# Devices of Windows, whatever ending they are given.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)", re.IGNORECASE)

_DIGEST = 8


def safe_name(text: str, *, most: int = 120) -> str:
    """`text` as the name of one file or folder: it itself where it is one, else the nearest name that is.

    Nothing of it leads to another folder (`/`, `..`), hides the file (a dot in front) or cannot be stored (NUL, lone
    surrogates, more than `most` bytes of UTF-8; where it is cut, a digest of the whole keeps it apart from others).
    An ending is the caller's to add. Different texts may give one name: see unique_names.
    """
    name = _FORBIDDEN.sub("_", "".join("_" if _unprintable(char) else char for char in text))
    name = re.sub(r"^\.+", lambda dots: "_" * len(dots[0]), name.strip()).rstrip(". ")
    if not name or _RESERVED.match(name):
        name = f"_{name}"
    if len(name.encode("utf-8")) <= most:
        return name
    digest = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{_cut(name, most - _DIGEST - 1)}-{digest}"


def unique_names(names: Iterable[str], *, most: int = 120) -> list[str]:
    """safe_name of each, in order, and no two of them one file, also where systems do not tell capitals apart.

    A name that is safe as it is stays so, as long as no other with it is the same file; the others get -2, -3, ...
    """
    names = list(names)
    safe = [safe_name(name, most=most) for name in names]
    chosen: dict[int, str] = {}
    taken: set[str] = set()
    for place, name in enumerate(safe):
        if name == names[place] and _as_file(name) not in taken:
            chosen[place] = name
            taken.add(_as_file(name))
    for place, name in enumerate(safe):
        if place not in chosen:
            chosen[place] = _numbered(name, taken, most)
            taken.add(_as_file(chosen[place]))
    return [chosen[place] for place in range(len(names))]


def _numbered(name: str, taken: Container[str], most: int) -> str:
    """`name`, or the first of name-2, name-3, ... that is no file in `taken`."""
    numbered, number = name, 1
    while _as_file(numbered) in taken:
        number += 1
        numbered = safe_name(f"{_cut(name, most - 10)}-{number}", most=most)
    return numbered


def _unprintable(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


def _as_file(name: str) -> str:
    """What two names have in common where a file system takes them for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _cut(name: str, most: int) -> str:
    """The first characters of a name, no more than `most` bytes of them."""
    return name.encode("utf-8")[:most].decode("utf-8", errors="ignore").rstrip(". ")
