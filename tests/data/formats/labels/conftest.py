"""The pictures of drawn_set.py, and the set in each of its forms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.formats.labels.drawn_set import FORMS, SIZES


@pytest.fixture
def pictures(tmp_path: Path, write_picture: Callable[..., Path]) -> Path:
    """A folder with the pictures in it."""
    root = tmp_path / "set"
    for seed, (stem, (width, height)) in enumerate(SIZES.items()):
        write_picture(root / f"{stem}.png", height, width, seed=seed)
    return root


@pytest.fixture(params=list(FORMS))
def written(request: pytest.FixtureRequest, pictures: Path) -> tuple[str, str, Path, str]:
    """(form, format, root, split) of the set as each form has it."""
    kind, write = FORMS[request.param]
    return request.param, kind, pictures, write(pictures)
