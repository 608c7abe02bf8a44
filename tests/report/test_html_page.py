"""The page of a report: one file, whatever stands in names, that a browser shows without a complaint."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detres.evaluation.detection_evaluator import detection_metrics
from detres.evaluation.error_analysis import analyze_errors
from detres.evaluation.flat_boxes import flat_detections, flat_objects
from detres.report.html_data import class_data, confusion_data, curve_axes, error_data, headline_data
from detres.report.html_page import as_script, html_page
from detres.report.html_pictures import IGNORED, UNFOUND, picture_data

NASTY = '</script><script>document.title="taken"</script><img src=x onerror=alert(1)> & "quoted"'
A, B, C = [0, 0, 40, 40], [50, 50, 40, 30], [10, 60, 20, 20]


@pytest.fixture(scope="module")
def ground_truth() -> dict[str, Any]:
    """Three images: of 0 all is found, 1 has one of every error, 2 has a crowd alone. Classes: cat, dog, NASTY."""
    things = [(0, 1, A, 0), (0, 2, B, 0), (1, 1, A, 0), (1, 1, B, 0), (1, 2, C, 0), (2, 1, A, 1)]
    return {
        "images": [
            {"id": 5, "file_name": "good.jpg", "width": 100, "height": 100},
            {"id": 6, "file_name": NASTY, "width": 100, "height": 100},
            {"id": 7, "file_name": "crowd.jpg", "width": 100, "height": 100},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": NASTY}],
        "annotations": [
            {
                "id": n + 1,
                "image_id": 5 + i,
                "category_id": label,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": crowd,
            }
            for n, (i, label, box, crowd) in enumerate(things)
        ],
    }


FOUND = [
    (0, 1, A, 0.9),
    (0, 2, B, 0.8),
    (1, 1, A, 0.35),  # found with a low score
    (1, 1, [1, 0, 40, 40], 0.3),  # a duplicate
    (1, 2, B, 0.7),  # a cat taken for a dog
    (1, 2, [10, 72, 20, 20], 0.6),  # a poor box
    (1, 3, [80, 0, 10, 10], 0.5),  # background
    (1, 3, [0, 20, 40, 40], 0.15),  # wrong class and poor box
]


@pytest.fixture(scope="module")
def data(ground_truth: dict[str, Any]) -> dict[str, Any]:
    results = [{"image_id": 5 + i, "category_id": label, "bbox": box, "score": score} for i, label, box, score in FOUND]
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, results)
    metrics = detection_metrics(ground_truth, found)
    errors = analyze_errors(ground_truth, found)
    images = [
        {"name": ground_truth["images"][i]["file_name"], "badness": float(i == 1), "width": 100, "height": 100}
        | picture_data(i, (100, 100), objects, found, errors.judged)
        for i in (1, 0, 2)
    ]
    return {
        "about": "3 images",
        "headline": headline_data(metrics),
        "axes": curve_axes(),
        "classes": class_data(ground_truth, objects, found, errors, metrics),
        "errors": error_data(errors, found),
        "confusion": confusion_data(ground_truth, found),
        "imageCount": 3,
        "images": images,
        "environment": [["set", NASTY]],
        "config": f"name: {NASTY}\n",
    }


@pytest.fixture(scope="module")
def pictures(data: dict[str, Any]) -> list[bytes]:
    grey = np.full((100, 100, 3), 90, np.uint8)
    return [cv2.imencode(".jpg", grey)[1].tobytes()] * len(data["images"])


@pytest.fixture(scope="module")
def page(data: dict[str, Any], pictures: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(html_page(f"set {NASTY}", data, pictures), encoding="utf-8")
    return file


# What is in the file.


def test_the_page_loads_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    text = text.replace(html.escape(NASTY), "")
    links = set(re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", text))
    assert {link for link in links if not link.startswith(("#", "data:"))} == set()
    # The name of SVG's vocabulary, which nobody fetches.
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text


def test_no_name_can_end_a_script_or_begin_one(page: Path, data: dict[str, Any]) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("</script>") == 3, "the page's own"
    assert "alert(1)>" not in text
    stored = re.search(r'id="report-data">(.*?)</script>', text, re.DOTALL)
    assert stored is not None
    assert json.loads(stored[1]) == json.loads(json.dumps(data)), "and every number comes back"


def test_json_in_a_script_is_finite_and_escaped() -> None:
    assert as_script({"a": "<!--</script>&"}) == '{"a":"\\u003c!--\\u003c/script\\u003e\\u0026"}'
    with pytest.raises(ValueError, match="JSON compliant"):
        as_script([float("nan")])


def test_as_many_pictures_as_images_are_asked_for(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="1 pictures for 3 images"):
        html_page("set", data, [b""])


def test_the_first_numbers_are_those_of_the_metrics(data: dict[str, Any]) -> None:
    every = data["classes"][0]
    shown = {row["label"]: row["value"] for row in data["headline"]}
    assert shown["AP"] == every["AP"] == every["sizes"][0]
    for row in data["classes"]:
        if row["precision"] is not None:
            ap = np.mean(row["precision"], axis=1) / 1000
            assert (ap.mean(), ap[0]) == (pytest.approx(row["AP"], abs=1e-3), pytest.approx(row["AP50"], abs=1e-3))
    assert [row["objects"] for row in data["classes"]] == [5, 3, 2, 0]
    assert data["classes"][3]["precision"] is data["classes"][3]["AP"] is data["classes"][3]["vocCurve"] is None


def test_one_error_of_each_kind_is_counted(data: dict[str, Any]) -> None:
    counts = {row["kind"]: row["count"] for row in data["errors"]["rows"]}
    assert counts == {
        "classification": 1, "localization": 1, "both": 1, "duplicate": 1, "background": 1, "missed": 0,
    }  # fmt: skip
    assert all(row["definition"] and row["cost"] is not None for row in data["errors"]["rows"])


def test_objects_carry_the_score_of_their_hit(data: dict[str, Any]) -> None:
    worst, good, crowd = data["images"]
    assert [row[5] for row in good["objects"]] == [900, 800]
    assert [row[5] for row in worst["objects"]] == [350, UNFOUND, UNFOUND]
    assert [row[5] for row in crowd["objects"]] == [IGNORED]
    assert crowd["detections"] == []
    scores = [row[5] for row in worst["detections"]]
    assert scores == sorted(scores), "the best is drawn last, and lies on top"
    assert worst["detections"][-1][:5] == [1, 500, 500, 400, 300]


def test_of_many_classes_those_are_shown_that_are_confused_most(ground_truth: dict[str, Any]) -> None:
    results = [{"image_id": 6, "category_id": 2, "bbox": B, "score": 0.7}]
    shown = confusion_data(ground_truth, flat_detections(ground_truth, results), most=2)
    assert (shown["names"], shown["left"]) == (["cat", "dog"], 1)
    assert shown["counts"] == [[0, 1, 2], [0, 0, 2], [0, 0, 0]]
    assert shown["pairs"] == [["cat", "dog", 1]]


def test_the_page_is_made_of_a_set_without_objects(scene_without_objects: str) -> None:
    assert '"ap50":null' in scene_without_objects


@pytest.fixture(scope="module")
def scene_without_objects() -> str:
    ground_truth = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "cat"}], "annotations": []}
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, [])
    errors, metrics = analyze_errors(ground_truth, found), detection_metrics(ground_truth, found)
    data = {
        "about": "", "headline": headline_data(metrics), "axes": curve_axes(), "imageCount": 1, "environment": [],
        "config": "", "classes": class_data(ground_truth, objects, found, errors, metrics),
        "errors": error_data(errors, found), "confusion": confusion_data(ground_truth, found), "images": [],
    }  # fmt: skip
    return html_page("nothing", data, [])


# In a browser.


def texts(browser: Any, selector: str) -> list[str]:
    return browser.ask(f"[...document.querySelectorAll({json.dumps(selector)})].map(each => each.textContent)")


def choose(browser: Any, name: str, value: str) -> None:
    """Set a filter as a user does."""
    browser.ask(
        f"(() => {{ const field = document.getElementById({json.dumps(name)}); field.value = {json.dumps(value)};"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def predictions(browser: Any) -> list[str]:
    """What the boxes of the predictions' panes say of themselves."""
    return texts(browser, ".panes figure:last-child g title")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_complaint_or_overflow(browser: Any, page: Path, width: int) -> None:
    browser.open(page, width=width, mobile=width < 500)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("document.title") == f"set {NASTY}", "no script of a name has run"
    assert len(browser.ask("[...document.querySelectorAll('img')].map(each => each.src)")) == 0
    assert texts(browser, "#headline .tile span")[0] == "mAP@0.5"
    assert len(texts(browser, "#error-table tbody tr")) == 8
    assert len(texts(browser, "#pr-chart path")) == 10, "the ten thresholds"
    assert NASTY in texts(browser, "#confusion-table tbody th")
    assert browser.ask("document.querySelector('.panes image').getBoundingClientRect().width") > 200
    assert browser.trouble == []


