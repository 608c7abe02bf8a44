"""Every key of the tasks' configs: its name, what it takes, its default, what it means and when it counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from detres.config.key_effects import CONDITIONS
from detres.config.keys.json_schema import Node, is_group, json_schema
from detres.config.keys.words import value_text, values_of, words_of
from detres.config.model_keys import lies_in
from detres.tables import SCHEMAS

TASKS = tuple(SCHEMAS)


@dataclass(frozen=True)
class Meaning:
    """A key in the configs of one task, in words.

    counts: beside what it changes something; empty where it always does. values: those that are spelled out.
    """

    takes: str
    default: str
    meaning: str
    counts: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """A key, or a group of keys, with what it is in each task that has it."""

    name: str
    by_task: Mapping[str, Meaning]
    is_group: bool = False

    @property
    def section(self) -> str:
        """The group whose key it is; of a group, itself."""
        return self.name if self.is_group else self.name.rpartition(".")[0]


def list_keys(tasks: Sequence[str] = TASKS) -> list[Key]:
    """All keys and groups: the first task's in its schema's order, then in each section those of the others."""
    found: dict[str, dict[str, Meaning]] = {}
    groups: set[str] = set()
    for task in tasks:
        for name, node in _walk(json_schema(task)):
            found.setdefault(name, {})[task] = _meaning(task, name, node)
            groups |= {name} if is_group(node) else set()
    keys = [Key(name, by_task, name in groups) for name, by_task in found.items()]
    sections = ["", *(key.name for key in keys if key.is_group)]
    # Of a section, the group itself stands first: False is before True.
    return sorted(keys, key=lambda key: (_place(sections, key.section), not key.is_group))


def _place(sections: Sequence[str], section: str) -> tuple[int, ...]:
    """Groups within a group follow its own keys, also those that another task alone has."""
    parts = section.split(".")
    return tuple(sections.index(".".join(parts[: depth + 1])) for depth in range(len(parts)))


def _walk(node: Node, above: str = "") -> Iterator[tuple[str, Node]]:
    for key, each in node["properties"].items():
        yield f"{above}{key}", each
        if is_group(each):
            yield from _walk(each, f"{above}{key}.")


def _meaning(task: str, name: str, node: Node) -> Meaning:
    wanted = [
        condition.wanted_words()
        for condition in CONDITIONS[task]
        if condition.quick and any(_said_at(name, key, is_group(node)) for key in condition.keys)
    ]
    meaning, counts = node.get("description", ""), ", and with ".join(dict.fromkeys(wanted))
    if is_group(node):
        return Meaning("", "", meaning, counts)
    return Meaning(words_of(node), value_text(node["default"]), meaning, counts, values_of(node))


def _said_at(name: str, key: str, group: bool) -> bool:
    """Of a whole group it is said once, at the group."""
    return name == key or (group and lies_in(name, key))
