"""Names of tensors in one project, told as pairs of templates that are read both ways.

("backbone.res2.{block}.conv{n}.norm.{leaf}", "backbone.layer1.{block}.bn{n}.{leaf}") renames the norms of a stage. What
stands in braces is kept: {leaf} is the last part of a name, {rest} any number of parts, everything else a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

Pairs = Sequence[tuple[str, str]]
"""(theirs, ours), the first that fits counting."""

_FIELDS = {"leaf": r"[^.]+", "rest": r".+"}
_NUMBER = r"\d+"


def rename(tensors: Mapping[str, Tensor], pairs: Pairs) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors whose names fit a pair's first template, named by its second; and the names that fit none."""
    patterns = [(_pattern(first), second) for first, second in pairs]
    renamed, unknown = {}, []
    for name, tensor in tensors.items():
        for pattern, second in patterns:
            if match := pattern.fullmatch(name):
                renamed[second.format(**match.groupdict())] = tensor
                break
        else:
            unknown.append(name)
    return renamed, unknown


def turned(pairs: Pairs) -> Pairs:
    """The way back: (ours, theirs). Of several that lead to one of our names, the first is taken."""
    return [(ours, theirs) for theirs, ours in pairs]


def _pattern(template: str) -> re.Pattern[str]:
    """Text and fields take turns."""
    parts = re.split(r"\{(\w+)\}", template)
    parts[::2] = [re.escape(text) for text in parts[::2]]
    parts[1::2] = [f"(?P<{name}>{_FIELDS.get(name, _NUMBER)})" for name in parts[1::2]]
    return re.compile("".join(parts))
