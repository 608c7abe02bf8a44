import os
import shutil
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detres.data.classification.classified import breaks_off
from detres.data.detection.indexing import RawBox, RawImage, index_images
from detres.data.images.files import find_images
from detres.data.images.reading import is_whole, read_filled, read_header, read_image
from detres.errors import DataError
from detres.prediction.pictures import read_picture


def _gradient(height: int = 20, width: int = 30) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 8, columns * 8, np.full_like(rows, 17)], axis=-1).astype(np.uint8)


def test_channels_come_as_red_green_blue(tmp_path: Path) -> None:
    Image.fromarray(_gradient()).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), _gradient())


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_mode_becomes_uint8_rgb(tmp_path: Path, mode: str) -> None:
    file = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(_gradient()).convert(mode).save(file)
    image = read_image(file)
    assert image.shape == (20, 30, 3)
    assert image.dtype == np.uint8
    assert read_header(file).size == (20, 30)


def test_cmyk_is_converted_as_pillow_does(tmp_path: Path) -> None:
    Image.fromarray(_gradient()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        theirs = np.asarray(image.convert("RGB"), dtype=np.int64)
    assert np.abs(read_image(tmp_path / "a.jpg") - theirs).max() <= 2


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), (np.arange(256).reshape(16, 16) * 257).astype(np.uint16))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0].ravel(), np.arange(256))


def _turned(path: Path, orientation: int = 6) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(_gradient()).save(path, exif=exif, quality=95)
    return path


def test_exif_orientation_is_applied_unless_switched_off(tmp_path: Path) -> None:
    file = _turned(tmp_path / "a.jpg")
    upright, stored = read_image(file), read_image(file, exif=False)
    assert upright.shape == (30, 20, 3)
    np.testing.assert_array_equal(upright, np.rot90(stored, -1))
    header = read_header(file)
    assert (header.size_as_read(True), header.size_as_read(False)) == ((30, 20), (20, 30))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_headers_foretell_the_size_that_is_read(tmp_path: Path, ending: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"a.{ending}"
    Image.fromarray(_gradient()).save(file, **({} if ending == "bmp" else {"exif": exif}))
    for applied in (True, False):
        assert read_header(file).size_as_read(applied) == read_image(file, exif=applied).shape[:2]


@pytest.mark.parametrize("exif", [True, False])
def test_an_image_is_read_the_way_its_boxes_were_drawn(tmp_path: Path, exif: bool) -> None:
    _turned(tmp_path / "a.jpg")
    shutil.copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    boxes = [RawBox("x", (0, 0, 5, 5))]
    images = [RawImage("a.jpg", "a", (20, 30), boxes), RawImage("b.jpg", "b", (30, 20), boxes)]
    dataset = index_images(images, name="t", root=tmp_path, known_classes=["x"], classes=["x"], exif=exif)
    assert dataset.turned.tolist() == [False, True]
    assert [problem.kind for problem in dataset.problems] == ["turned by EXIF"]
    assert dataset.problems[0].file == ("a.jpg" if exif else "b.jpg")
    for i in range(2):
        assert read_image(dataset.path(i), exif=bool(dataset.turned[i])).shape[:2] == dataset.size(i)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not an image")
    (tmp_path / "empty.jpg").touch()
    for name, said in (("a.jpg", "no image"), ("empty.jpg", "no image"), ("none.jpg", "none.jpg")):
        with pytest.raises(DataError, match=said):
            read_image(tmp_path / name)
        with pytest.raises(DataError, match=name):
            read_header(tmp_path / name)


def test_a_jpeg_that_breaks_off_is_told_from_a_whole_one(tmp_path: Path) -> None:
    Image.fromarray(_gradient(200, 300)).save(tmp_path / "a.jpg")
    assert is_whole(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) * 2 // 3])
    assert read_header(tmp_path / "a.jpg").size == (200, 300)
    assert not is_whole(tmp_path / "a.jpg")


@pytest.mark.parametrize(("ending", "share"), [("jpg", 0.99), ("jpg", 0.5), ("png", 0.7), ("bmp", 0.9), ("tiff", 0.9)])
def test_an_image_that_breaks_off_is_filled_up_and_said(tmp_path: Path, ending: str, share: float) -> None:
    whole = cv2.resize(np.random.default_rng(0).integers(0, 255, (10, 15, 3), dtype=np.uint8), (300, 200))
    Image.fromarray(whole).save(tmp_path / f"a.{ending}")
    data = (tmp_path / f"a.{ending}").read_bytes()
    (tmp_path / f"a.{ending}").write_bytes(data[: int(len(data) * share)])
    image, filled = read_filled(tmp_path / f"a.{ending}")
    assert image.shape == (200, 300, 3)
    assert filled
    if ending != "bmp":  # which begins below
        assert np.abs(image[:50].astype(int) - whole[:50]).mean() < 3


def test_an_image_that_breaks_off_before_its_pixels_is_none(tmp_path: Path) -> None:
    Image.fromarray(_gradient(200, 300)).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: data.index(b"\xff\xda") + 12])
    with pytest.raises(DataError, match=r"a\.jpg: this image breaks off before its first pixels"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_range_of_brightness_that_nobody_states_is_refused_of_file_and_pil_image(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.linspace(0, 1, 600).reshape(20, 30).astype("float32" if mode == "F" else "int32"))
    image.save(tmp_path / "a.tif")
    for picture in (tmp_path / "a.tif", image):
        with pytest.raises(DataError, match="convert it to 8 or 16 bits"):
            read_picture(picture)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "RGB;16"])
