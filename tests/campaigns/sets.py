"""Data sets, detections and images that nobody should have written, read as every command reads them.

python -m tests.campaigns.sets --minutes 5          a seed is drawn and printed
python -m tests.campaigns.sets --only coco --seed 7 --number 1234
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from detres.config.detection_schema import DataConfig
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_dataset
from detres.data.formats.coco.reading import coco_ground_truth
from detres.data.images.reading import is_whole, read_header, read_image
from detres.errors import DataError
from detres.evaluation.saved_detections import read_detections
from tests.campaigns.spoiling import as_json, damage, spoil
from tests.campaigns.watched import OUTSIDE, Campaign, main

SIZES = {"a.png": (40, 60), "b.png": (50, 30), "c c.jpg": (20, 20)}
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")


@cache
def picture(form: str, height: int, width: int, mode: str = "RGB") -> bytes:
    """A small sound file."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 5 % 256, columns * 3 % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, form)
    return stream.getvalue()


def _write_pictures(rng: Random, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        draw = rng.random()
        if draw > 0.1:
            form = "JPEG" if name.endswith("jpg") else "PNG"
            (folder / name).write_bytes(damage(rng, picture(form, *size), 0.1))
        elif draw > 0.08:
            os.mkfifo(folder / name)
        elif draw > 0.06:
            (folder / name).symlink_to(folder)


def check(images: AnnotatedImages) -> int:
    """That whatever was read is sound: what training and measuring take for granted."""
    sizes = images.sizes[images.box_images()]
    assert np.isfinite(images.boxes).all()
    assert (images.boxes >= 0).all()
    assert (images.boxes[:, 2:] > images.boxes[:, :2]).all()
    assert (images.boxes[:, 2:] <= sizes[:, ::-1] + 1e-3).all()
    assert ((images.labels >= 0) & (images.labels < len(images.class_names))).all()
    assert np.isfinite(images.areas).all()
    assert len(set(images.image_ids.tolist())) == len(images)
    for i in range(len(images)):
        assert OUTSIDE not in images.file_name(i)
        images.target(i)
    coco_ground_truth(images)
    assert images.digest()
    for problem in images.problems:
        assert str(problem)
    return len(images)


def write_coco(rng: Random, folder: Path) -> None:
    images = [
        {"id": i, "file_name": name, "height": size[0], "width": size[1]}
        for i, (name, size) in enumerate(SIZES.items(), start=1)
    ]
    boxes = [[1, 2, 10, 12], [0.5, 0.5, 20, 15], [5, 5, 5, 5], [30, 10, 40, 40]]
    annotations = [
        {
            "id": i,
            "image_id": rng.randint(1, 3),
            "category_id": rng.randint(1, 2),
            "bbox": box,
            "area": 50.5,
            "iscrowd": 0,
        }
        for i, box in enumerate(rng.choices(boxes, k=rng.randrange(6)))
    ]
    categories = [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    chance = rng.choice((0.0, 0.02, 0.05, 0.2))
    _write_pictures(rng, folder)
    (folder / "train.json").write_bytes(damage(rng, as_json(rng, spoil(rng, content, chance)), 0.2))


def read_coco(folder: Path) -> int:
    return check(load_dataset(DataConfig(format="coco", root=str(folder), train=("train.json",)), "train"))


def write_voc(rng: Random, folder: Path) -> None:
    for below in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / below).mkdir(parents=True)
    _write_pictures(rng, folder / "JPEGImages")
    chance = rng.choice((0.0, 0.03, 0.1, 0.3))
    stems = [str(spoil(rng, Path(name).stem, chance)) for name in SIZES]
    listed = rng.choice(("\n", "\r\n", " 1\n", "\n\n")).join(stems)
    text = listed.encode("utf-8", errors="surrogatepass")
    (folder / "ImageSets" / "Main" / "train.txt").write_bytes(damage(rng, text, 0.15))
    for name, size in SIZES.items():
        if rng.random() > 0.05:
            xml = _xml(rng, name, size, chance).encode("utf-8", errors="surrogatepass")
            (folder / "Annotations" / f"{Path(name).stem}.xml").write_bytes(damage(rng, xml, 0.2))


def _xml(rng: Random, name: str, size: tuple[int, int], chance: float) -> str:
    def value(sound: Any) -> str:
        return escape(str(spoil(rng, sound, chance)))

    def box() -> str:
        x, y = rng.randrange(1, 20), rng.randrange(1, 20)
        corners = {"xmin": x, "ymin": y, "xmax": x + rng.randrange(20), "ymax": y + rng.randrange(20)}
        inner = "".join(
            f"<{key}>{value(number)}</{key}>" for key, number in corners.items() if rng.random() >= chance / 4
        )
        flags = f"<difficult>{value(0)}</difficult><truncated>{value(1)}</truncated>"
        return f"<object><name>{value(rng.choice(('cat', 'dog')))}</name>{flags}<bndbox>{inner}</bndbox></object>"

    objects = "".join(box() for _ in range(rng.randrange(4)))
    sides = f"<width>{value(size[1])}</width><height>{value(size[0])}</height>"
    head = f"<filename>{value(name)}</filename><size>{sides}</size>"
    draw = rng.random()
    if draw < 0.01:
        entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x" * 10}">' for i in range(9))
        return f"<!DOCTYPE a [{entities}]><annotation>{head}<object><name>&e8;</name></object></annotation>"
    if draw < 0.02:
        return "<a>" * rng.choice((500, 100_000)) + objects
    if draw < 0.03:
        return f'<!DOCTYPE a [<!ENTITY x SYSTEM "{OUTSIDE}.png">]><annotation>&x;{head}{objects}</annotation>'
    return f"<annotation>{head}{objects}</annotation>"


def read_voc(folder: Path) -> int:
    return check(load_dataset(DataConfig(format="voc", root=str(folder), train=("train",)), "train"))


def write_yolo(rng: Random, folder: Path) -> None:
    _write_pictures(rng, folder / "images" / "train")
    (folder / "labels" / "train").mkdir(parents=True)
    chance = rng.choice((0.0, 0.03, 0.1, 0.3))
    for name in SIZES:
        lines = "\n".join(_yolo_line(rng, chance) for _ in range(rng.randrange(5)))
        text = lines.encode("utf-8", errors="surrogatepass")
        (folder / "labels" / "train" / f"{Path(name).stem}.txt").write_bytes(damage(rng, text, 0.15))
    names = spoil(rng, rng.choice((["cat", "dog"], {0: "cat", 1: "dog"})), chance)
    content = f"names: {as_json(rng, names).decode('utf-8', errors='replace')}\n"
    if rng.random() < 0.1:
        content += f"kpt_shape: {rng.choice(([3, 2], [4, 3], [0, 0], 7, [3], None, [10**9, 2]))}\n"
    (folder / "data.yaml").write_bytes(damage(rng, content.encode("utf-8", errors="surrogatepass"), 0.1))
    if rng.random() < 0.3:
        listed = "\n".join(str(spoil(rng, f"./images/train/{name}", chance)) for name in SIZES)
        (folder / "list.txt").write_bytes(damage(rng, listed.encode("utf-8", errors="surrogatepass"), 0.1))


def _yolo_line(rng: Random, chance: float) -> str:
    numbers = [rng.randrange(2), *(round(rng.random(), 3) for _ in range(rng.choice((4, 4, 4, 5, 6, 8, 10, 14))))]
    return rng.choice((" ", " ", "\t", ",")).join(str(spoil(rng, number, chance)) for number in numbers)


def read_yolo(folder: Path) -> int:
    split = "list.txt" if (folder / "list.txt").is_file() else "images/train"
    return check(load_dataset(DataConfig(format="yolo", root=str(folder), train=(split,)), "train"))


def write_detections(rng: Random, folder: Path) -> None:
    entries = [
        {
            "image_id": rng.randint(1, 3),
            "category_id": rng.randint(1, 2),
            "bbox": [rng.random() * 30, rng.random() * 30, rng.random() * 30, rng.random() * 30],
            "score": round(rng.random(), 2),
        }
        for _ in range(rng.randrange(8))
    ]
    content = spoil(rng, entries, rng.choice((0.0, 0.02, 0.1, 0.3)))
    (folder / "detections.json").write_bytes(damage(rng, as_json(rng, content), 0.2))


_TRUTH = {
    "images": [
        {"id": i, "file_name": name, "height": s[0], "width": s[1]} for i, (name, s) in enumerate(SIZES.items(), 1)
    ],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81.0, "iscrowd": 0}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
}


