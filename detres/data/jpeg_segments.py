"""The segments before a JPEG's pixels, walked without decoding. Source: ITU-T T.81, annex B."""

from __future__ import annotations

from collections.abc import Iterator

START_OF_SCAN, END_OF_IMAGE, APP1 = 0xDA, 0xD9, 0xE1
# C4, C8 and CC lie among the frames' markers but begin tables.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

# Bytes that a segment has at least where something is to be read of it: a marker, a length, and a frame's size.
_LEAST = 9


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, where its content begins, where it ends) of each segment, in bytes, up to the first scan or the end.

    data: a JPEG, or its beginning; nothing comes of other bytes, and of what breaks off no more than is there.
    """
    at = 2
    while data.startswith(b"\xff\xd8") and at + _LEAST <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # one of any number of filling bytes
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, end
        if marker in (START_OF_SCAN, END_OF_IMAGE):
            return
        at = end


def frame_size(data: bytes, start: int) -> tuple[int, int]:
    """Height and width that a frame's content states; a height of 0 is told after the pixels."""
    height, width = (int.from_bytes(data[at : at + 2], "big") for at in (start + 1, start + 3))
    return height, width
