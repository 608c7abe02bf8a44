"""Which values of a config name code to run, and who may name it: the user's own config file and command line alone.

A set's yaml, a weights file, the config kept in a run's folder: all of them travel, and what they name would run on the
machine of whoever opens them. So every Layer of a config says whether it is the user's own word (`trusted`), and code
that no such layer names is refused, wherever the value in the end comes from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detres.files.shard_names import programs_in

KeyPath = tuple[str, ...]

# Keys whose value may be module:callable.
_NAMES: tuple[KeyPath, ...] = (("model", "backbone", "name"), ("data", "format"), ("schedule", "name"))
_AUGMENT = ("data", "augment")
_LOGS = ("training", "logs")
_LOSSES = (
    *(("model", "rpn", "objectness_loss"), ("model", "rpn", "box_loss"), ("model", "roi", "box_loss")),
    ("model", "rcnn", "box_loss"),
)
"""Groups that name a loss; in a localization config as well."""
_SPLITS = (("data", "train"), ("data", "val"), ("data", "test"))


@dataclass(frozen=True)
class CodeName:
    """A value that names code: at which key or group, what is run, and with what (its arguments, as text)."""

    key: KeyPath
    name: str
    arguments: str = ""

    def __str__(self) -> str:
        shown = self.name if len(self.name) <= 80 else f"{self.name[:77]}..."
        return f"{'.'.join(self.key)} names code to run ({shown})"


def code_names(values: Any) -> list[CodeName]:
    """All that the values of a config, nested, name: module:callable, and shards that a program is started for.

    Nothing is said of values that are no config's; whoever checks them says what is wrong. Raises DataError where the
    names of shards are none.
    """
    stated = {key: _get(values, key) for key in _NAMES}
    found = [CodeName(key, name) for key, name in stated.items() if isinstance(name, str) and ":" in name]
    found += _augmentations(_get(values, _AUGMENT))
    found += [CodeName(_LOGS, name) for name in _listed(values, _LOGS) if isinstance(name, str) and ":" in name]
    found += [name for group in _LOSSES for name in _loss(group, _get(values, group))]
    for key in _SPLITS:
        for text in _listed(values, key):
            found += [CodeName(key, shard) for shard in (programs_in(text) if isinstance(text, str) else ())]
    return found


def without_code(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values without those keys and groups that name code."""
    for key in {name.key for name in code_names(values)}:
        values = _without(values, key)
    return values


def _loss(group: KeyPath, stated: Any) -> Iterator[CodeName]:
    """The group as a whole, which without its name would be another loss with options of this one."""
    name = stated.get("name") if isinstance(stated, Mapping) else None
    if isinstance(name, str) and ":" in name:
        yield CodeName(group, name, _as_text(stated.get("options") or {}))


def _augmentations(stated: Any) -> Iterator[CodeName]:
    """Names may stand in compositions at any depth; every key with a colon is taken for one."""
    if isinstance(stated, Mapping):
        for name, arguments in stated.items():
            if isinstance(name, str) and ":" in name:
                yield CodeName(_AUGMENT, name, _as_text(arguments))
            yield from _augmentations(arguments)
    elif isinstance(stated, Sequence) and not isinstance(stated, str):
        for each in stated:
            yield from _augmentations(each)


def _listed(values: Any, path: KeyPath) -> Sequence[Any]:
    """The entries of a list, of which one may stand alone."""
    stated = _get(values, path)
    return [stated] if isinstance(stated, str) else stated if isinstance(stated, list | tuple) else ()


def _as_text(arguments: Any) -> str:
    return json.dumps(arguments, sort_keys=True, default=repr)


def _get(values: Any, path: KeyPath) -> Any:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return None
        values = values[part]
    return values


def _without(values: Mapping[str, Any], path: KeyPath) -> Mapping[str, Any]:
    first, rest = path[0], path[1:]
    if not rest:
        return {key: value for key, value in values.items() if key != first}
    return {**values, first: _without(values[first], rest)}
