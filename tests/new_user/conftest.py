from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.new_user.forms import FORMS
from tests.new_user.photos import Photo, draw_photos


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Photo]]:
    """Thirty photos in a folder, which is never written to, and what is on them."""
    folder = tmp_path_factory.mktemp("photos")
    return folder, draw_photos(folder)


@pytest.fixture
def photos(drawn: tuple[Path, list[Photo]]) -> list[Photo]:
    return drawn[1]


@pytest.fixture
def labelled(drawn: tuple[Path, list[Photo]], tmp_path: Path) -> Callable[[str], Path]:
    """Called with a form's name: a folder with the photos, labelled so. The pictures are links to the same files."""

    def label(form: str) -> Path:
        folder, photos = drawn
        root = tmp_path / "my photos" / form
        root.mkdir(parents=True)
        for photo in photos:
            os.link(folder / photo.file, root / photo.file)
        FORMS[form].write(root, photos)
        return root

    return label
