"""Sets written as YOLO: images/SPLIT and labels/SPLIT beside a data.yaml, as ultralytics lays them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detres.config.yaml_dialect import write_yaml
from detres.data.detection.annotations import AnnotatedImages
from detres.data.writing.boxes import corners_inside
from detres.data.writing.pictures import Splits, picture_names, place_pictures
from detres.files.whole import write_whole


def write_yolo(splits: Splits, folder: Path, *, link: bool) -> list[str]:
    """What is to be ignored is left out, for YOLO would learn it; an image without boxes has an empty file."""
    names, described = picture_names(splits), dict[str, object]()
    ignored = truncated = 0
    for split, images in splits.items():
        ignored += int(images.ignore.sum())
        kept = images.select_boxes(~images.ignore)
        truncated += int(kept.truncated.sum())
        place_pictures(images, names[split], folder / "images" / split, link=link)
        labels = folder / "labels" / split
        labels.mkdir(parents=True)
        for name, lines in zip(names[split], _lines(kept), strict=True):
            (labels / f"{Path(name).stem}.txt").write_text(lines, encoding="utf-8")
        described[split] = f"images/{split}"
    described["names"] = list(next(iter(splits.values())).class_names)
    write_whole(folder / "data.yaml", write_yaml(described))
    return [
        *([f"{ignored} difficult or crowd boxes are left out: YOLO has no word for them"] if ignored else []),
        *([f"{truncated} boxes are marked truncated, for which YOLO has no word"] if truncated else []),
    ]


def _lines(images: AnnotatedImages) -> list[str]:
    """The text of each image's file: class, centre and sides as shares of the image, to a millionth of a pixel."""
    corners = corners_inside(images)
    sizes = np.tile(images.sizes[images.box_images()][:, ::-1], 2)
    shares = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1) / sizes
    lines = [
        " ".join([str(label), *(f"{share:.10g}" for share in row)]) + "\n"
        for label, row in zip(images.labels.tolist(), shares.tolist(), strict=True)
    ]
    return ["".join(lines[start:end]) for start, end in zip(images.offsets[:-1], images.offsets[1:], strict=True)]
