"""The forms of the tools that people draw boxes with: labelme, CVAT, Label Studio, Create ML.

As forms_of_training.py: written by hand from the list of photos, without anything of detres.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from tests.new_user.forms_of_training import move
from tests.new_user.photos import CLASSES, HEIGHT, WIDTH, Photo, Thing

Photos = Sequence[Photo]


def labelme(root: Path, photos: Photos) -> None:
    """A JSON beside each photo, which is in it once more in base 64, as labelme saves it by default."""
    for photo in photos:
        shapes = [
            {
                "label": thing.name,
                "points": [[float(x1), float(y1)], [float(x2), float(y2)]],
                "group_id": None,
                "description": "",
                "shape_type": "rectangle",
                "flags": {},
                "mask": None,
            }
            for thing in photo.things
            for x1, y1, x2, y2 in [thing.xyxy]
        ]
        content = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": photo.file,
            "imageData": base64.b64encode((root / photo.file).read_bytes()).decode(),
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
        }
        (root / f"{photo.stem}.json").write_text(json.dumps(content, indent=2))


def cvat(root: Path, photos: Photos) -> None:
    """CVAT for images 1.1: annotations.xml beside images/, as the export with "save images" has them."""
    move(root, photos, "images")
    labels = "".join(
        f"<label><name>{name}</name><color>#ff0000</color><type>any</type><attributes></attributes></label>"
        for name in CLASSES
    )
    images = "".join(
        f'  <image id="{number}" name={quoteattr(photo.file)} width="{WIDTH}" height="{HEIGHT}">\n'
        + "".join(map(_cvat_box, photo.things))
        + "  </image>\n"
        for number, photo in enumerate(photos)
    )
    (root / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <job>\n'
        f"      <id>1</id>\n      <size>{len(photos)}</size>\n      <mode>annotation</mode>\n"
        "      <overlap>0</overlap>\n      <bugtracker></bugtracker>\n      <subset>default</subset>\n"
        f"      <start_frame>0</start_frame>\n      <stop_frame>{len(photos) - 1}</stop_frame>\n"
        f"      <labels>{labels}</labels>\n    </job>\n"
        f"    <dumped>2024-05-01 10:00:00.000000+00:00</dumped>\n  </meta>\n{images}</annotations>\n"
    )


def _cvat_box(thing: Thing) -> str:
    x1, y1, x2, y2 = thing.xyxy
    return (
        f'    <box label="{thing.name}" source="manual" occluded="0" xtl="{x1:.2f}" ytl="{y1:.2f}" xbr="{x2:.2f}" '
        f'ybr="{y2:.2f}" z_order="0">\n    </box>\n'
    )


def labelstudio(root: Path, photos: Photos) -> None:
    """Label Studio's JSON: percents of the sides, and photos under the names that an upload gives them."""
    tasks = [
        {
            "id": number,
            "annotations": [
                {
                    "id": 100 + number,
                    "completed_by": 1,
                    "was_cancelled": False,
                    "ground_truth": False,
                    "lead_time": 12.5,
                    "result": [_labelstudio_box(thing, place) for place, thing in enumerate(photo.things)],
                }
            ],
            "predictions": [],
            "file_upload": f"{number:08x}-{photo.file}",
            "data": {"image": f"/data/upload/1/{number:08x}-{photo.file}"},
            "project": 1,
        }
        for number, photo in enumerate(photos, 1)
    ]
    (root / "project-1-at-2024-05-01-10-00-1a2b3c4d.json").write_text(json.dumps(tasks))


def _labelstudio_box(thing: Thing, place: int) -> dict[str, Any]:
    x1, y1, x2, y2 = thing.xyxy
    value = {
        "x": 100 * x1 / WIDTH,
        "y": 100 * y1 / HEIGHT,
        "width": 100 * (x2 - x1) / WIDTH,
        "height": 100 * (y2 - y1) / HEIGHT,
        "rotation": 0,
        "rectanglelabels": [thing.name],
    }
    sides = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    names = {"id": f"r{place}", "from_name": "label", "to_name": "image", "type": "rectanglelabels"}
    return names | sides | {"value": value, "origin": "manual"}


def createml(root: Path, photos: Photos) -> None:
    """Create ML's, as Roboflow writes it: a folder a split with its photos and _annotations.createml.json."""
    for split, some in (("train", photos[:24]), ("valid", photos[24:])):
        move(root, some, split)
        content = [
            {"image": photo.file, "annotations": [_createml_box(thing) for thing in photo.things]} for photo in some
        ]
        (root / split / "_annotations.createml.json").write_text(json.dumps(content))


def _createml_box(thing: Thing) -> dict[str, Any]:
    x1, y1, x2, y2 = thing.xyxy
    centre = {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1}
    return {"label": thing.name, "coordinates": centre}
