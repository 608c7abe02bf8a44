"""A JPEG's segments are walked as its standard lays them out."""

from __future__ import annotations

import io
import itertools

from PIL import Image

from detres.data.images.jpeg_segments import FRAMES, START_OF_SCAN, frame_size, jpeg_segments


def jpeg(width: int, height: int, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "JPEG", **options)
    return stream.getvalue()


def test_segments_follow_each_other_up_to_the_scan() -> None:
    data = jpeg(30, 20)
    segments = list(jpeg_segments(data))
    assert segments[-1][0] == START_OF_SCAN
    assert segments[0][1] == 6
    # Behind each end stand the marker and the length of the next.
    assert all(after[1] == before[2] + 4 for before, after in itertools.pairwise(segments))


def test_a_frame_states_its_size() -> None:
    for progressive in (False, True):
        data = jpeg(300, 20, progressive=progressive)
        assert [frame_size(data, start) for marker, start, _ in jpeg_segments(data) if marker in FRAMES] == [(20, 300)]


def test_filling_bytes_are_passed_over() -> None:
    data = jpeg(3, 5)
    filled = data[:2] + b"\xff\xff" + data[2:]
    expected = [(marker, start + 2, end + 2) for marker, start, end in jpeg_segments(data)]
    assert list(jpeg_segments(filled)) == expected


def test_nothing_comes_of_what_is_no_jpeg_and_no_more_than_is_there_of_a_torn_one() -> None:
    data = jpeg(30, 20)
    assert list(jpeg_segments(b"")) == list(jpeg_segments(b"\x89PNG" + data)) == []
    assert list(jpeg_segments(data[:40])) == list(jpeg_segments(data))[: len(list(jpeg_segments(data[:40])))]
    assert len(list(jpeg_segments(data[:40]))) < len(list(jpeg_segments(data)))
