"""The chunks that PNG and WebP files are made of, walked without decoding. Sources: PNG's and WebP's specifications."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

# (offset, count) -> the bytes of a file from there on, fewer at its end.
ReadAt = Callable[[int, int], bytes]

PNG = b"\x89PNG\r\n\x1a\n"
# A file of empty chunks shall not take minutes.
_MOST_CHUNKS = 100_000


def png_chunks(read: ReadAt) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content begins, how many bytes it says it has) of each chunk of a PNG; a sum follows each."""
    return _chunks(read, len(PNG), slice(4, 8), slice(0, 4), "big", lambda length: length + 4)


def webp_chunks(read: ReadAt) -> Iterator[tuple[bytes, int, int]]:
    """As png_chunks, of a WebP; contents of odd length are followed by a byte."""
    return _chunks(read, 12, slice(0, 4), slice(4, 8), "little", lambda length: length + length % 2)


def png_breaks_off(read: ReadAt, size: int) -> bool:
    """Whether a chunk of a PNG says it is longer than the file, of `size` bytes, or the last one is not its end.

    OpenCV asks the system for as much as a chunk says, which may be 4 GiB in 67 bytes.
    """
    chunks = list(png_chunks(read))
    whole = bool(chunks) and chunks[-1][0] == b"IEND"
    return not whole or any(start + length + 4 > size for _, start, length in chunks)


def _chunks(
    read: ReadAt,
    at: int,
    name: slice,
    length: slice,
    order: Literal["little", "big"],
    taken: Callable[[int], int],
) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_MOST_CHUNKS):
        head = read(at, 8)
        if len(head) < 8:
            return
        count = int.from_bytes(head[length], order)
        yield head[name], at + 8, count
        if head[name] == b"IEND":
            return
        at += 8 + taken(count)
