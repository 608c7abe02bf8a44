"""Events byte for byte as TensorBoard's own writer and protobuf make them."""

from __future__ import annotations

import io

import pytest

from detres.training.logging.event_records import (
    crc32c,
    picture_event,
    record,
    scalar_event,
    start_event,
    version_event,
)

NOW = 1764315000.25


def test_the_checksum_is_that_of_rfc_3720() -> None:
    """Its appendix B.4, and the check value of the catalogue of such sums."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


def test_a_start_worked_out_by_hand() -> None:
    """Field 1, eight bytes; field 2, a number of two bytes (300 = 2·128 + 44); field 7, two bytes: its field 1 is 1."""
    by_hand = "09 00 00 00 00 00 00 00 40" + "10 AC 02" + "3A 02 08 01"
    assert start_event(2.0, 300) == bytes.fromhex(by_hand)


@pytest.mark.slow  # Their modules take seconds.
@pytest.mark.parametrize("step", [0, 1, 127, 128, 90_000, 2**40])
def test_protobuf_writes_the_same(step: int) -> None:
    event = pytest.importorskip("tensorboard.compat.proto.event_pb2").Event
    name = "train/loss_größe"
    for value in (0.031, -1e30, 1e300, float("nan")):
        summary = {"value": [{"tag": name, "simple_value": value}]}
        theirs = event(wall_time=NOW, step=step, summary=summary)
        assert event.FromString(scalar_event(NOW, step, name, value)).SerializeToString() == theirs.SerializeToString()
    image = {"height": 5, "width": 700, "colorspace": 3, "encoded_image_string": b"png" * 100}
    theirs = event(wall_time=NOW, step=step, summary={"value": [{"tag": "val/0", "image": image}]})
    assert event.FromString(picture_event(NOW, step, "val/0", b"png" * 100, 5, 700)) == theirs
    assert event.FromString(version_event(NOW)) == event(wall_time=NOW, file_version="brain.Event:2")
    assert event.FromString(start_event(NOW, step)) == event(wall_time=NOW, step=step, session_log={"status": 1})


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1, 200, 70_000])
def test_tensorboards_writer_frames_the_same(size: int) -> None:
    writer = pytest.importorskip("tensorboard.summary.writer.record_writer").RecordWriter
    data, theirs = bytes(i * i % 251 for i in range(size)), io.BytesIO()
    writer(theirs).write(data)
    assert record(data) == theirs.getvalue()


def test_a_name_that_is_no_text_is_still_an_event() -> None:
    assert b"a?" in scalar_event(NOW, 1, "a\udcff", 1.0)
