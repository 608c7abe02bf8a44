"""What commands print to, whatever has become of it: a reader that went away, a full disk, a terminal that knows ASCII.

What cannot be printed is no reason to stop the work. Characters that the encoding lacks are spelled with those it has.
"""

from __future__ import annotations

import codecs
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from detres.errors import DetresWarning

_SPELLED = "detres.spelled"
_ASCII = str.maketrans(
    {
        "–": "-",
        "—": "-",
        "−": "-",
        "×": "x",
        "…": "...",
        "→": "->",
        "±": "+-",
        "≤": "<=",
        "≥": ">=",
        "·": "*",
        "²": "^2",
    }
    | {"“": '"', "”": '"', "‘": "'", "’": "'", "°": " degrees"}
)
# How Python hands over bytes of a file's name that are no UTF-8.
_SURROGATES = range(0xDC80, 0xDD00)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


def _spelled(character: str) -> str:
    plain = character.translate(_ASCII)
    if plain.isascii():
        return plain
    if ord(character) in _SURROGATES:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("ascii", errors="backslashreplace").decode("ascii")


codecs.register_error(_SPELLED, _spell)


class Output:
    """A stream that swallows what it cannot write. lost: whether a reader that is still there misses something."""

    def __init__(self, stream: TextIO, *, say: TextIO | Output | None = None) -> None:
        """say: where to say, once, that the stream is lost."""
        self._stream, self._say, self._gone = stream, say, False
        self.lost = False

    def write(self, text: str) -> int:
        self._trying(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._trying(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _trying(self, act: Any, *arguments: str) -> None:
        if self._gone:
            return
        try:
            act(*arguments)
        except (OSError, ValueError) as error:  # ValueError: of a closed file
            self._let_go(error)

    def _let_go(self, error: Exception) -> None:
        """Nothing more is written, nor tried when the interpreter flushes what is left."""
        self._gone = True
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            return  # `detres … | head` is no fault of anybody's.
        self.lost = True
        if self._say is not None:
            what = getattr(error, "strerror", None) or error
            print(f"warning: what is printed cannot be written: {what}; nothing more is", file=self._say, flush=True)


@contextmanager
def forgiving_output() -> Iterator[Output]:
    """In it, sys.stdout and sys.stderr are Outputs, and a DetresWarning is one line; yields the former."""
    _open_closed()
    before = sys.stdout, sys.stderr
    errors = Output(sys.stderr)
    output = Output(sys.stdout, say=errors)
    with _spelling(sys.stdout), _spelling(sys.stderr), warnings.catch_warnings():
        show = warnings.showwarning

        def say_plainly(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, DetresWarning):
                print(f"warning: {message}", file=sys.stderr, flush=True)
            else:
                show(message, category, *where, **more)

        warnings.showwarning = say_plainly
        sys.stdout, sys.stderr = output, errors
        try:
            yield output
        finally:
            output.flush()
            errors.flush()
            sys.stdout, sys.stderr = before


def _open_closed() -> None:
    """Where the process was started without them: else the first file it opens would be its output."""
    if sys.stdout is not None and sys.stderr is not None:
        return
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(nowhere)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, it is the process's
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


@contextmanager
def _spelling(stream: TextIO) -> Iterator[None]:
    if not hasattr(stream, "reconfigure"):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors=_SPELLED)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            stream.reconfigure(errors=before)
