"""YAML as configs are written and read here: YAML 1.2's plain values, no key twice, no tags, every key's line known.

PyYAML alone reads YAML 1.1, where `1e-3` is text, `no` is false, `12:30` is a number and a doubled key silently wins.
Files of other tools are read as these read them (read_yaml_1_1). Either way yaml_bounds.py says what a text may cost.

A *path* is a tuple of keys from the top of the file to a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import yaml

from detres.config.yaml_bounds import BoundedLoader, RefusedYamlError, children
from detres.errors import ConfigError

Path = tuple[str, ...]
T = TypeVar("T")

_MOST_PROBLEMS = 20

_PLAIN_VALUES = (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", "tTfF"),
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
)


class _Loader(BoundedLoader):
    yaml_implicit_resolvers: dict = {}  # noqa: RUF012  (PyYAML's own way to state them)


class _Loader11(BoundedLoader):
    # Text that looks like a date is a name here, and so is a lone =.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in entries if not tag.endswith((":timestamp", ":value"))]
        for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict = {}  # noqa: RUF012

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


for _tag, _pattern, _first in _PLAIN_VALUES:
    for _dialect in (_Loader, _Dumper):
        _dialect.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read_yaml(text: str, source: str) -> tuple[Any, dict[Path, int]]:
    """Parse one document; return its value and the line, from 1, of every key.

    Raises ConfigError, naming `source` and the line, where the text is no YAML, a key stands twice or is no text.
    """

    def value_and_lines(loader: _Loader, node: yaml.Node) -> tuple[Any, dict[Path, int]]:
        lines: dict[Path, int] = {}
        problems: list[str] = []
        _walk(node, (), lines, problems)
        if problems:
            raise ConfigError("\n".join(f"{source}: {problem}" for problem in problems[:_MOST_PROBLEMS]))
        return loader.construct_document(node), lines

    return _read(_Loader, text, source, value_and_lines) or (None, {})


def read_yaml_1_1(text: str, source: str) -> Any:
    """Parse one document as tools of others do, where keys may be numbers; dates stay text. Raises as read_yaml."""

    def value(loader: _Loader11, node: yaml.Node) -> Any:
        _refuse_doubled_keys(node, set())
        return loader.construct_document(node)

    return _read(_Loader11, text, source, value)


def _read(dialect: type[BoundedLoader], text: str, source: str, use: Callable[[Any, yaml.Node], T]) -> T | None:
    """What `use` makes of the text's document; None where there is none."""
    try:
        loader = dialect(text)
        try:
            node = loader.get_single_node()
            return None if node is None else use(loader, node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        kind = "this is no YAML that is read" if isinstance(error, RefusedYamlError) else "this is no YAML"
        raise ConfigError(f"{source}: {kind}: {error.problem}{line}") from None
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{source}: this is no YAML: it holds the character {chr(error.character)!a} (line {number})"
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{source}: this is no YAML: {error}") from None


def write_yaml(value: Any) -> str:
    """The text that read_yaml turns back into `value` (made of dicts, lists, numbers, text, None)."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], problems: list[str]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for place, child in enumerate(node.value):
            _walk(child, (*path, str(place)), lines, problems)
    if not isinstance(node, yaml.MappingNode):
        return
    for key_node, child in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            problems.append(f"a key must be a name, got {_shown_key(key_node)} (line {line})")
            continue
        here = (*path, key_node.value)
        if here in lines:
            problems.append(f"{'.'.join(here)[:80]} stands twice, at lines {lines[here]} and {line}; keep one")
        lines[here] = line
        _walk(child, here, lines, problems)


def _refuse_doubled_keys(node: yaml.Node, seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], int] = {}
        # Merge keys may stand more than once.
        names = (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"))
        for key in names:
            line = key.start_mark.line + 1
            if (key.tag, key.value) in first:
                lines = f"lines {first[key.tag, key.value]} and {line}"
                raise RefusedYamlError(problem=f"{key.value[:80]} stands twice, at {lines}; keep one")
            first[key.tag, key.value] = line
    for child in children(node):
        _refuse_doubled_keys(child, seen)


def _shown_key(node: yaml.Node) -> str:
    return repr(node.value[:80]) if isinstance(node, yaml.ScalarNode) else "a list or a group"
