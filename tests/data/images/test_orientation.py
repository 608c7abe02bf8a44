"""One truth of how a camera was held: for headers, decoded files and PIL images alike."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detres.data.images.jpeg_scaling import read_jpeg_header
from detres.data.images.orientation import file_orientation, read_at, tiff_orientation, turn
from detres.data.images.reading import read_header, read_image
from detres.errors import DataError
from detres.prediction.pictures import read_picture

HEIGHT, WIDTH = 20, 30
SHORT, LONG, UNDEFINED = 3, 4, 7
XMP = b'http://ns.adobe.com/xap/1.0/\0<x><rdf tiff:Orientation="6"/></x>'


def _picture() -> Image.Image:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return Image.fromarray(np.stack([rows * 8, columns * 8, np.full_like(rows, 17)], axis=-1).astype(np.uint8))


def tiff(value: int, kind: int = SHORT, count: int = 1, order: str = "<") -> bytes:
    """The header of EXIF data whose first directory has an orientation of this kind."""
    mark = b"II" if order == "<" else b"MM"
    stored = struct.pack(f"{order}HH" if kind == SHORT else f"{order}I", *((value, 0) if kind == SHORT else (value,)))
    entry = struct.pack(f"{order}HHI", 0x0112, kind, count) + stored
    return mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)


def jpeg(*app1: bytes) -> bytes:
    stream = io.BytesIO()
    _picture().save(stream, "JPEG", quality=95)
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content for content in app1)
    return stream.getvalue()[:2] + segments + stream.getvalue()[2:]


def png(exif: bytes, *, behind: bool = False) -> bytes:
    """With an eXIf chunk before or behind its pixels."""
    stream = io.BytesIO()
    _picture().save(stream, "PNG")
    data = stream.getvalue()
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    at = len(data) - 12 if behind else 33
    return data[:at] + chunk + data[at:]


def webp(exif: bytes) -> bytes:
    stream = io.BytesIO()
    _picture().save(stream, "WEBP", lossless=True, exif=exif)
    return stream.getvalue()


FILES = {
    "as EXIF says.jpg": (jpeg(b"Exif\0\0" + tiff(6)), 6),
    "from the other end.jpg": (jpeg(b"Exif\0\0" + tiff(8, order=">")), 8),
    "behind a long profile.jpg": (jpeg(XMP + bytes(60000), b"Exif\0\0" + tiff(5)), 5),
    "the first of two.jpg": (jpeg(b"Exif\0\0" + tiff(3), b"Exif\0\0" + tiff(6)), 3),
    "before the pixels.png": (png(tiff(6)), 6),
    "behind the pixels.png": (png(tiff(7), behind=True), 7),
    "of the newer kind.webp": (webp(b"Exif\0\0" + tiff(6)), 6),
    "only XMP.jpg": (jpeg(XMP), 1),
    "nine.jpg": (jpeg(b"Exif\0\0" + tiff(9)), 1),
    "zero.jpg": (jpeg(b"Exif\0\0" + tiff(0)), 1),
    "a long.jpg": (jpeg(b"Exif\0\0" + tiff(6, LONG)), 1),
    "undefined.jpg": (jpeg(b"Exif\0\0" + tiff(6, UNDEFINED, 4)), 1),
    "two of them.jpg": (jpeg(b"Exif\0\0" + tiff(6, SHORT, 2)), 1),
    "torn.jpg": (jpeg(b"Exif\0\0II*\0\xff\xff\xff\xff"), 1),
    "no TIFF.jpg": (jpeg(b"Exif\0\0nothing of the kind"), 1),
    "empty.jpg": (jpeg(b"Exif\0\0"), 1),
    "none.jpg": (jpeg(), 1),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("exif", [True, False])
def test_every_reader_of_a_file_sees_the_same_picture(tmp_path: Path, name: str, exif: bool) -> None:
    data, orientation = FILES[name]
    (tmp_path / name).write_bytes(data)
    expected = turn(read_image(tmp_path / name, exif=False), orientation if exif else 1)
    assert expected.shape[:2] == ((WIDTH, HEIGHT) if exif and orientation >= 5 else (HEIGHT, WIDTH))
    assert read_header(tmp_path / name).orientation == orientation
    assert read_header(tmp_path / name).size_as_read(exif) == expected.shape[:2]
    if name.endswith(".jpg"):
        assert read_jpeg_header(data) == read_header(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name, exif=exif), expected)
    with Image.open(tmp_path / name) as image:
        from_pillow = read_picture(image, exif=exif)
    assert from_pillow.shape == expected.shape
    assert np.abs(from_pillow.astype(int) - expected).max() <= 2  # two builds of one JPEG library


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_pillow_turns_them(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    _picture().save(stream, "PNG", exif=exif)
    with Image.open(stream) as image:
        image.load()
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(turn(np.asarray(_picture()), orientation), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_whatever_its_mode_or_its_pil_image_is_refused(
    tmp_path: Path, mode: str, orientation: int
) -> None:
    """Pillow 13 mixes up some modes while it turns them."""
    file = tmp_path / "a.tif"
    _picture().convert(mode).save(file, tiffinfo={274: orientation})
    plain = np.asarray(_picture().convert(mode).convert("RGB"))
    np.testing.assert_array_equal(read_picture(file), turn(plain, orientation))
    with Image.open(file) as image, suppress(DataError):
        from_pillow = read_picture(image)
        np.testing.assert_array_equal(from_pillow, turn(plain, orientation))
        return
    assert orientation >= 5


def test_an_image_that_was_turned_already_is_not_turned_again(tmp_path: Path) -> None:
    from PIL import ImageOps

    (tmp_path / "a.png").write_bytes(png(tiff(6)))
    with Image.open(tmp_path / "a.png") as image:
        turned = ImageOps.exif_transpose(image)
    np.testing.assert_array_equal(read_picture(turned), read_picture(tmp_path / "a.png"))


def test_bytes_that_are_no_picture_have_no_orientation() -> None:
    for data in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff\xe1\xff\xff", b"GIF89a"):
        assert file_orientation(read_at(data)) == 1
    assert tiff_orientation(b"") == 1
