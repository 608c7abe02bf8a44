"""Where things lie: the repository, the site's pages, and which of its files have a page of another name."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "docs"

# Files beside docs/ that are pages of the site, by the page that shows them.
SHOWN_BY = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "datasets/README.md": "data_sets.md",
}
