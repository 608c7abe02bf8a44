"""One HTML file that holds a whole report, or a set: markup, style, program, numbers and pictures, nothing to load.

The parts lie in page/; what a report draws is told by html_data.py and html_pictures.py.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any


@dataclass(frozen=True)
class Page:
    """The files of page/ that a page is made of."""

    markup: str
    styles: tuple[str, ...]
    programs: tuple[str, ...]


REPORT = Page(
    "report.html",
    ("report.css",),
    ("drawing.js", "charts.js", "tables.js", "cards.js", "gallery.js", "report.js"),
)
BROWSE = Page("browse.html", ("report.css", "browse.css"), ("drawing.js", "cards.js", "browse.js"))


def html_page(
    title: str,
    data: Mapping[str, Any],
    pictures: Sequence[bytes],
    page: Page = REPORT,
    markup: Mapping[str, str] | None = None,
) -> str:
    """The page's text. data: what the programs of page/ read, plain JSON. pictures: JPEG files, one for each of
    data["images"]. markup: what the page's own markup has places for, by their names; ready, so that names of others
    in it are escaped already.

    Raises ValueError where their numbers differ.
    """
    if len(pictures) != len(data["images"]):
        raise ValueError(f"{len(pictures)} pictures for {len(data['images'])} images")
    return Template(_part(page.markup)).substitute(
        markup or {},
        title=html.escape(title),
        style="\n".join(_part(name) for name in page.styles),
        data=as_script(data),
        pictures=as_script([base64.b64encode(picture).decode() for picture in pictures]),
        programs="\n".join(_part(name) for name in page.programs),
    )


def as_script(value: Any) -> str:
    """JSON that may stand inside a script element: no text of it can end the element, or begin another.

    Raises ValueError for numbers that are not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _part(name: str) -> str:
    return resources.files("detres.report").joinpath("page", name).read_text(encoding="utf-8")
