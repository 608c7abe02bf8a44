"""YAML as configs are written and read here: YAML 1.2's plain values, no key twice, no tags, every key's line known.

PyYAML alone reads YAML 1.1, where `1e-3` is text, `no` is false, `12:30` is a number and a doubled key silently wins.

A *path* is a tuple of keys from the top of the file to a value.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from detres.errors import ConfigError

Path = tuple[str, ...]

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


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict = {}  # noqa: RUF012  (PyYAML's own way to state them)


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
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}
            lines: dict[Path, int] = {}
            problems: list[str] = []
            _walk(node, (), lines, problems)
            if problems:
                raise ConfigError("\n".join(f"{source}: {problem}" for problem in problems))
            return loader.construct_document(node), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ConfigError(f"{source}: this is no YAML: {error.problem}{line}") from None
    except (yaml.YAMLError, ValueError) as error:
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
            problems.append(f"a key must be a name, got {getattr(key_node, 'value', 'a list')!r} (line {line})")
            continue
        here = (*path, key_node.value)
        if here in lines:
            problems.append(f"{'.'.join(here)} stands twice, at lines {lines[here]} and {line}; keep one")
        lines[here] = line
        _walk(child, here, lines, problems)
