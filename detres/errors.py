"""What a user can do wrong. Every message says what, got, where, and how to mend it."""

from __future__ import annotations

import os
import traceback
import warnings

# Of a message; what is longer quotes something that nobody reads to its end.
_LONGEST_LINE = 1200
# Marks, embeddings, overrides and isolates of direction, and what some programs take for the end of a line.
_TURNING = frozenset("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_OURS = os.path.join(os.path.dirname(__file__), "")


class UserError(Exception):
    """A mistake the user can mend; commands print its message alone and exit with `exit_status`."""

    exit_status = 2

    def __str__(self) -> str:
        return readable(super().__str__())


class ConfigError(UserError):
    """A config, an override or an argument is wrong."""


class DataError(UserError):
    """A data set is missing, unreadable or contradicts itself."""


class WeightsError(UserError):
    """A weights file is missing, unreadable, or does not fit what it is loaded into."""


class DetresWarning(Warning):
    """Something of the machine's failed, and the work goes on without it; commands print it as one line."""


def tell(message: str) -> None:
    """Warn of what went wrong and is told nowhere else."""
    warnings.warn(message, DetresWarning, stacklevel=2)


def raised_in(error: BaseException, caller: str) -> str:
    """An error of code that is not ours, in a line: its kind, its words, and the code's file and line.

    caller: our file, in which that code is called; others of ours that it was called through are passed over. The line
    is the last one in the file that was called, whatever library it called in its turn; none for what was called
    wrongly, or is not written in Python.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    called = [frame for frame in frames if frame.filename != caller]
    theirs = [frame for frame in called if not frame.filename.startswith(_OURS)] or called
    own = [frame for frame in theirs if frame.filename == theirs[0].filename]
    words = " ".join(str(error).split())[:500]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}{f': {words}' if words else ''}{place}"


def readable(text: str) -> str:
    """Text that may quote whatever a file holds: names of megabytes are cut, a terminal's commands are spelled out."""
    return "\n".join(_shown(line) for line in text.split("\n"))


def spelled_out(line: str) -> str:
    """A line in which what a terminal would obey, and what would turn the order of the letters, can be read."""
    return line if line.isprintable() else "".join(map(_spelled, line))


def _shown(line: str) -> str:
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE * 2 // 3]} … {line[-_LONGEST_LINE // 3 :]}"
    return spelled_out(line)


def _spelled(letter: str) -> str:
    # Bytes of names that are no text stay as they are: whoever prints them knows their encoding.
    # C1 has commands of terminals as well: U+009B is what ESC [ is. Others turn the order of what follows them.
    commands = ord(letter) < 32 or 127 <= ord(letter) < 160 or letter in _TURNING
    return letter.encode("unicode_escape").decode() if commands else letter


def kind_of(value: object) -> str:
    """What a value is, with its article: a str, an int."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"
