"""What may stand after `detres`, read from the commands' parsers, the configs that ship and the keys of configs."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from detres.config.finding import list_configs
from detres.config.keys.json_schema import NAMES
from detres.config.keys.listing import TASKS, list_keys

# A file may be meant wherever nothing else is known, and a folder.
Takes = Literal["nothing", "words", "configs", "files", "value"]

_FILES = {"FILE", "DIR", "W", "RUN", "IN", "OUT", "INPUT"}
_OPTION_WORDS = {("keys", "--task"): TASKS, ("configs", "--schema"): NAMES}


@dataclass(frozen=True)
class Option:
    """takes: what stands behind it; words: those of which one does."""

    flag: str
    help: str
    takes: Takes
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """words: what may stand without an option, beside files. tasks: those whose keys key=value takes; none: no keys."""

    name: str
    what: str
    options: tuple[Option, ...]
    words: tuple[str, ...] = ()
    configs: bool = False
    tasks: tuple[str, ...] = ()
    bare_keys: bool = False
    """Whether a key stands without a value."""


@dataclass(frozen=True)
class Words:
    """keys: of some tasks together, with the values that are spelled out."""

    commands: tuple[Command, ...]
    configs: tuple[str, ...]
    keys: Mapping[tuple[str, ...], Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def spelled(self) -> dict[str, tuple[str, ...]]:
        """The values of each key, of whatever task, that has any."""
        return {key: values for keys in self.keys.values() for key, values in keys.items() if values}


def list_name(tasks: tuple[str, ...]) -> str:
    """What a script calls its list of the keys of some tasks."""
    return f"_detres_keys_{'_'.join(tasks)}"


def all_words(commands: Mapping[str, str]) -> Words:
    """commands: what each does, by its name."""
    found = tuple(_command(name, what) for name, what in commands.items())
    wanted = dict.fromkeys(command.tasks for command in found if command.tasks)
    return Words(found, tuple(stem for stem, _, _ in list_configs()), {tasks: _keys(tasks) for tasks in wanted})


def _keys(tasks: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {
        key.name: tuple(dict.fromkeys(value for each in key.by_task.values() for value in each.values))
        for key in list_keys(tasks)
        if not key.is_group
    }


def _command(name: str, what: str) -> Command:
    parser = argparse.ArgumentParser(prog=name)
    importlib.import_module(f"detres.commands.{name}").configure(parser)
    actions = [action for action in parser._actions if action.dest != "help"]
    placed = [action for action in actions if not action.option_strings]
    takes_keys = any(action.dest == "overrides" for action in placed) or name == "predict"
    return Command(
        name,
        what,
        tuple(_option(name, action) for action in actions if action.option_strings),
        words=tuple(str(word) for action in placed for word in action.choices or ()),
        configs=name == "configs",
        tasks=TASKS if name == "keys" else _tasks(name) if takes_keys else (),
        bare_keys=name == "keys",
    )


def _tasks(name: str) -> tuple[str, ...]:
    """Those that a command reads configs of."""
    if name.endswith("_cls"):
        return ("classification",)
    return ("detection", "localization") if name.endswith("_det") else TASKS


def _option(command: str, action: argparse.Action) -> Option:
    flag, about = action.option_strings[-1], " ".join((action.help or "").split())
    words = _OPTION_WORDS.get((command, flag)) or tuple(map(str, action.choices or ()))
    if words:
        return Option(flag, about, "words", words)
    if action.nargs == 0:
        return Option(flag, about, "nothing")
    if flag == "--cfg":
        return Option(flag, about, "configs")
    return Option(flag, about, "files" if action.metavar in _FILES else "value")
