"""The segments before a JPEG's pixels, walked without decoding. Source: ITU-T T.81, annex B."""

from __future__ import annotations

from collections.abc import Iterator

from detres.data.images.chunks import ReadAt

START_OF_SCAN, END_OF_IMAGE, APP1 = 0xDA, 0xD9, 0xE1
# C4, C8 and CC lie among the frames' markers but begin tables.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

EXIF = b"Exif\0\0"

# How much of a file is walked through first, enough for most; four times as much as long as its segments go on.
_WINDOW = 4096
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


def read_head(read: ReadAt) -> tuple[tuple[int, int] | None, bytes]:
    """Height and width of a JPEG, and the content of its first EXIF segment, by its segments before the pixels.

    The size is None of what is no JPEG, breaks off before its pixels, or is not as plain as most: samples of another
    depth than a byte, other numbers of channels than 1, 3 and 4, a height that is told after the pixels.
    """
    window = _WINDOW
    while True:
        head, size, exif = read(0, window), None, b""
        for marker, start, end in jpeg_segments(head):
            if marker == START_OF_SCAN:
                return size, exif
            if marker in FRAMES and head[start] == 8 and head[start + 5 : start + 6] in (b"\1", b"\3", b"\4"):
                size = frame_size(head, start)
                size = size if all(size) else None
            if marker == APP1 and not exif and end <= len(head) and head.startswith(EXIF, start):
                exif = head[start:end]
        if len(head) < window:
            return None, exif
        window *= 4


def frame_size(data: bytes, start: int) -> tuple[int, int]:
    """Height and width that a frame's content states; a height of 0 is told after the pixels."""
    height, width = (int.from_bytes(data[at : at + 2], "big") for at in (start + 1, start + 3))
    return height, width
