"""What Sphinx does for our site beyond Markdown: pages made from the program, and links into the repository."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from detres_site.docstrings import as_rst
from detres_site.links import on_site
from detres_site.making import completed
from detres_site.source_pages import source_pages


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", _read_page)
    app.connect("autodoc-process-docstring", _rewrite_docstring)
    app.connect("html-collect-pages", source_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _read_page(app: Sphinx, docname: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(docname))
    content[0] = completed(on_site(content[0], page.parent))


def _rewrite_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_rst(lines, _names_of(obj))


def _names_of(obj: Any) -> list[str]:
    """The arguments of a function, or the fields and arguments of a class; of what has none, none."""
    try:
        return [*getattr(obj, "__annotations__", ()), *inspect.signature(obj).parameters]
    except (TypeError, ValueError):
        return []
