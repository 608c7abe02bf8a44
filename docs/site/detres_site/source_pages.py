"""Pages that show a file of the repository: one for each that some page links to."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound
from sphinx.application import Sphinx

from detres_site.places import ROOT

_FOLDER = "source/"


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(name, what the template is given, template) of each page, for Sphinx's html-collect-pages."""
    for name in sorted(linked_files(app)):
        body = f"<h1>{escape(name)}</h1>\n{_as_html(name)}"
        yield f"{_FOLDER}{name}", {"title": name, "body": body}, "page.html"


def linked_files(app: Sphinx) -> set[str]:
    """The files, by their paths in the repository, that links of all pages lead to."""
    found = set()
    for page in app.env.all_docs:
        for link in app.env.get_doctree(page).findall(nodes.reference):
            address = link.get("refuri", "").partition("#")[0]
            if address.startswith(_FOLDER):
                found.add(address.removeprefix(_FOLDER).removesuffix(".html"))
    return found


def _as_html(name: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    try:
        lexer = get_lexer_for_filename(name)
    except ClassNotFound:
        lexer = TextLexer()
    return highlight(text, lexer, HtmlFormatter(linenos="inline", lineanchors="L", wrapcode=True))
