"""The page of a set in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detres.report.html_page import BROWSE, html_page
from detres.report.html_tables import html_table

NASTY = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images: a small thin dog and a large NASTY on one, nothing on the other."""
    boxes = [[1, 0, 0, 900, 900, 2, 0, 180, 180], [0, 100, 100, 100, 20, 0, 1, 20, 4]]
    image = {"width": 100, "height": 100, "full": [200, 200], "left": 0}
    data = {
        "splits": ["train", "val"],
        "classes": ["dog", NASTY],
        "oddities": ["very thin", "no boxes"],
        "ofBoxes": 1,
        "ignored": [],
        "images": [
            image | {"name": "b.jpg", "split": 0, "odd": [0], "told": [], "boxes": boxes},
            image | {"name": NASTY, "split": 1, "odd": [1], "told": [f"it is {NASTY}"], "boxes": []},
        ],
    }
    names = ("about", "shown", "oddities", "oddities_note", "problems", "splits", "sizes")
    markup = dict.fromkeys(names, "") | {"classes": html_table(("class",), [(NASTY,)])}
    jpeg = cv2.imencode(".jpg", np.full((100, 100, 3), 90, np.uint8))[1].tobytes()
    file = tmp_path_factory.mktemp("page") / "browse.html"
    file.write_text(html_page(f"set {NASTY}", data, [jpeg] * 2, BROWSE, markup), encoding="utf-8")
    return file


def names(browser: Any) -> list[str]:
    return browser.ask("[...document.querySelectorAll('.card')].map(each => each.dataset.image)")


def choose(browser: Any, name: str, value: str) -> None:
    browser.ask(
        f"(() => {{ const field = document.getElementById('{name}'); field.value = '{value}';"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


@pytest.mark.parametrize("width", [1280, 400])
def test_it_is_shown_without_complaint_or_overflow(browser: Any, page: Path, width: int) -> None:
    browser.open(page, width=width, mobile=width < 500)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("document.title") == f"set {NASTY}", "no markup of a name was taken for the page's"
    assert browser.ask("document.querySelectorAll('img').length") == 0
    assert names(browser) == ["0", "1"]
    assert browser.ask("[...document.querySelectorAll('select')].every(each => each.labels.length === 1)")
    assert browser.trouble == []


@pytest.mark.parametrize(
    ("filters", "shown", "boxes"),
    [
        ({"filter-split": "1"}, ["1"], "0 boxes"),
        ({"filter-class": "1"}, ["0"], "1 box "),
        ({"filter-size": "1"}, [], "0 boxes"),
        ({"filter-size": "0"}, ["0"], "1 box "),
        ({"filter-oddity": "0"}, ["0"], "1 box "),
        ({"filter-oddity": "1"}, ["1"], "0 boxes"),
        ({"filter-class": "1", "filter-oddity": "0"}, [], "0 boxes"),
        ({"filter-order": "2"}, ["1", "0"], "2 boxes"),
    ],
)
def test_filters_choose_images_and_boxes(
    browser: Any, page: Path, filters: dict[str, str], shown: list[str], boxes: str
) -> None:
    browser.open(page)
    for name, value in filters.items():
        choose(browser, name, value)
    assert names(browser) == shown
    assert boxes in browser.ask("document.getElementById('filter-count').textContent")
    assert browser.trouble == []


def test_boxes_say_what_they_are(browser: Any, page: Path) -> None:
    browser.open(page)
    said = browser.ask("[...document.querySelectorAll('.panes g title')].map(each => each.textContent)")
    assert said == [f"{NASTY}, 180 × 180", "dog, 20 × 4, very thin"]
