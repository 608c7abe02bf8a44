"""Every config that ships, by its folder, with the line that it begins with."""

from __future__ import annotations

from itertools import groupby

from detres.config.finding import list_configs
from detres_site.made.markdown import plain, table
from detres_site.places import ROOT


def list_recipes() -> str:
    """A heading a folder of configs/; names lead to the files."""
    parts = []
    for folder, configs in groupby(list_configs(), key=lambda config: config[2].parent.name):
        rows = [(f"[`{name}`]({path.relative_to(ROOT).as_posix()})", plain(first)) for name, first, path in configs]
        parts += [f"## {folder}\n", table(("recipe", ""), rows)]
    return "\n".join(parts)
