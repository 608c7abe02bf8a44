"""The loggers that `training.logs` names, made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from detres.errors import ConfigError, kind_of
from detres.own_code import call_own, find_own_function
from detres.tables import LOGGERS
from detres.training.logging.logger import Logger

ALWAYS = ("json", "text")
"""--resume, doctor, analyze and reproduce read metrics.jsonl, so every run has it; and log.txt is for people."""


def make_loggers(names: Iterable[str]) -> list[Logger]:
    """The loggers of these names or places (module:callable), each once, ALWAYS first; none of them is started.

    Raises ConfigError where a package is absent, or what is called returns no logger.
    """
    return [_make(name) for name in dict.fromkeys((*ALWAYS, *names))]


def check_logger(logger: Any, where: str) -> Logger:
    """The logger itself. Raises ConfigError where it is none."""
    lacking = [name for name in ("start", "metrics", "finish") if not callable(getattr(logger, name, None))]
    if lacking:
        raise ConfigError(f"{where}: {kind_of(logger)} is no logger, it lacks {', '.join(lacking)}; see detres.Logger")
    return logger


def _make(name: str) -> Logger:
    what = f"training.logs: {name}"
    make = find_own_function(name, "training.logs:") if ":" in name else LOGGERS[name]
    return check_logger(call_own(make, f"{what}: called with nothing, it"), what)
