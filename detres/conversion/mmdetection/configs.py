"""What a config of mmdetection's says, read from its text without running it.

Its checkpoints carry the config they were trained by as Python: assignments of literals, of dict(...), and of names
assigned before. Those are evaluated here from the syntax tree; a value that only running the text would tell is absent.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detres.config.yaml_dialect import read_yaml_1_1
from detres.conversion.foreign_configs import extent, read_config_file, shown
from detres.errors import ConfigError

STRIDES = [4, 8, 16, 32, 64]
"""Of an FPN's five levels; a config's tuples are lists here."""

_ABSENT = object()
_MOST_VALUES = 500_000

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class StatedConfig:
    """A config's values by their dotted paths: model.backbone.depth."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    @classmethod
    def from_text(cls, text: str) -> StatedConfig:
        """Raises ValueError where the text is no Python, or builds more than a config has.

        A text of 1.x, and of early 2.x, is that of a file and the files it builds on, the path of each in a line
        before it; a dict assigned twice is merged.
        """
        lines = ["" if re.fullmatch(r"[^'\"=()#]+\.py", line) else line for line in text.splitlines()]
        names: dict[str, Any] = {}
        left = _MOST_VALUES
        try:
            for statement in ast.parse("\n".join(lines)).body:
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    name = statement.targets[0].id
                    value = _evaluate(statement.value, names)
                    left -= extent(value, left)
                    names[name] = _merged(names.get(name, _ABSENT), value)
        except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
            raise ValueError(f"no Python of a config: {error}") from None
        return cls({name: value for name, value in names.items() if value is not _ABSENT})

    @classmethod
    def from_file(cls, path: Path) -> StatedConfig:
        """A config that a user names, with the files below it that its _base_ names; .py, .json, .yaml.

        Raises ConfigError where it is none, or says what only running it would tell.
        """
        if path.suffix != ".py":
            values = read_yaml_1_1(read_config_file(path), str(path))  # JSON is YAML.
            if not isinstance(values, Mapping) or not isinstance(values.get("model"), Mapping):
                raise ConfigError(f"{path}: no config of mmdetection's: it has no group `model`")
            if "_base_" in values:
                raise ConfigError(f"{path}: builds on {shown(values['_base_'])}; {_WHOLE}")
            try:
                extent(values)
            except ValueError as error:
                raise ConfigError(f"{path}: {error}") from None
            return cls(dict(values))
        try:
            config = cls.from_text("\n".join(_texts(path, ())))
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
        if not isinstance(config.get("model"), Mapping):
            raise ConfigError(f"{path}: no config of mmdetection's: it assigns no `model`")
        return config

    def get(self, *paths: str, default: Any = None) -> Any:
        """The value of the first path that is stated: a setting has had several names over the years."""
        for path in paths:
            value: Any = self.values
            for key in path.split("."):
                value = value.get(key, _ABSENT) if isinstance(value, Mapping) else _ABSENT
            if value is not _ABSENT:
                return value
        return default

    def without(self, *paths: str) -> StatedConfig:
        """The config as if it did not say these."""
        values = self.values
        for path in paths:
            values = _without(values, path.split("."))
        return StatedConfig(values)

    def below(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Every dict at or below a path, such as the steps of a pipeline, each before what it holds, in their order."""
        waiting = [self.get(path)]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Mapping):
                yield value
            if isinstance(value, Mapping | list):
                waiting += reversed(list(value.values()) if isinstance(value, Mapping) else value)


_WHOLE = "give the config that its training leaves in the work folder, which is whole"
_MOST_FILES = 32


def _texts(path: Path, above: tuple[Path, ...]) -> list[str]:
    """The text of a file after those of the files it builds on."""
    text = read_config_file(path)
    if re.search(r"^with read_base\(\)", text, re.MULTILINE):
        raise ConfigError(f"{path}: imports what it builds on, which only running it would tell; {_WHOLE}")
    if path.resolve() in above or len(above) >= _MOST_FILES:
        raise ConfigError(f"{path}: builds on itself, or on more than {_MOST_FILES} files")
    try:
        bases = StatedConfig.from_text(text).get("_base_", default=[])
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    texts = []
    for base in [bases] if isinstance(bases, str) else bases if isinstance(bases, list) else [None]:
        file = path.parent / base if isinstance(base, str) else None
        if file is None or not file.is_file():
            raise ConfigError(f"{path}: builds on {shown(base)}, which is not there; put it there, or {_WHOLE}")
        texts += _texts(file, (*above, path.resolve()))
    return [*texts, text]


def kind_of(section: Any) -> str | None:
    """The class a section names, without the modules it lies in; None where it names none."""
    kind = section.get("type") if isinstance(section, Mapping) else None
    return kind.rpartition(".")[2] if isinstance(kind, str) else None


def _without(values: Any, keys: Sequence[str]) -> Any:
    first, *rest = keys
    if not isinstance(values, Mapping) or first not in values:
        return values
    kept = {key: value for key, value in values.items() if key != first}
    return kept | {first: _without(values[first], rest)} if rest else kept


def _merged(old: Any, new: Any) -> Any:
    """A dict changes the one before it key by key, unless it says _delete_."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    if new.get("_delete_"):
        return {key: value for key, value in new.items() if key != "_delete_"}
    return old | {key: _merged(old.get(key, _ABSENT), value) for key, value in new.items()}


def _evaluate(node: ast.expr | None, names: Mapping[str, Any]) -> Any:
    """The value of an expression, tuples as lists; _ABSENT for what is neither a literal nor made of literals."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return names.get(name, _ABSENT)
        case ast.List(items) | ast.Tuple(items):
            return [_evaluate(item, names) for item in items]
        case ast.Dict(keys, values):
            return _pairs([(_evaluate(k, names) if k else None, v) for k, v in zip(keys, values, strict=True)], names)
        case ast.Call(ast.Name("dict"), args, keywords):
            return _pairs([*((None, arg) for arg in args), *((word.arg, word.value) for word in keywords)], names)
        case ast.UnaryOp(ast.USub(), operand):
            value = _evaluate(operand, names)
            return -value if isinstance(value, int | float) else _ABSENT
        case ast.BinOp(left, sign, right) if type(sign) in _ARITHMETIC:
            numbers = [_evaluate(side, names) for side in (left, right)]
            if all(isinstance(number, int | float) for number in numbers):
                # Floats: products of whole numbers could be made as long as memory allows.
                return _ARITHMETIC[type(sign)](*map(float, numbers))
    return _ABSENT


def _pairs(pairs: list[tuple[Any, ast.expr]], names: Mapping[str, Any]) -> dict[str, Any]:
    """A key of None stands before a dict that is spread."""
    made: dict[str, Any] = {}
    for key, node in pairs:
        value = _evaluate(node, names)
        if key is None:
            made |= value if isinstance(value, dict) else {}
        elif isinstance(key, str) and value is not _ABSENT:
            made[key] = value
    return made
