"""One HTML file that holds a whole report: markup, style, program, numbers and pictures, with nothing to load.

The parts lie in page/; what they draw is told by html_data.py and html_pictures.py.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

_PROGRAMS = ("drawing.js", "charts.js", "tables.js", "gallery.js", "report.js")


def html_page(title: str, data: Mapping[str, Any], pictures: Sequence[bytes]) -> str:
    """The page's text. data: what the programs of page/ read, plain JSON. pictures: JPEG files, one for each of
    data["images"].

    Raises ValueError where their numbers differ.
    """
    if len(pictures) != len(data["images"]):
        raise ValueError(f"{len(pictures)} pictures for {len(data['images'])} images")
    return Template(_part("report.html")).substitute(
        title=html.escape(title),
        style=_part("report.css"),
        data=as_script(data),
        pictures=as_script([base64.b64encode(picture).decode() for picture in pictures]),
        programs="\n".join(_part(name) for name in _PROGRAMS),
    )


def as_script(value: Any) -> str:
    """JSON that may stand inside a script element: no text of it can end the element, or begin another.

    Raises ValueError for numbers that are not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _part(name: str) -> str:
    return resources.files("detres.report").joinpath("page", name).read_text(encoding="utf-8")
