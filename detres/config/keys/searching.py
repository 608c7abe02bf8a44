"""Which keys a pattern means."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from detres.config.keys.listing import Key
from detres.errors import ConfigError
from detres.lookup import nearest


def find_keys(keys: Sequence[Key], pattern: str) -> list[Key]:
    """The keys whose name or meaning holds the pattern, whatever its case, with the groups that they are of.

    pattern: a part of a name or of a meaning; or a whole name, with * and ? for what is left open (`*.lr`).
    Raises ConfigError with the nearest names where there is none.
    """
    wanted = pattern.strip().lower()
    hits = {key.name for key in keys if not key.is_group and _matches(key, wanted)}
    if not wanted or not hits:
        names = [key.name for key in keys]
        ends = {name.rpartition(".")[2]: name for name in reversed(names)}
        close = nearest(wanted, names) or [ends[end] for end in nearest(wanted, ends)]
        mend = f"did you mean {' or '.join(close)}?" if close else "`detres keys` lists them all"
        raise ConfigError(f"detres keys {pattern}: no key has this in its name or its meaning; {mend}")
    return [key for key in keys if key.name in hits or (key.is_group and any(_below(hit, key.name) for hit in hits))]


def _matches(key: Key, wanted: str) -> bool:
    if any(mark in wanted for mark in "*?["):
        return fnmatchcase(key.name.lower(), wanted)
    return wanted in key.name.lower() or any(wanted in each.meaning.lower() for each in key.by_task.values())


def _below(name: str, group: str) -> bool:
    """Whether it is the group's own key, not that of a group in it."""
    return name.rpartition(".")[0] == group