def test_an_empty_report_is_shown_without_complaint(browser: Any, scene_without_objects: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(scene_without_objects, encoding="utf-8")
    browser.open(tmp_path / "report.html")
    assert texts(browser, "#headline b") == ["–"] * 8
    assert browser.trouble == []


def test_filters_choose_images_and_boxes(browser: Any, page: Path) -> None:
    browser.open(page)
    cards = ".card h3"
    choose(browser, "filter-score", "0")
    assert len(texts(browser, cards)) == 3
    assert len(predictions(browser)) == len(FOUND)
    choose(browser, "filter-kind", "background")
    assert predictions(browser) == [f"{NASTY} 0.50, background"]
    assert len(texts(browser, cards)) == 1
    assert "1 of 3 images, 1 detection shown" in texts(browser, "#filter-count")
    choose(browser, "filter-score", "0.6")
    assert texts(browser, cards) == []
    choose(browser, "filter-kind", "")
    assert len(predictions(browser)) == 4
    choose(browser, "filter-class", "0")
    assert predictions(browser) == ["cat 0.90, found at IoU 1.00"]
    # The cat that was found with 0.35 is not, at this score.
    choose(browser, "filter-kind", "missed")
    (caption, _) = texts(browser, ".panes figcaption")
    assert caption == "ground truth: 2 objects, 2 not found"
    choose(browser, "filter-score", "0.3")
    assert texts(browser, ".panes figcaption")[0] == "ground truth: 2 objects, 1 not found"
    assert browser.trouble == []


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("classification", "dog 0.70, classification, IoU 1.00"),
        ("localization", "dog 0.60, localization, IoU 0.25"),
        ("duplicate", "cat 0.30, duplicate, IoU 0.95"),
        ("both", f"{NASTY} 0.15, both, IoU 0.33"),
    ],
)
def test_every_kind_of_error_can_be_looked_for(browser: Any, page: Path, kind: str, shown: str) -> None:
    browser.open(page)
    choose(browser, "filter-score", "0.1")
    choose(browser, "filter-kind", kind)
    assert predictions(browser) == [shown]


