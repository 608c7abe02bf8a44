"""Text files as people's editors write them: UTF-8 with or without a byte order mark, UTF-16 with one."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

from detres.errors import DataError

# Of a list of images: a million of them have no more.
MOST_LIST_BYTES = 1 << 25
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(file: Path, *, most: int | None = None) -> str:
    """The text of a file, without its byte order mark and with line ends as \\n.

    most: bytes it may have; no more are read.
    Raises DataError, naming file and encoding, where it cannot be read or is neither UTF-8 nor UTF-16 with a mark:
    a local code page can only be guessed, and a wrong guess changes names in silence.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(-1 if most is None else most + 1)
        if most is not None and len(content) > most:
            raise DataError(f"{file}: it has more than {most:,} bytes; is it the right file?")
        return decode_text(content, str(file))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None


def read_lines(file: Path, *, most: int | None = None) -> list[str]:
    """The lines of read_text that hold anything, without the spaces around them. most: as read_text takes it."""
    return [line.strip() for line in read_text(file, most=most).split("\n") if line.strip()]


def read_json_text(file: Path) -> str:
    """UTF-8 with or without a byte order mark; UTF-16 and UTF-32, which JSON tells by its zeros, too.

    The bytes are let go before anything is made of the text. Raises DataError or ValueError where they are no text of
    this kind, OSError.
    """
    content = file.read_bytes()
    encoding = json.detect_encoding(content)
    return decode_text(content, str(file)) if encoding.startswith("utf-8") else content.decode(encoding)


def decode_text(content: bytes, where: str) -> str:
    """As read_text, of bytes; `where` is what errors name."""
    encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{where}: line {line} is no {'UTF-16' if encoding == 'utf-16' else 'UTF-8'} text (byte "
            f"{content[error.start]:#04x}); it may be in a local code page: save it again as UTF-8"
        ) from None
    if "\0" in text:
        raise DataError(f"{where}: it holds zero bytes, as UTF-16 without a byte order mark does; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
