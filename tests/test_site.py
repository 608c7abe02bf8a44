"""The site: it builds without a warning, nothing on it leads nowhere, and what it says of the program is so."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import detres
from detres.commands.main import COMMANDS, load_command
from detres.config.finding import list_configs
from detres.conversion.detectron2.configs import NAMED, SAME
from detres.conversion.mmdetection.said import PATHS
from detres.data.data_file import read_data_file
from detres.data.detection.datasets import load_dataset
from detres.tables import CLASSIFICATION_FORMATS, DETECTION_FORMATS, LOCALIZATION_FORMATS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


class Page(HTMLParser):
    """What a page of HTML holds: its text, where its links lead, and what may be led to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self._texts: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))
        self.text = " ".join("".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.links += [values[name] for name in ("href", "src") if name in values]

    def handle_data(self, data: str) -> None:
        self._texts.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Every page by its file, of a site that was built with warnings as errors."""
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    pytest.importorskip("furo")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-E", "-n", "-q", "-W", "--keep-going", "-b", "html"]
    places = ["-c", str(DOCS / "site"), "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    built = subprocess.run([*command, *places], capture_output=True, text=True, timeout=600, check=False)
    assert built.returncode == 0, built.stderr
    return {file: Page(file) for file in (folder / "html").rglob("*.html")}


def page(site: dict[Path, Page], name: str) -> Page:
    return next(page for file, page in site.items() if file.name == f"{name}.html" and file.parent.name == "html")


def targets(file: Path, found: Page) -> Iterator[tuple[str, Path, str]]:
    """(the link, its file, its anchor) of links within the site."""
    for link in found.links:
        if not re.match(r"[a-z]+:", link):
            place, _, anchor = link.partition("#")
            yield link, (file.parent / unquote(place.partition("?")[0])).resolve() if place else file, unquote(anchor)


@pytest.mark.slow
def test_no_link_leads_nowhere(site: dict[Path, Page]) -> None:
    nowhere = [
        f"{file.name}: {link}"
        for file, found in site.items()
        for link, place, anchor in targets(file, found)
        if not place.is_file() or (anchor and place in site and anchor not in site[place].anchors)
    ]
    assert len(site) > 20
    assert nowhere == []


@pytest.mark.slow
def test_every_page_is_reached_from_the_index(site: dict[Path, Page]) -> None:
    (index,) = (file for file in site if file.name == "index.html")
    reached, waiting = {index}, [index]
    while waiting:
        file = waiting.pop()
        for _, place, _ in targets(file, site[file]):
            if place in site and place not in reached:
                reached.add(place)
                waiting.append(place)
    documents = {index.with_name(f"{file.stem}.html") for file in DOCS.glob("*.md")}
    assert documents <= reached
    assert {file for file in site if "source" in file.parts} <= reached


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere_to_show_a_page(site: dict[Path, Page]) -> None:
    for file in site:
        text = file.read_text(encoding="utf-8")
        assert re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//', text) == []
        assert re.findall(r'<link[^>]+rel="(?:stylesheet|preload)"[^>]+href="(?:https?:)?//', text) == []


@pytest.mark.slow
def test_made_pages_name_all_that_the_program_has(site: dict[Path, Page]) -> None:
    recipes, commands, api, data = (page(site, name) for name in ("recipes", "commands", "api", "own_data"))
    assert [name for name, first, _ in list_configs() if name not in recipes.text or first not in recipes.text] == []
    for name in COMMANDS:
        options = [option for action in load_command(name)[1]._actions for option in action.option_strings]
        assert name.replace("_", "-") in commands.anchors
        assert [option for option in options if option not in commands.text] == []
    assert [n for n in detres.__all__ if n != "__version__" and f"detres.{n}" not in api.anchors] == []
    assert "detres.Detector.predict_many" in api.anchors
    formats = {*DETECTION_FORMATS, *CLASSIFICATION_FORMATS, *LOCALIZATION_FORMATS}
    assert [name for name in formats if name not in data.text] == []
    detectron2, mmdetection = page(site, "from_detectron2"), page(site, "from_mmdetection")
    assert [key for key in (*SAME, *NAMED) if key not in detectron2.text] == []
    assert [
        key for key, theirs in PATHS.items() if not {key, *theirs} <= set(mmdetection.text.replace(",", " ").split())
    ] == []


@pytest.mark.slow
def test_the_source_of_the_heart_can_be_read_on_the_site(site: dict[Path, Page]) -> None:
    (found,) = (page for file, page in site.items() if file.name == "anchors.py.html")
    text = (ROOT / "detres" / "detection" / "model" / "anchors.py").read_text(encoding="utf-8")
    assert text.splitlines()[0] in found.text


def test_every_label_format_has_a_sample_on_the_page_of_own_data() -> None:
    assert set(DETECTION_FORMATS) - {"imagenet_det", "shapes"} == set(samples())


@pytest.mark.parametrize("name", sorted(set(DETECTION_FORMATS) - {"imagenet_det", "shapes"}))
def test_a_sample_is_read_as_what_it_is_a_sample_of(name: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    files = samples()[name]
    for image in files.pop("images").split():
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (90, 120, 60)).save(root / image)
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text + "\n", encoding="utf-8")
    data, said, _ = read_data_file(str(root))
    assert data.format == name, said
    images = load_dataset(data.model_copy(update={"val_fraction": 0.0}), "train")
    assert images.class_names == ("cat",)
    np.testing.assert_allclose(images.boxes, [[6, 10, 36, 18]], atol=1e-4)


def samples() -> dict[str, dict[str, str]]:
    """The files of each format's sample, by their places; `images` lists the pictures."""
    text = (DOCS / "own_data.md").read_text(encoding="utf-8")
    found = {}
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"```\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)\n```", section, flags=re.DOTALL)
        if blocks:
            found[section.split("\n")[0]] = dict(blocks)
    return found
