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


@pytest.fixture
def found_useless(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a check that must find nothing to train on; returns what it printed."""

    def run(*argv: str | Path) -> str:
        assert main([str(part) for part in argv]) == 2
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must be refused; returns its one message."""

    def run(*argv: str | Path, kind: str = "ConfigError") -> str:
        assert main([str(part) for part in argv]) == 2
        message = capsys.readouterr().err
        assert message.startswith(f"{kind}: "), message
        assert "Traceback" not in message
        assert message.endswith("\n")
        return message

    return run
