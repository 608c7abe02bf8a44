"""What the site makes of Markdown and of docstrings, before Sphinx reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _site(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))


def test_links_lead_to_pages_files_and_nowhere_that_is_no_page() -> None:
    from detres_site.links import on_site

    docs = ROOT / "docs"
    assert on_site("[a](design.md#floors) [b](https://x.org)", docs) == "[a](design.md#floors) [b](https://x.org)"
    assert on_site("[it](../detres/tables.py)", docs) == "[it](source:detres/tables.py)"
    assert on_site("[how](../CONTRIBUTING.md#tests)", docs) == "[how](contributing.md#tests)"
    assert on_site("see [tests](tests) and ![a picture](docs/images/shapes.jpg)", ROOT) == (
        "see tests and ![a picture](images/shapes.jpg)"
    )
    assert on_site("```\n[it](../detres/tables.py)\n```", docs) == "```\n[it](../detres/tables.py)\n```"
    assert on_site("", docs) == ""


def test_a_docstrings_arguments_become_a_list() -> None:
    from detres_site.docstrings import as_rst

    lines = ["What *it* does.", "", "name: of it. size: in pixels;", "more. Else: nothing.", "Raises ConfigError."]
    assert as_rst(lines, ["name", "size"]) == [
        *(r"What \*it\* does.", ""),
        *("- **name**: of it.", "- **size**: in pixels; more. Else: nothing.", ""),
        *("Raises ConfigError.", ""),
    ]
    assert as_rst([], []) == []


def test_a_mark_that_stands_for_nothing_is_refused() -> None:
    from detres_site.making import completed

    assert completed("no mark") == "no mark"
    with pytest.raises(ValueError, match="made: nothing"):
        completed("<!-- made: nothing -->")
