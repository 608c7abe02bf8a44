"""What a key takes, and a value, in plain words: {"type": "integer", "minimum": 1} is "a whole number from 1"."""

from __future__ import annotations

import json
from typing import Any

from detres.config.keys.json_schema import Node


def words_of(node: Node) -> str:
    """What the value of a key may be."""
    return _alternatives(node["anyOf"]) if "anyOf" in node else _one(node)


def value_text(value: Any) -> str:
    """A value as it is written behind key=."""
    if isinstance(value, str):
        return value if value else '""'
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {value_text(each)}' for key, each in value.items())}}}"
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def values_of(node: Node) -> tuple[str, ...]:
    """The values that are spelled out: names of a list, true and false, null; none where any text or number may be."""
    if "anyOf" in node:
        return tuple(dict.fromkeys(value for each in node["anyOf"] for value in values_of(each)))
    if node.get("type") == "array":
        return ()
    named = [node["const"]] if "const" in node else node.get("enum", ())
    usual = {"boolean": ("true", "false"), "null": ("null",)}.get(node.get("type", ""), ())
    return (*map(value_text, named), *usual)


def _alternatives(nodes: list[Node]) -> str:
    first, *others = nodes
    texts = [_one(first)]
    for node in others:
        if node.get("type") == "boolean":
            texts += ["true", "false"]
            continue
        # A list's only entry may stand alone.
        alone = first.get("type") == "array" and _without_bounds(first.get("items")) == _without_bounds(node)
        texts.append("one alone" if alone else _one(node))
    if first.get("type") == "array" and "anyOf" in first.get("items", {}) and len(others) > 1:
        texts = [texts[0], "one alone"]  # Such as names, or module:callable: each of them may.
    *most, last = texts
    return f"{', '.join(most)}, or {last}" if most else last


def _without_bounds(node: Any) -> Any:
    return {key: value for key, value in node.items() if key == "type"} if isinstance(node, dict) else node


def _one(node: Node, *, many: bool = False) -> str:
    """many: in the plural, as of a list's entries."""
    if "title" in node:
        return node["title"]
    if "anyOf" in node:
        return " or ".join(_one(each, many=many) for each in node["anyOf"])
    if "const" in node or "enum" in node:
        named = [value_text(value) for value in ([node["const"]] if "const" in node else node["enum"])]
        return f"{named[0]} alone" if len(named) == 1 else f"{'any' if many else 'one'} of {', '.join(named)}"
    match node.get("type"):
        case "array":
            return _list(node, many=many)
        case "integer":
            return f"{'whole numbers' if many else 'a whole number'}{_bounds(node)}"
        case "number":
            return f"{'numbers' if many else 'a number'}{_bounds(node)}"
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "string":
            return "texts" if many else "text"
    return "groups of keys" if many else "a group of keys"


def _list(node: Node, *, many: bool) -> str:
    least, most = node.get("minItems", 0), node.get("maxItems")
    entries = _one(node["items"], many=True)
    if least and least == most:
        return f"{'lists of' if many else 'a list of'} {least} {entries}"
    return f"{'lists' if many else 'a list'} of {'one or more ' if least == 1 else ''}{entries}"


def _bounds(node: Node) -> str:
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high, below = node.get("maximum"), node.get("exclusiveMaximum")
    parts = [f" from {low:g}"] if low is not None else [f" above {above:g}"] if above is not None else []
    if high is not None:
        parts.append(f" to {high:g}" if parts else f" up to {high:g}")
    elif below is not None:
        parts.append(f" to below {below:g}" if low is not None else f"{' and' if parts else ''} below {below:g}")
    return "".join(parts)
