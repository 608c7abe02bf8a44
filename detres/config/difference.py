"""Which keys of a run may change when it goes on, and which would make it another run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from detres.config.sections import ExperimentConfig
from detres.errors import ConfigError

# How long, how often a line is written, and on what machine: none of them changes what a step computes.
# (Another per_device_batch changes the order of a sum, as another number of devices does, and as deterministic may.)
MAY_CHANGE = frozenset(
    {
        "training.steps",
        "training.per_device_batch",
        "training.deterministic",
        "training.log_every",
        "training.checkpoint_every",
        "training.keep_every",
        "training.eval_every",
        "training.patience",
        "training.logs",
        "training.log_pictures",
        "training.allow_other_images",
        "data.workers",
        "data.strict",
        "test.batch",
    }
)


@dataclass(frozen=True)
class Difference:
    """A dotted key whose value is not the same in two configs. str() is the line to print."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: was {self.old!r}, got {self.new!r}"


def config_difference(old: ExperimentConfig, new: ExperimentConfig) -> tuple[Difference, ...]:
    """Every key that differs, those that may change between runs included, in the schema's order."""
    before, after = dict(_flat(old.model_dump(mode="json"))), dict(_flat(new.model_dump(mode="json")))
    keys = [*before, *(key for key in after if key not in before)]
    return tuple(Difference(k, before.get(k), after.get(k)) for k in keys if before.get(k) != after.get(k))


def check_resumable(
    old: ExperimentConfig, new: ExperimentConfig, run: str, *, also: Collection[str] = frozenset()
) -> None:
    """Raise ConfigError, showing every difference, where `new` would not go on with the run that `old` began.

    also: further keys that may change.
    """
    may_change = MAY_CHANGE.union(also)
    refused = [difference for difference in config_difference(old, new) if difference.key not in may_change]
    if refused:
        lines = "\n".join(f"  {difference}" for difference in refused)
        raise ConfigError(
            f"--resume {run}: the run was begun with another config:\n{lines}\n"
            f"set these back, or start anew in another folder with --out; may change: {', '.join(sorted(may_change))}"
        )


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value
