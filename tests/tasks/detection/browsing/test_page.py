from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from detres.errors import ConfigError
from detres.reporter import Reporter
from detres.tasks.detection.browsing import page
from detres.tasks.detection.browsing.page import browse_set


def data_of(file: Path) -> dict[str, Any]:
    (stored,) = re.findall(r'id="browse-data">(.*?)</script>', file.read_text(encoding="utf-8"))
    return json.loads(stored)


def test_boxes_are_thousandths_with_their_size_and_pixels(tiny: Any, tmp_path: Path) -> None:
    file, shown, total = browse_set(cfg=str(tiny.cfg), out=tmp_path / "a.html", split="test")
    assert (file, shown, total) == (tmp_path / "a.html", 5, 5)
    data = data_of(file)
    for image in data["images"]:
        width, height = image["full"]
        for _, x, y, w, h, size, _, across, down in image["boxes"]:
            assert max(x + w, y + h) <= 1001, "inside, but for rounding"
            assert w * width / 1000 == pytest.approx(across, abs=0.6)
            assert h * height / 1000 == pytest.approx(down, abs=0.6)
            assert size == 0, "all are below 32 x 32"
        assert image["boxes"] == sorted(image["boxes"], key=lambda box: -box[7] * box[8])


def test_pictures_end_where_the_page_would_be_too_large(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(page, "_MOST_BYTES", 12_000)
    reporter = Reporter(said.append)
    file, shown, total = browse_set(cfg=str(tiny.cfg), out=tmp_path / "a.html", reporter=reporter)
    assert 0 < shown < total == 12
    assert len(data_of(file)["images"]) == shown
    assert f"{shown} of 12 images fill the page" in said[-1]


def test_of_many_images_it_is_not_asked_which_look_alike(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_MOST_COMPARED", 3)
    monkeypatch.setattr(page, "groups_among", lambda images: pytest.fail("it was asked"))
    said: list[str] = []
    file, _, _ = browse_set(cfg=str(tiny.cfg), out=tmp_path / "a.html", reporter=Reporter(said.append))
    assert "not asked of more than 3" in said[0]
    assert "not asked of more than 3" in file.read_text()


def test_a_limit_of_none_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--limit is 0"):
        browse_set(cfg=str(tiny.cfg), out=tmp_path / "a.html", limit=0)
