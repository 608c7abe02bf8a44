"""Names of tar shards, as webdataset writes them: `a::b` is two, braces stand for several, some are read from afar.

`{000..146}` counts (with zeros in front where an end has them), `{a..f}` walks the letters, `{x,y}` lists, and braces
nest; a backslash makes the next character plain. How many names a text stands for is known before any is made.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detres.errors import DataError

MOST_NAMES = 100_000
_LONGEST = 4096  # characters of a text
_MOST_CHARACTERS = 100_000_000  # of all it stands for
_MOST_DEPTH = 16

_NUMBERS = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})(?:\.\.-?([0-9]{1,18}))?")
_LETTERS = re.compile(r"([A-Za-z])\.\.([A-Za-z])(?:\.\.-?([0-9]{1,18}))?")
_ALPHABET = string.ascii_uppercase + string.ascii_lowercase

_ADDRESS = re.compile(r"https?://[^\s'\"`$\\<>|;{}^]+")
"""What can be fetched without meaning anything else to a shell on the way."""


@dataclass(frozen=True)
class _Choice:
    """Texts of which one stands at a place: a range, or the lists of parts between commas."""

    options: Sequence[str] | Sequence[Sequence[str | _Choice]]

    def count(self) -> int:
        if isinstance(self.options, _Range):
            return len(self.options)
        return sum(1 if isinstance(option, str) else _count(option) for option in self.options)

    def texts(self) -> Iterator[str]:
        for option in self.options:
            yield from (option,) if isinstance(option, str) else _texts(option)


_Parts = Sequence["str | _Choice"]


class _Range(Sequence[str]):
    """The texts of a range, made when they are asked for."""

    def __init__(self, numbers: range, width: int) -> None:
        self.numbers, self.width = numbers, width

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i: int) -> str:  # type: ignore[override]
        return f"{self.numbers[i]:0{self.width}d}"


def expand_names(text: str) -> list[str]:
    """All shards that a text names, in order. Raises DataError: braces left open, or more than MOST_NAMES names."""
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    if len(text) > _LONGEST:
        raise DataError(f"{shown}: a name of shards has at most {_LONGEST} characters, this has {len(text):,}")
    try:
        each = [_parse(name, 0) for name in text.split("::")]
    except ValueError as error:
        raise DataError(f"{shown}: {error}") from None
    count = sum(map(_count, each))
    if count > MOST_NAMES or count * len(text) > _MOST_CHARACTERS:
        raise DataError(
            f"{shown}: this stands for {_rounded(count)} shards, and at most {MOST_NAMES:,} are named at once; "
            "check the range in braces, or list parts of it"
        )
    return [name for parts in each for name in _texts(parts)]


def is_streamed(name: str) -> bool:
    """Whether a shard lies elsewhere, and can be read from its beginning alone."""
    return name.startswith("pipe:") or "://" in name


def is_address(name: str) -> bool:
    """Whether a shard is fetched from the web, by an address that can mean nothing else."""
    return _ADDRESS.fullmatch(name) is not None


def programs_in(text: str) -> list[str]:
    """The shards among those a text names that a program is started for: pipe:COMMAND and every scheme but http(s).

    Raises DataError as expand_names.
    """
    if ":" not in text:  # braces make letters and numbers alone
        return []
    return [name for name in expand_names(text) if is_streamed(name) and not is_address(name)]


def _parse(text: str, depth: int) -> list[str | _Choice]:
    """The parts of a pattern, each a text or a choice; ValueError where braces do not match."""
    if depth > _MOST_DEPTH:
        raise ValueError(f"braces lie more than {_MOST_DEPTH} deep in each other")
    parts: list[str | _Choice] = []
    plain, place = [], 0
    while place < len(text):
        if text[place] == "\\" and place + 1 < len(text):
            plain.append(text[place + 1])
            place += 2
        elif text[place] == "{":
            end = _closing(text, place)
            parts += ["".join(plain), *_braces(text[place + 1 : end], depth + 1)]
            plain, place = [], end + 1
        elif text[place] == "}":
            raise ValueError("a brace is closed that was not opened")
        else:
            plain.append(text[place])
            place += 1
    return [*parts, "".join(plain)]


def _closing(text: str, opening: int) -> int:
    open_now, escaped = 0, False
    for place in range(opening, len(text)):
        if escaped or text[place] == "\\":
            escaped = not escaped
        elif text[place] == "{":
            open_now += 1
        elif text[place] == "}":
            open_now -= 1
            if not open_now:
                return place
    raise ValueError("a brace is opened that is not closed")


def _braces(inside: str, depth: int) -> list[str | _Choice]:
    """What stands for the text between two braces; where it offers no choice, it itself with its braces."""
    if found := _NUMBERS.fullmatch(inside):
        first, last, step = found.groups()
        padded = any(end.lstrip("-").startswith("0") and end not in ("0", "-0") for end in (first, last))
        width = max(len(first), len(last)) if padded else 0
        return [_Choice(_Range(_stepped(int(first), int(last), step), width))]
    if found := _LETTERS.fullmatch(inside):
        first, last, step = found.groups()
        places = _stepped(_ALPHABET.index(first), _ALPHABET.index(last), step)
        return [_Choice([_ALPHABET[place] for place in places])]
    listed = _between_commas(inside)
    if len(listed) > 1:
        return [_Choice([_parse(each, depth) for each in listed])]
    return ["{", *_parse(inside, depth), "}"]


def _stepped(first: int, last: int, step: str | None) -> range:
    by = int(step or 1) or 1
    return range(first, last + 1, by) if first < last else range(first, last - 1, -by)


def _between_commas(text: str) -> list[str]:
    """The text cut at commas that stand in no braces of its own."""
    cuts, depth, escaped = [-1], 0, False
    for place, char in enumerate(text):
        if escaped or char == "\\":
            escaped = not escaped
        elif char in "{}":
            depth += 1 if char == "{" else -1
        elif char == "," and not depth:
            cuts.append(place)
    return [text[a + 1 : b] for a, b in itertools.pairwise([*cuts, len(text)])]


def _count(parts: _Parts) -> int:
    count = 1
    for part in parts:
        count *= part.count() if isinstance(part, _Choice) else 1
    return count


def _texts(parts: _Parts) -> Iterator[str]:
    """Every text the parts stand for, the last part changing fastest."""
    choices = [part.texts() if isinstance(part, _Choice) else (part,) for part in parts]
    return map("".join, itertools.product(*choices))


def _rounded(count: int) -> str:
    return f"{count:,}" if count < 10**18 else "more than 10^18"
