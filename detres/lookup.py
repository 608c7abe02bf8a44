"""Tables of names, each with the place where what it stands for is found, which is imported when it is asked for.

A *place* is `module:name`. So a table costs nothing to import, whoever reads a config can check a name against it, and
a run imports what it chose and nothing else.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Table(Mapping[str, T], Generic[T]):
    """What a key of a config may name; table[name] imports what the name stands for."""

    def __init__(self, places: Mapping[str, str]) -> None:
        """places: `module:name` by name."""
        self._places = dict(places)

    def __getitem__(self, name: str) -> T:
        return find(self._places[name])

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def heeding(self, parameter: str) -> list[str]:
        """The names of entries that have a parameter of this name, by their source: nothing of theirs is imported."""
        return [name for name, place in self._places.items() if parameter in _parameters_at(place)]

    def check(self, name: object, *besides: str, also: str = "") -> str:
        """The name, where it is one of the table's, or of those besides. also: what else may be named.

        Raises ValueError with all that there are.
        """
        known = (*besides, *self._places)
        if isinstance(name, str) and name in known:
            return name
        close = nearest(str(name), known, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        shown = repr(name) if len(repr(name)) <= 80 else f"{repr(name)[:77]}..."
        raise ValueError(f"got {shown}, expected one of {', '.join(known)}{also}{meant}")


def find(place: str) -> Any:
    """What lies at `module:name`. Raises ImportError or AttributeError where nothing does."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def heeds(entry: Callable[..., Any], parameter: str) -> bool:
    """Whether an entry of a table has a parameter of this name."""
    return parameter in _parameters(entry)


def heeded(entry: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Of all that is offered by name, what an entry's parameters ask for.

    So every entry of a table states the parameters that it heeds, and no other.
    """
    return {name: offered[name] for name in _parameters(entry) if name in offered}


def _parameters(entry: Callable[..., Any]) -> Iterable[str]:
    try:
        return inspect.signature(entry).parameters
    except ValueError:  # Some of Python's own callables state none.
        return ()


@cache
def _parameters_at(place: str) -> tuple[str, ...]:
    """The parameters of a function by its source, or by what it is where it stands elsewhere than its place says."""
    module, _, name = place.partition(":")
    spec = importlib.util.find_spec(module)
    file = Path(spec.origin) if spec and spec.origin else None
    source = file.read_text(encoding="utf-8") if file and file.suffix == ".py" and file.is_file() else ""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return tuple(each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
    return tuple(_parameters(find(place)))


def nearest(word: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of the names that look like `word`, best first, whatever their case."""
    by_folded = {name.casefold(): name for name in names}
    return [by_folded[hit] for hit in difflib.get_close_matches(word.casefold(), by_folded, n=count, cutoff=0.6)]
