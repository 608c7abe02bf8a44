"""Links of Markdown that is read in the repository, as they lead on the site.

A link to a page stays one, a link to another file leads to its text on the site (source_pages.py), and of a link to a
folder, of which there is no page, the words stay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from detres_site.places import PAGES, ROOT, SHOWN_BY

# The words may hold code and one picture, but no other link.
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(([^()\s]+)\)")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,}|:{3,})")
_ELSEWHERE = re.compile(r"[a-z]+:|#")


def on_site(text: str, folder: Path) -> str:
    """Markdown of a file in `folder`, with the links of a page right below docs/; code blocks stay as they are."""
    return outside_code(text, lambda line: _LINK.sub(lambda link: _led(link, folder), line))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Markdown with lines changed that are in no code block."""
    lines, fence = [], ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            fence = ""
        elif not fence:
            line = change(line)
        lines.append(line)
    return "\n".join(lines)


def _led(link: re.Match[str], folder: Path) -> str:
    mark, words, target = link.groups()
    if _ELSEWHERE.match(target):
        return link[0]
    place, _, anchor = target.partition("#")
    file = Path(os.path.normpath(folder / place))
    if not file.is_relative_to(ROOT) or not file.exists():
        return link[0]  # Sphinx says that it leads nowhere.
    if file.is_dir():
        return words
    return f"{mark}[{words}]({_address(file, bool(mark))}{'#' + anchor if anchor else ''})"


def _address(file: Path, is_picture: bool) -> str:
    name = file.relative_to(ROOT).as_posix()
    if name in SHOWN_BY:
        return SHOWN_BY[name]
    if is_picture or (file.parent == PAGES and file.suffix == ".md"):
        return Path(os.path.relpath(file, PAGES)).as_posix()
    return f"source:{name}"
