"""The config that a run folder keeps: all of it, or a word on what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from detres.config.loading import AnyConfig, load_config, read_layer
from detres.errors import ConfigError

CONFIG_FILE = "config.yaml"
# What every resolved config has, of any task and version.
_GROUPS = ("task", "model", "data", "training", "optimizer", "schedule", "test")


def check_run_config(run: Path) -> Path:
    """The file of a run's config. Raises ConfigError, with the mend, where it is empty, cut off or no yaml."""
    path = run / CONFIG_FILE
    mend = (
        f"{path} is the run's own config and is damaged; remove it and say with --cfg, --data and key=value what the "
        "run was begun with"
    )
    try:
        stated = read_layer(path).values
    except ConfigError as error:
        raise ConfigError(f"{error}\n{mend}") from None
    if missing := [group for group in _GROUPS if group not in stated]:
        what = "it is empty" if not stated else f"it has no {', '.join(missing)}"
        raise ConfigError(f"{path}: {what}. {mend}")
    return path


def run_config(run: Path) -> AnyConfig | None:
    """The config that a run was begun with; None where the folder has none. Raises ConfigError where it is damaged."""
    return load_config(check_run_config(run)) if (run / CONFIG_FILE).is_file() else None
