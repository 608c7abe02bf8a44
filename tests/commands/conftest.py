from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from detres.commands.main import main


@pytest.fixture
def done(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must succeed; returns what it printed."""

    def run(*argv: str | Path) -> str:
        status = main([str(part) for part in argv])
        told = capsys.readouterr()
        assert status == 0, told.err
        return told.out

    return run