def test_classes_are_sorted_by_any_column_and_lead_to_their_curves(browser: Any, page: Path) -> None:
    browser.open(page)
    names = "#class-table tbody th"
    press = "document.querySelectorAll('#class-table thead button')[{}].click()"
    assert texts(browser, names) == ["all classes", "cat", "dog", NASTY]
    browser.ask(press.format(2))
    assert texts(browser, names)[0] == "all classes"
    assert texts(browser, names)[-1] == NASTY, "what is undefined is last"
    falling = texts(browser, names)
    browser.ask(press.format(2))
    assert texts(browser, names) == ["all classes", *reversed(falling[1:3]), NASTY]
    assert browser.ask("document.querySelectorAll('#class-table thead th')[2].getAttribute('aria-sort')") == "ascending"
    browser.ask("document.querySelector('#class-table tbody tr:nth-child(2) a').click()")
    assert browser.ask("document.getElementById('curve-class').selectedOptions[0].textContent") == falling[2]
    assert len(texts(browser, "#pr-chart path")) == 11, "VOC's beside the ten"
    choose(browser, "curve-class", "3")
    assert "Nothing of this class is to be found." in texts(browser, "#pr-legend")
    assert browser.trouble == []


def test_a_tap_on_a_box_tells_what_it_is(browser: Any, page: Path) -> None:
    browser.open(page)
    choose(browser, "filter-kind", "localization")
    browser.ask("document.querySelector('.panes figure:last-child g').dispatchEvent(new MouseEvent('click'))")
    assert texts(browser, ".panes figcaption")[1] == "dog 0.60, localization, IoU 0.25"


def test_what_the_boxes_say_can_be_read_in_words(browser: Any, page: Path) -> None:
    browser.open(page)
    choose(browser, "filter-kind", "background")
    assert texts(browser, ".words li") == []
    browser.ask("document.querySelector('.words summary').click()")
    browser.wait("document.querySelectorAll('.words li').length > 0")
    said = ["cat, found with 0.35", "cat, not found", "dog, not found", f"{NASTY} 0.50, background"]
    assert texts(browser, ".words li") == said


def test_everything_that_can_be_operated_has_a_name_and_the_keyboards_focus(browser: Any, page: Path) -> None:
    browser.open(page)
    unnamed = browser.ask(
        "[...document.querySelectorAll('select, input')].filter(each => !each.labels.length).map(each => each.id)"
    )
    assert unnamed == []
    assert browser.ask("[...document.querySelectorAll('.scroll')].every(each => each.tabIndex === 0)")
    assert browser.ask("[...document.querySelectorAll('svg[role=img]')].every(each => each.getAttribute('aria-label'))")


def test_more_images_are_shown_when_asked_for(
    browser: Any, data: dict[str, Any], pictures: list[bytes], tmp_path: Path
) -> None:
    many = data | {"images": data["images"] * 8}
    (tmp_path / "report.html").write_text(html_page("many", many, pictures * 8), encoding="utf-8")
    browser.open(tmp_path / "report.html")
    for expected in (10, 20, 24):
        assert len(texts(browser, ".card")) == expected
        assert browser.ask("document.getElementById('more').hidden") == (expected == 24)
        browser.ask("document.getElementById('more').click()")
