"""Parts of pages that are made from the program. `<!-- made: commands -->`, alone in a line, stands for one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from detres_site.links import on_site
from detres_site.made.api import list_names
from detres_site.made.commands import list_commands
from detres_site.made.formats import list_formats
from detres_site.made.others_keys import list_detectron2_keys, list_mmdetection_keys
from detres_site.made.recipes import list_recipes
from detres_site.places import ROOT

_MARK = re.compile(r"^<!-- made: (.*?) -->$", flags=re.MULTILINE)

MADE: Mapping[str, Callable[[], str]] = {
    "commands": list_commands,
    "recipes": list_recipes,
    "formats of detection": lambda: list_formats("detection"),
    "formats of classification": lambda: list_formats("classification"),
    "formats of localization": lambda: list_formats("localization"),
    "names": list_names,
    "detectron2's keys": list_detectron2_keys,
    "mmdetection's keys": list_mmdetection_keys,
}


def completed(text: str) -> str:
    """A page with its made parts in their places. Raises ValueError for a mark that stands for nothing."""
    return _MARK.sub(lambda mark: made(mark[1]), text)


def made(name: str) -> str:
    """One part, by its name in MADE, or a whole file of the repository, `file CHANGELOG.md`; links lead on the site."""
    if name in MADE:
        return on_site(MADE[name](), ROOT)
    file = ROOT / name.removeprefix("file ")
    if not name.startswith("file ") or not file.is_file():
        raise ValueError(f"<!-- made: {name} --> is none of {', '.join(MADE)}, nor the file of a path")
    return on_site(file.read_text(encoding="utf-8"), file.parent)