def read_saved(folder: Path) -> int:
    found = read_detections(folder / "detections.json", _TRUTH)
    assert np.isfinite(found.scores).all()
    return len(found.scores)


def write_image(rng: Random, folder: Path) -> None:
    form = rng.choice(FORMATS)
    modes = {"JPEG": ("RGB", "L", "CMYK"), "WEBP": ("RGB",), "PPM": ("RGB",), "AVIF": ("RGB",)}
    mode = rng.choice(modes.get(form, ("RGB", "L", "P", "1")))
    data = picture(form, *rng.choice(((40, 60), (1, 1), (7, 300))), mode)
    for _ in range(rng.choice((0, 1, 1, 2))):
        data = _spoil_picture(rng, data)
    (folder / f"a.{rng.choice((form.lower(), 'jpg', 'png'))}").write_bytes(data)


def _spoil_picture(rng: Random, data: bytes) -> bytes:
    """Bytes changed anywhere, or 16 and 32 bits near the head, where sizes stand."""
    if rng.random() < 0.6 or len(data) < 60:
        return damage(rng, data, 1.0)
    changed, at = bytearray(data), rng.randrange(2, 50)
    changed[at : at + 4] = struct.pack(
        rng.choice(("<I", ">I")), rng.choice((0, 1, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, 32000))
    )
    if changed.startswith(b"\x89PNG"):  # so that the changed header is believed
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    return bytes(changed)


def read_any_image(folder: Path) -> int:
    """The header's word and the pixels must agree, whatever the file is; is_whole never raises."""
    (file,) = folder.iterdir()
    is_whole(file)
    try:
        header = read_header(file)
    except DataError:
        header = None
    for exif in (True, False):
        image = read_image(file, exif=exif)
        assert image.dtype == np.uint8
        assert header is None or header.size_as_read(exif) == image.shape[:2]
    return 1


CAMPAIGNS = (
    Campaign("coco", write_coco, read_coco),
    Campaign("voc", write_voc, read_voc),
    Campaign("yolo", write_yolo, read_yolo),
    Campaign("detections", write_detections, read_saved),
    Campaign("images", write_image, read_any_image),
)

if __name__ == "__main__":
    raise SystemExit(main(CAMPAIGNS))
