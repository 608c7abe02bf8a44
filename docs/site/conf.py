"""Sphinx's settings for the site: `make docs` builds it from docs/ into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# The commands, recipes and keys that are shown are those of this clone; the extension lies beside this file.
sys.path[:0] = [str(_HERE), str(_HERE.parents[1])]

from detres.version import __version__  # noqa: E402

project = "detres"
version = release = __version__
copyright = "the authors of detres, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "detres_site"]
exclude_patterns = ["site"]

myst_enable_extensions = ["colon_fence"]
# So that links may lead to headings down to the third level, by the names that GitHub gives them.
myst_heading_anchors = 3
# What links to files of the repository become: their pages on the site (detres_site/source_pages.py).
myst_url_schemes = {"http": None, "https": None, "source": "source/{{path}}.html"}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 90
# Types of others are not documented here, and nothing is fetched to link to where they are; nor are our inner ones.
nitpick_ignore_regex = [(r"py:.*", r"(?!detres\.\w+$).*")]

# An option, --out, keeps its two dashes.
smartquotes = False

html_theme = "furo"
html_title = f"detres {__version__}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
# Inline code is in the language of the block or none; Python is not guessed.
highlight_language = "none"