def test_a_pil_image_has_the_pixels_of_its_file(tmp_path: Path, mode: str) -> None:
    file = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    if mode.endswith(";16"):
        values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
        cv2.imwrite(str(file), values if mode == "I;16" else np.stack([values, values // 2, values // 3], -1))
    else:
        Image.fromarray(_gradient()).convert(mode).save(file)
    with Image.open(file) as image:
        theirs = read_picture(image).astype(int)
    assert np.abs(theirs - read_picture(file)).max() <= (2 if mode == "CMYK" else 0)


def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for ending in ("png", "jpg", "webp", "bmp", "tiff", "gif"):
        file = tmp_path / f"a.{ending}"
        Image.fromarray(_gradient()).save(file)
        for read in (read_image, read_filled, read_header):
            with pytest.raises(
                DataError, match=r"30x20 pixels are more than data\.max_pixels=599; set data\.max_pixels=600"
            ):
                read(file, max_pixels=599)
        assert not is_whole(file, max_pixels=599)
        assert read_image(file, max_pixels=600).shape == (20, 30, 3)
    bmp = bytearray((tmp_path / "a.bmp").read_bytes())
    bmp[18:26] = b"\xff\xff\xff\x7f" * 2
    (tmp_path / "a.bmp").write_bytes(bmp)
    with pytest.raises(DataError, match="no machine holds so many, and its first bytes may be damaged"):
        read_header(tmp_path / "a.bmp")
    bmp[18:26] = struct.pack("<ii", 1, 1 << 24)  # as few as are always let pass, of which each row costs a pointer
    (tmp_path / "a.bmp").write_bytes(bmp)
    with pytest.raises(DataError, match=r"1x16777216 pixels are more than are read from \d+ bytes"):
        read_image(tmp_path / "a.bmp")


def _claiming(file: Path, side: int, more: int) -> Path:
    """A PNG whose header claims side x side pixels, with so many bytes where they should be."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + head + struct.pack(">I", more) + b"IDAT" + bytes(more))
    return file


@pytest.mark.parametrize(("side", "more"), [(32000, 0), (5000, 0), (20000, 1 << 20), (17000, 1 << 25)])
def test_a_bomb_is_known_by_what_it_claims_for_its_size(tmp_path: Path, side: int, more: int) -> None:
    file = _claiming(tmp_path / "a.png", side, more)
    for read in (read_image, read_header):
        with pytest.raises(DataError, match=f"{side}x{side} pixels are more than are read from"):
            read(file)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="measures a process's memory")
def test_a_chunk_that_claims_gigabytes_costs_none(tmp_path: Path) -> None:
    import resource

    file = tmp_path / "a.png"
    Image.fromarray(_gradient()).save(file)
    data = bytearray(file.read_bytes())
    data[33:37] = struct.pack(">I", 0xEFFFFFFF)
    file.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(DataError):
        read_image(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.parametrize(("side", "more"), [(4000, 0), (8000, 1 << 21), (16000, 1 << 23)])
def test_a_large_photograph_is_none(tmp_path: Path, side: int, more: int) -> None:
    assert read_header(_claiming(tmp_path / "a.png", side, more)).size == (side, side)


def test_no_program_is_started_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives PostScript, whatever it is called, to Ghostscript."""
    stub = tmp_path / "gs"
    stub.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None, raising=False)
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n{} loop\n")
    assert not is_whole(tmp_path / "a.jpg")
    for read in (read_image, read_header):
        with pytest.raises(DataError, match="no image"):
            read(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image, pytest.raises(DataError, match="EPS"):
        read_picture(image)
    assert not (tmp_path / "started").exists()


def test_what_the_system_will_not_open_is_not_called_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("b.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "c.txt").touch()
    for read in (read_header, read_image):
        with pytest.raises(DataError, match=r"a\.jpg: this is a link that leads in a circle; put the image there"):
            read(tmp_path / "a.jpg")
        with pytest.raises(DataError, match=r"d\.jpg: cannot be read: Not a directory"):
            read(tmp_path / "c.txt" / "d.jpg")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name, what in (("pipe.jpg", "pipe"), ("folder.jpg", "folder")):
        for read in (read_image, read_header):
            with pytest.raises(DataError, match=f"{name}: this is a {what}"):
                read(tmp_path / name)
    for read in (read_image, read_header):
        with pytest.raises(DataError):
            read("a\0b.jpg")


@pytest.mark.parametrize("limit", [100, 400])
@pytest.mark.filterwarnings("error")
def test_images_beyond_pillow_s_limits_are_read_and_the_limit_stays(
    tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20x30 pixels are six times a limit of 100, which Pillow refuses, and more than 400, of which it warns."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    files = [tmp_path / f"{number}.png" for number in range(20)]
    for file in files:
        cv2.imwrite(str(file), _gradient())
    with ThreadPoolExecutor(4) as pool:
        assert {header.size for header in pool.map(read_header, files)} == {(20, 30)}
    assert is_whole(files[0])
    assert not breaks_off(files[0].read_bytes() + b"behind its end")
    assert limit == Image.MAX_IMAGE_PIXELS


def test_find_images_is_sorted_and_knows_its_endings(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.txt", ".hidden.png", "d/e.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)] == ["a.png", "b.JPG", "d/e.jpeg"]


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"icc_profile": bytes(9000)}),
        ("RGB", {"comment": b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01\x03"}),
        ("RGB", {"quality": 100, "subsampling": 0, "dpi": (300, 300)}),
        ("RGB", {"xmp": b"<x:xmpmeta/>"}),
    ],
)
def test_the_markers_of_a_jpeg_tell_what_pillow_does(tmp_path: Path, mode: str, options: dict) -> None:
    file = tmp_path / "a.jpg"
    Image.fromarray(_gradient(19, 33)).convert(mode).save(file, **options)
    with Image.open(file) as image:
        assert read_header(file).size == image.size[::-1] == (19, 33)
    assert read_header(file).orientation == 1


def test_a_jpeg_without_a_scan_or_a_height_is_no_image(tmp_path: Path) -> None:
    Image.fromarray(_gradient()).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    frame = content.index(b"\xff\xc0")
    for broken in (content[: frame + 12], content[: frame + 5] + b"\0\0" + content[frame + 7 :]):
        (tmp_path / "b.jpg").write_bytes(broken)
        with pytest.raises(DataError, match=r"b\.jpg: this is no image"):
            read_header(tmp_path / "b.jpg")


@pytest.mark.parametrize("ending", ["webp", "avif", "gif", "ppm"])
def test_damage_of_any_form_ends_in_a_picture_or_in_one_error(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    try:
        Image.fromarray(_gradient(48, 64)).save(file)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"this Pillow writes no {ending}")
    whole = file.read_bytes()
    draws = np.random.default_rng(0)
    cuts = [whole[: len(whole) * k // 12] for k in range(12)]
    flips = [bytes(b ^ (draws.random() < 0.02) * 255 for b in whole) for _ in range(12)]
    read = 0
    for damaged in (*cuts, *flips):
        file.write_bytes(damaged)
        for reader in (read_image, read_header, is_whole):
            with suppress(DataError):
                reader(file)
                read += 1
    assert read >= 24, "is_whole never raises"
