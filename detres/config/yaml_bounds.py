"""What any yaml from outside may cost: bounded in length, depth and values, with everything that aliases stand for.

PyYAML shares what an alias stands for, so ten short lines can mean 10^10 values to whoever walks them; and it follows
cycles and depth until Python's stack ends. Here they are counted on the nodes, before any value is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

# A config has hundreds of values; the 21,841 class names of all ImageNet, as a mapping, twice as many as these names.
MOST_CHARACTERS = 2_000_000
MOST_BYTES = 4 * MOST_CHARACTERS
MOST_VALUES = 100_000
MOST_DEPTH = 64

_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_NUMBER = 64  # characters; sums of the digits of longer ones take long, and Python refuses some with no place
_LARGEST_NUMBER = 2**63 - 1


class RefusedYamlError(yaml.MarkedYAMLError):
    """What is YAML, and not read here all the same."""


class BoundedLoader(yaml.SafeLoader):
    """SafeLoader that refuses, with the line, what would cost more than its text: see the module.

    Besides: tags of any kind, and whole numbers beyond 64 bits, which no key of ours takes and no float holds.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MOST_CHARACTERS:
            raise yaml.YAMLError(f"it has {len(text):,} characters, and at most {MOST_CHARACTERS:,} are read")
        super().__init__(text)
        self._depth, self._values = 0, 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")[:40]
            raise _problem(f"tags such as {tag} are not read; leave it out", event.start_mark)
        self._depth, self._values = self._depth + 1, self._values + 1
        if self._depth > MOST_DEPTH:
            raise _problem(f"values lie more than {MOST_DEPTH} deep in each other", event.start_mark)
        if self._values > MOST_VALUES:
            raise _problem(f"it has more than {MOST_VALUES:,} values", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and _SURROGATE.search(node.value):
            raise _problem("half a character, as \\ud800 is, is no text", node.start_mark)
        return node

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _measure(node, {})
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > _LONGEST_NUMBER or abs(number := super().construct_yaml_int(node)) > _LARGEST_NUMBER:
            raise _problem(f"{_shown(node.value)} is beyond the whole numbers of 64 bits", node.start_mark)
        return number

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        if len(node.value) > 4 * _LONGEST_NUMBER:
            raise _problem(f"{_shown(node.value)} has too many digits", node.start_mark)
        return super().construct_yaml_float(node)


BoundedLoader.add_constructor("tag:yaml.org,2002:int", BoundedLoader.construct_yaml_int)
BoundedLoader.add_constructor("tag:yaml.org,2002:float", BoundedLoader.construct_yaml_float)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """How many values a node stands for, itself and aliases' included, and how deep they lie.

    known: what is measured already, by id; None while it is being measured. An alias stands after its anchor, so a
    walk in the document's order never goes deeper than the text does.
    """
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise _problem("an alias stands for what it lies in itself", node.start_mark)
        return measured
    known[id(node)] = None
    values, depth = 1, 0
    for child in children(node):
        more, deeper = _measure(child, known)
        values, depth = values + more, max(depth, deeper)
        if values > MOST_VALUES or depth >= MOST_DEPTH:
            raise _problem(
                f"with its aliases this stands for more than {MOST_VALUES:,} values, or {MOST_DEPTH} deep",
                node.start_mark,
            )
    known[id(node)] = values, depth + 1
    return values, depth + 1


def children(node: yaml.Node) -> Iterator[yaml.Node]:
    """The nodes directly below a node, keys included."""
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _shown(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def _problem(text: str, mark: yaml.Mark | None) -> RefusedYamlError:
    return RefusedYamlError(problem=text, problem_mark=mark)
