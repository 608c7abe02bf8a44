"""Keys as a text for terminals, and as a page of Markdown: a heading and a paragraph a section, then its keys."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from detres.config.keys.listing import Key, Meaning

# Columns below which a key's name stands on a line of its own.
_NARROW = 90
_INDENT = 2
_TOP = "top"
_TOP_MEANING = "What stands in no section."

_INTRODUCTION = """\
# Every key of a config

Written by `detres keys --markdown`: what it says stands in the schemas, below each key. `detres keys PATTERN` shows the
keys that a pattern means, and `detres configs --schema` tells editors of them.

A key is stated in a yaml, in its section, or as `section.key=value` on the command line; what is not stated has its
default. A file for `--data` states keys of the data section, without the section. Where a key says what it counts
with, it changes nothing beside other values: on the command line it is then refused.
"""


def as_text(keys: Sequence[Key], tasks: Sequence[str], width: int) -> str:
    """tasks: those that were asked for. width: in columns."""
    return "\n".join(line for section in _sections(keys) for line in _section_text(section, tasks, width)).strip("\n")


def as_markdown(keys: Sequence[Key], tasks: Sequence[str]) -> str:
    lines = [_INTRODUCTION]
    for section in _sections(keys):
        lines += [f"## {_name(section)}", "", _escaped(" ".join(_heading(section, tasks))), ""]
        lines += ["| key | takes | default | |", "|---|---|---|---|"]
        for key in (key for key in section if not key.is_group):
            for takes, default, meanings in _rows(key, tasks):
                cells = (f"`{key.name}`", _escaped(takes), f"`{default}`", _escaped(" ".join(meanings)))
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _sections(keys: Iterable[Key]) -> list[list[Key]]:
    """Groups that have keys of their own."""
    found = (list(section) for _, section in groupby(keys, key=lambda key: key.section))
    return [section for section in found if not all(key.is_group for key in section)]


def _name(section: Sequence[Key]) -> str:
    return section[0].section or _TOP


def _heading(section: Sequence[Key], tasks: Sequence[str]) -> list[str]:
    return _meanings(section[0], tasks) if section[0].is_group else [_TOP_MEANING]


def _section_text(section: Sequence[Key], tasks: Sequence[str], width: int) -> Iterator[str]:
    yield from ["", *_wrapped(f"{_name(section)}: {' '.join(_heading(section, tasks))}", width, ""), ""]
    own = [key for key in section if not key.is_group]
    column = _INDENT + max(len(key.name) for key in own) + _INDENT
    for key in own:
        texts = [
            text
            for takes, default, meanings in _rows(key, tasks)
            for text in (f"{takes}; default {default}", *meanings)
        ]
        name = f"{' ' * _INDENT}{key.name}"
        if width < _NARROW:
            yield name
            yield from _told(texts, width, " " * (3 * _INDENT))
        else:
            first, *others = _told(texts, width, " " * column)
            yield f"{name:<{column}}{first[column:]}"
            yield from others


def _told(texts: Iterable[str], width: int, indent: str) -> Iterator[str]:
    for text in texts:
        yield from _wrapped(text, width, indent)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    # Names, patterns and values are broken nowhere but where they are longer than a line.
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _rows(key: Key, tasks: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """What the key takes, its default and its meanings, once for all tasks that it takes the same values in."""
    groups = _grouped(key, tasks, lambda each: each.takes)
    for takes, of in groups.items():
        some = f"{_listed(of)}: " if len(of) < len(tasks) else ""
        defaults = _grouped(key, of, lambda each: each.default)
        texts = [f"{default} ({_listed(at)})" if len(defaults) > 1 else default for default, at in defaults.items()]
        yield f"{some}{takes}", ", ".join(texts), _meanings(key, of)


def _meanings(key: Key, tasks: Sequence[str]) -> list[str]:
    def said(each: Meaning) -> str:
        return f"{each.meaning} Counts with {each.counts}." if each.counts else each.meaning

    told = _grouped(key, tasks, said)
    return [text if len(told) == 1 else f"{_listed(of).capitalize()}: {text}" for text, of in told.items()]


def _grouped(key: Key, tasks: Sequence[str], part: Callable[[Meaning], str]) -> dict[str, list[str]]:
    """The tasks by what is said of the key."""
    told: dict[str, list[str]] = {}
    for task in tasks:
        if task in key.by_task:
            told.setdefault(part(key.by_task[task]), []).append(task)
    return told


def _listed(tasks: Sequence[str]) -> str:
    return " and ".join(tasks)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
