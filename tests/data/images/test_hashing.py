"""The hash of a picture, by hand and from files."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from detres.data.images.hashing import difference_hash, hash_of_pixels
from detres.errors import DataError


def test_a_bit_is_set_where_a_cell_is_brighter_than_its_right_neighbour() -> None:
    cells = np.zeros((8, 9), np.uint8)
    cells[0, 0] = 100  # brighter than the next: bit 0
    cells[1, 8] = 100  # the last of a row has none
    cells[7, 3:5] = (200, 100)  # bits 7 * 8 + 3 and + 4
    pixels = np.repeat(np.repeat(cells, 16, axis=0), 16, axis=1)[..., None].repeat(3, axis=2)
    assert hash_of_pixels(pixels) == 1 << 0 | 1 << 59 | 1 << 60
    assert hash_of_pixels(np.full((40, 60, 3), 7, np.uint8)) == 0
    assert 0 <= hash_of_pixels(np.zeros((1, 1, 3), np.uint8)) < 1 << 64


def test_a_jpeg_that_is_decoded_small_has_nearly_the_hash_of_the_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        pixels = cv2.resize(small, (1280, 960), interpolation=cv2.INTER_CUBIC)
        file = tmp_path / f"{number}.jpg"
        cv2.imwrite(str(file), pixels)
        differing = difference_hash(file) ^ hash_of_pixels(np.ascontiguousarray(pixels[..., ::-1]))
        assert differing.bit_count() <= 2


def test_what_is_no_picture_is_told(tmp_path: Path, write_picture: Callable[..., Path]) -> None:
    assert difference_hash(write_picture(tmp_path / "a.png")) > 0
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b\.jpg"):
        difference_hash(tmp_path / "b.jpg")
