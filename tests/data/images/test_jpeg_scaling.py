import io

import numpy as np
import pytest
from PIL import Image

from detres.data.images.jpeg_scaling import decode_scaled, largest_denominator, read_jpeg_header, size_as_read
from detres.errors import DataError


def _smooth(height: int = 120, width: int = 200) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    waves = [120 + 60 * np.sin(rows / 31 + k) + 50 * np.cos(columns / 23 - k) for k in range(3)]
    return np.stack(waves, axis=-1).clip(0, 255).astype(np.uint8)


def _jpeg(rgb: np.ndarray, mode: str = "RGB", orientation: int | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    if orientation is not None:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    Image.fromarray(rgb).convert(mode).save(buffer, "jpeg", quality=95, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (17, 300), (480, 33)])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"mode": "L"}, {"mode": "CMYK"}, {"comment": b"x" * 999}]
)
def test_a_header_says_what_pillow_says(size: tuple[int, int], options: dict) -> None:
    data = _jpeg(np.zeros((*size, 3), np.uint8), **options)
    assert Image.open(io.BytesIO(data)).size == (size[1], size[0])
    header = read_jpeg_header(data)
    assert (header.size, header.orientation) == (size, 1)


@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9])
@pytest.mark.parametrize("order", ["little", "big"])
def test_orientation_is_read_in_both_byte_orders(orientation: int, order: str) -> None:
    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, order)

    entries = [(0x010F, 2, 1, b"a\0\0\0"), (0x0112, 3, 1, number(orientation, 2) + b"\0\0")]
    tiff = (b"II" if order == "little" else b"MM") + number(42, 2) + number(8, 4) + number(len(entries), 2)
    tiff += b"".join(number(tag, 2) + number(kind, 2) + number(count, 4) + value for tag, kind, count, value in entries)
    segment = b"Exif\0\0" + tiff + bytes(4)
    plain = _jpeg(np.zeros((20, 30, 3), np.uint8))
    data = plain[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]
    header = read_jpeg_header(data)
    assert header.size == (20, 30)
    assert header.orientation == Image.open(io.BytesIO(data)).getexif().get(0x0112, 1) or orientation in (0, 9)
    assert header.orientation in range(1, 9)
    assert size_as_read(data) == ((30, 20) if 5 <= orientation <= 8 else (20, 30))
    assert size_as_read(data, exif=False) == (20, 30)


def test_filling_bytes_are_passed_over() -> None:
    plain = _jpeg(np.zeros((20, 30, 3), np.uint8))
    assert read_jpeg_header(plain[:2] + b"\xff\xff\xff" + plain[2:]).size == (20, 30)


def test_what_is_no_whole_jpeg_header_has_no_size() -> None:
    data, png = _jpeg(_smooth()), io.BytesIO()
    Image.fromarray(_smooth()).save(png, "png")
    start = data.index(b"\xff\xc0")
    for broken in (b"", b"\xff\xd8", png.getvalue(), data[: start + 7], data[:2] + data[start + 20 :]):
        assert read_jpeg_header(broken) is None
    without_height = data[: start + 5] + b"\0\0" + data[start + 7 :]
    assert read_jpeg_header(without_height) is None


@pytest.mark.parametrize(
    ("size", "at_least", "expected"),
    [
        ((800, 1600), (100, 200), 8),
        ((800, 1600), (101, 200), 4),
        ((799, 1600), (200, 200), 2),
        ((800, 1600), (400, 900), 1),
        ((800, 1600), (900, 900), 1),
        (None, (1, 1), 1),
    ],
)
def test_the_smallest_scale_that_is_large_enough(size, at_least, expected: int) -> None:
    assert largest_denominator(size, at_least) == expected


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("denominator", [1, 2, 4, 8])
def test_a_reduced_image_is_the_mean_of_what_its_pixels_cover(mode: str, denominator: int) -> None:
    data = _jpeg(_smooth(), mode)
    full, one = decode_scaled(data, "a.jpg", (120, 200))
    reduced, chosen = decode_scaled(data, "a.jpg", (120 / denominator, 200 / denominator))
    assert (one, chosen) == (1, denominator)
    blocks = full.reshape(120 // denominator, denominator, 200 // denominator, denominator, 3).mean(axis=(1, 3))
    assert reduced.shape == blocks.shape
    assert np.sqrt(((reduced - blocks) ** 2).mean()) < 1


def test_sides_are_rounded_up_and_turned() -> None:
    data = _jpeg(_smooth(101, 203), orientation=6)
    rgb, denominator = decode_scaled(data, "a.jpg", (50, 25))
    assert (denominator, rgb.shape) == (4, (51, 26, 3))
    rgb, denominator = decode_scaled(data, "a.jpg", (50, 25), exif=False)
    assert (denominator, rgb.shape) == (2, (51, 102, 3))


def test_other_formats_are_decoded_whole() -> None:
    buffer = io.BytesIO()
    Image.fromarray(_smooth()).save(buffer, "png")
    rgb, denominator = decode_scaled(buffer.getvalue(), "a.png", (10, 10))
    assert denominator == 1
    np.testing.assert_array_equal(rgb, _smooth())


def test_what_cannot_be_decoded_is_named() -> None:
    with pytest.raises(DataError, match=r"a\.jpg: .*no image"):
        decode_scaled(b"not an image", "a.jpg", (10, 10))
