"""One set, and its boxes as every tool would write them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# By picture: (width, height) and its boxes. Corners are such that shares and percents of the sides are exact.
SIZES = {"a": (60, 40), "b": (50, 80), "c": (60, 40)}
BOXES: Mapping[str, Sequence[tuple[str, tuple[float, float, float, float]]]] = {
    "a": [("dog", (6, 10, 36, 30)), ("cat", (30, 4, 57, 14))],
    "b": [("cat", (5, 8, 25, 48))],
    "c": [],
}
ROWS = [(stem, name, box) for stem, boxes in BOXES.items() for name, box in boxes]


def table(rows: Sequence[Sequence[Any]], delimiter: str = ",") -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue()


def tensorflow() -> str:
    header = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
    return table([header, *([f"{stem}.png", *SIZES[stem], name, *box] for stem, name, box in ROWS)])


def retinanet() -> str:
    return table([*([f"/content/set/{stem}.png", *box, name] for stem, name, box in ROWS), ["c.png", *[""] * 5]])


def automl() -> str:
    rows = []
    for stem, name, (x1, y1, x2, y2) in ROWS:
        width, height = SIZES[stem]
        corners = [x1 / width, y1 / height, "", "", x2 / width, y2 / height, "", ""]
        rows.append(["TRAIN", f"gs://bucket/set/{stem}.png", name, *corners])
    return table([*rows, ["TRAIN", "gs://bucket/set/c.png", *[""] * 9]])


def kaggle() -> str:
    header = ["image_id", "width", "height", "bbox", "label"]
    rows = [
        [stem, *SIZES[stem], str([float(x1), float(y1), float(x2 - x1), float(y2 - y1)]), name]
        for stem, name, (x1, y1, x2, y2) in ROWS
    ]
    return table([header, *rows, ["c", *SIZES["c"], "", ""]])


def centres() -> str:
    header = ["Image Path", "Class", "x_center", "y_center", "w", "h"]
    rows = [
        [f"set\\{stem}.png", name, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
        for stem, name, (x1, y1, x2, y2) in ROWS
    ]
    return "\ufeff" + table([header, *rows, ["c.png", *[""] * 5]], ";").replace(".5", ",5")


def relative() -> str:
    header = ["image", "x_relative_min", "y_relative_min", "x_relative_max", "y_relative_max", "label"]
    rows = [
        [f"{stem}.png", *(corner / SIZES[stem][place % 2] for place, corner in enumerate(box)), name]
        for stem, name, box in ROWS
    ]
    return table([header, *rows, ["c.png", *[""] * 5]], "\t")


def via() -> str:
    header = [
        *("filename", "file_size", "file_attributes", "region_count", "region_id"),
        *("region_shape_attributes", "region_attributes"),
    ]
    rows = []
    for number, (stem, name, (x1, y1, x2, y2)) in enumerate(ROWS):
        shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
        rows.append([f"{stem}.png", 9, "{}", 1, number, json.dumps(shape), json.dumps({"class": name})])
    return table([header, *rows, ["c.png", 9, "{}", 0, 0, "{}", "{}"]])


def openimages() -> str:
    header = (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    )
    rows = []
    for stem, name, (x1, y1, x2, y2) in ROWS:
        width, height = SIZES[stem]
        sides = [x1 / width, x2 / width, y1 / height, y2 / height]
        rows.append([stem, "xclick", {"cat": "/m/01yrx", "dog": "/m/0bt9lr"}[name], 1, *sides, 0, -1, 0, 0, 0])
    return header + "\n" + table(rows)


def labelme(stem: str) -> dict[str, Any]:
    shapes = [
        # From the lower right corner, as people draw as well.
        {"label": name, "points": [[x2, y2], [x1, y1]], "group_id": 1, "shape_type": "rectangle", "flags": {}}
        for name, (x1, y1, x2, y2) in BOXES[stem]
    ]
    width, height = SIZES[stem]
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"{stem}.png",
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def cvat() -> str:
    lines = ["<?xml version='1.0' encoding='utf-8'?>", "<annotations>", "<version>1.1</version><meta/>"]
    for number, (stem, (width, height)) in enumerate(SIZES.items()):
        lines.append(f'<image id="{number}" name="{stem}.png" width="{width}" height="{height}">')
        for name, (x1, y1, x2, y2) in BOXES[stem]:
            corners = f'xtl="{x1:.2f}" ytl="{y1:.2f}" xbr="{x2:.2f}" ybr="{y2:.2f}"'
            lines.append(f'<box label="{name}" source="manual" occluded="1" {corners} z_order="0"></box>')
        lines.append("</image>")
    return "\n".join([*lines, "</annotations>"])


def labelstudio(stem: str) -> dict[str, Any]:
    width, height = SIZES[stem]
    results = []
    for name, (x1, y1, x2, y2) in BOXES[stem]:
        value = {
            "x": 100 * x1 / width,
            "y": 100 * y1 / height,
            "rotation": 0,
            "rectanglelabels": [name],
            "width": 100 * (x2 - x1) / width,
            "height": 100 * (y2 - y1) / height,
        }
        sides = {"original_width": width, "original_height": height, "image_rotation": 0}
        results.append({"id": "x", "type": "rectanglelabels", **sides, "value": value})
    answers = [{"id": 1, "was_cancelled": False, "result": results}]
    return {"id": 7, "annotations": answers, "data": {"image": f"/data/upload/3/0aff31c9-{stem}.png"}}


def labelstudio_min(stem: str) -> dict[str, Any]:
    (answer,) = labelstudio(stem)["annotations"]
    flat = [
        each["value"] | {key: each[key] for key in ("original_width", "original_height")} for each in answer["result"]
    ]
    return {"image": f"https://host/a%20b/{stem}.png?token=1", "id": 7, "annotator": 1} | (
        {"label": flat} if flat else {}
    )


def createml() -> list[dict[str, Any]]:
    return [
        {
            "image": f"{stem}.png",
            "annotations": [
                {
                    "label": name,
                    "coordinates": {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1},
                }
                for name, (x1, y1, x2, y2) in boxes
            ],
        }
        for stem, boxes in BOXES.items()
    ]


def darknet(stem: str) -> str:
    width, height = SIZES[stem]
    return "".join(
        f"{['cat', 'dog'].index(name)} {(x1 + x2) / 2 / width} {(y1 + y2) / 2 / height} "
        f"{(x2 - x1) / width} {(y2 - y1) / height}\n"
        for name, (x1, y1, x2, y2) in BOXES[stem]
    )


def write_darknet(root: Path) -> str:
    (root / "obj_train_data").mkdir()
    for stem in SIZES:
        (root / f"{stem}.png").rename(root / "obj_train_data" / f"{stem}.png")
        (root / "obj_train_data" / f"{stem}.txt").write_text(darknet(stem))
    (root / "train.txt").write_text("".join(f"data/obj_train_data/{stem}.png\n" for stem in SIZES))
    (root / "obj.names").write_text("cat\ndog\n")
    (root / "obj.data").write_text("classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    return "train.txt"


def write_labelme(root: Path) -> str:
    for stem in SIZES:
        (root / f"{stem}.json").write_text(json.dumps(labelme(stem)))
    return "."


def write_openimages(root: Path) -> str:
    (root / "class-descriptions-boxable.csv").write_text("/m/01yrx,cat\n/m/0bt9lr,dog\n")
    (root / "train").mkdir()
    for stem in SIZES:
        (root / f"{stem}.png").rename(root / "train" / f"{stem}.png")
    return _written(root, "train-annotations-bbox.csv", openimages())


def _written(root: Path, name: str, text: str) -> str:
    (root / name).write_text(text, encoding="utf-8", newline="")
    return name


def _list_of(made: Callable[[str], Any]) -> str:
    return json.dumps([made(stem) for stem in SIZES], indent=1)


# How each form is written into a folder with the pictures; what is returned is the split. (format, writer).
FORMS: Mapping[str, tuple[str, Callable[[Path], str]]] = {
    "csv, TensorFlow": ("csv", lambda root: _written(root, "train_labels.csv", tensorflow())),
    "csv, Keras-RetinaNet": ("csv", lambda root: _written(root, "annotations.csv", retinanet())),
    "csv, AutoML": ("csv", lambda root: _written(root, "import.csv", automl())),
    "csv, Kaggle": ("csv", lambda root: _written(root, "train.csv", kaggle())),
    "csv, centres": ("csv", lambda root: _written(root, "boxes.csv", centres())),
    "csv, relative": ("csv", lambda root: _written(root, "boxes.csv", relative())),
    "csv, VIA": ("csv", lambda root: _written(root, "via_export_csv.csv", via())),
    "labelme": ("labelme", write_labelme),
    "cvat": ("cvat", lambda root: _written(root, "annotations.xml", cvat())),
    "darknet": ("darknet", write_darknet),
    "labelstudio": ("labelstudio", lambda root: _written(root, "project-1.json", _list_of(labelstudio))),
    "labelstudio, min": ("labelstudio", lambda root: _written(root, "project-1.json", _list_of(labelstudio_min))),
    "createml": ("createml", lambda root: _written(root, "_annotations.createml.json", json.dumps(createml()))),
    "openimages": ("openimages", write_openimages),
}
# What has no line for an image of nothing.
WITHOUT_NEGATIVES = ("csv, TensorFlow", "openimages")
