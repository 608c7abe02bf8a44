"""CONTRIBUTING.md as it is read: a file of this folder, put on sys.path from outside detres, and the line it tells."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.backbones.architectures import BACKBONES, Architecture
from detres.lookup import Table

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "CONTRIBUTING.md"
Contribute = Callable[..., None]


def told_line(name: str) -> Any:
    """What the document's line of this name puts into a table, its file taken for a module of its own."""
    (told,) = re.findall(rf'^"{name}": (.*),$', DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return eval(re.sub(r"detres\.[\w.]+\.(\w+:)", r"\1", told), {"Architecture": Architecture})


@pytest.fixture
def contribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contribute:
    """Called with a file's stem, and the name of a line and its table: one new file, one table line."""
    folder = tmp_path / "contributed"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def add(stem: str, name: str, table: Table | None = None) -> None:
        shutil.copy(HERE / f"{stem}.py", folder)
        monkeypatch.delitem(sys.modules, stem, raising=False)
        monkeypatch.setitem(BACKBONES if table is None else table._places, name, told_line(name))

    return add
