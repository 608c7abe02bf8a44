"""The table of loggers, by the names that `training.logs` takes."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from detres.config.problems import nearest
from detres.errors import ConfigError, UserError, raised_in
from detres.system_errors import out_of_memory
from detres.training.logger import Logger

LOGGERS: Mapping[str, str] = {
    "json": "detres.training.metric_log:MetricLog",
    "text": "detres.training.text_log:TextLog",
    "tensorboard": "detres.training.tensorboard_log:TensorBoardLog",
    "csv": "detres.training.csv_log:CsvLog",
    "wandb": "detres.training.wandb_log:WandbLog",
    "mlflow": "detres.training.mlflow_log:MlflowLog",
}

ALWAYS = ("json", "text")
"""--resume, doctor, analyze and reproduce read metrics.jsonl, so every run has it; and log.txt is for people."""


def make_loggers(names: Iterable[str]) -> list[Logger]:
    """The loggers of these names or places (module:callable), each once, ALWAYS first; none of them is started.

    Raises ConfigError where a name is unknown, a package is absent, or what is called returns no logger.
    """
    return [_make(name) for name in dict.fromkeys((*ALWAYS, *names))]


def check_logger(logger: Any, where: str) -> Logger:
    """The logger itself. Raises ConfigError where it is none."""
    lacking = [name for name in ("start", "metrics", "finish") if not callable(getattr(logger, name, None))]
    if lacking:
        raise ConfigError(
            f"{where}: a {type(logger).__name__} is no logger, it lacks {', '.join(lacking)}; see detres.Logger"
        )
    return logger


def _make(name: str) -> Logger:
    place = LOGGERS.get(name, name)
    if ":" not in place:
        close = nearest(name, LOGGERS, 1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(
            f"training.logs: {name!r} is unknown; {meant}There are {', '.join(LOGGERS)}, and module:callable"
        )
    module_name, _, attribute = place.partition(":")
    try:
        logger = getattr(importlib.import_module(module_name), attribute)()
    except Exception as error:
        if isinstance(error, UserError) or out_of_memory(error):
            raise
        raise ConfigError(
            f"training.logs: {name} cannot be made: {raised_in(error, __file__)}; mend it, or leave it out "
            "(module:callable names something that can be imported and called without arguments)"
        ) from error
    return check_logger(logger, f"training.logs: {name}")
