"""The JSON schema of a config's file, or of a file for --data, by which editors complete and check the yaml.

In draft 7, which every editor reads, without references and with all short forms that a config takes. A *node* is the
schema of one value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from detres.tables import SCHEMAS

Node = Mapping[str, Any]

# Files of --data, by the task whose data section they state.
DATA_FILES = {"data": "detection", "data_classification": "classification"}
NAMES = (*SCHEMAS, *DATA_FILES)
_SPLITS = ("train", "val", "test")
_NO_CODE = {"pattern": "^[^:]*$"}


def json_schema(name: str) -> dict[str, Any]:
    """name: one of NAMES."""
    schema: type[BaseModel] = SCHEMAS[DATA_FILES.get(name, name)]
    whole = _inlined(schema.model_json_schema(), schema().model_dump(mode="json"))
    if name in DATA_FILES:
        return _headed("A data set for --data", _of_strangers(whole["properties"]["data"]))
    # Without it a config is one of detection.
    required = {} if name == "detection" else {"required": ["task"]}
    return _headed(f"A {name} config of detres", {**whole, **required})


def is_group(node: Node) -> bool:
    """Whether it is of keys that the schema knows, and not of one value."""
    return "properties" in node


def _headed(title: str, node: Node) -> dict[str, Any]:
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title}
    return head | {key: value for key, value in node.items() if key != "description"} | {"type": "object"}


def _inlined(schema: Node, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Pydantic's schema with every reference replaced by what it refers to, and each key's default in its place."""
    known = schema.get("$defs", {})

    def of(node: Any, default: Any = None, *, is_key: bool = False) -> Any:
        if isinstance(node, list):
            return [of(each) for each in node]
        if not isinstance(node, Mapping):
            return node
        if "$ref" in node:
            # What stands beside a reference is said of this place.
            node = {**known[node["$ref"].rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}
        if is_group(node):
            return _group(node, default, of)
        # Of a key, pydantic's title is the key's name again.
        skipped = ("title", "default") if is_key else ("default",)
        inner = _as_draft_7({key: of(value) for key, value in node.items() if key not in skipped})
        return inner | {"default": default} if is_key else inner

    return of({key: value for key, value in schema.items() if key != "$defs"}, defaults)


def _group(node: Node, defaults: Mapping[str, Any], of: Callable[..., Any]) -> dict[str, Any]:
    keys = {key: of(each, defaults[key], is_key=True) for key, each in node["properties"].items()}
    said = {"description": node["description"]} if "description" in node else {}
    # `model:` with nothing under it is null, and states nothing.
    return {**said, "type": ["object", "null"], "additionalProperties": False, "properties": keys}


def _as_draft_7(node: dict[str, Any]) -> dict[str, Any]:
    """Lists of a fixed length; the drafts write them in different words."""
    entries = node.pop("prefixItems", None)
    if entries is not None:
        node["items"] = entries[0] if all(each == entries[0] for each in entries) else entries
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    return node


def _of_strangers(data: Node) -> Node:
    """The data section as a file of --data states it, which may be anyone's: it names no code, and no split by null."""
    keys = dict(data["properties"])
    named = keys["format"]["anyOf"][0] | {"description": "How the set is written."}
    keys["format"] = {key: value for key, value in keys["format"].items() if key != "anyOf"} | named
    for split in _SPLITS:
        keys[split] = keys[split] | {"anyOf": [*keys[split]["anyOf"], {"type": "null"}]}
    if "augment" in keys:
        keys["augment"] = keys["augment"] | {"items": keys["augment"]["items"] | {"propertyNames": _NO_CODE}}
    return {**data, "properties": keys}
