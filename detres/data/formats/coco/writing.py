"""Sets written as COCO: annotations/instances_SPLIT.json, and the pictures of a split in a folder of its name."""

from __future__ import annotations

from pathlib import Path

from detres.config.yaml_dialect import write_yaml
from detres.data.formats.coco.reading import coco_ground_truth, write_instances
from detres.data.writing.pictures import Splits, picture_names, place_pictures
from detres.files.whole import write_whole


def write_coco(splits: Splits, folder: Path, *, link: bool) -> list[str]:
    """Boxes are those of the set's files, also where they lead out of an image; COCO's ids are kept."""
    names = picture_names(splits)
    described: dict[str, object] = {"format": "coco", "root": "."}
    for split, images in splits.items():
        content = coco_ground_truth(images)
        for image, name in zip(content["images"], names[split], strict=True):
            image["file_name"] = name
        place_pictures(images, names[split], folder / split, link=link)
        write_instances(content, folder / "annotations" / f"instances_{split}.json")
        described[split] = f"annotations/instances_{split}.json:{split}"
    described["classes"] = list(next(iter(splits.values())).class_names)
    write_whole(folder / "data.yaml", write_yaml(described))
    truncated = sum(int(images.truncated.sum()) for images in splits.values())
    return [f"{truncated} boxes are marked truncated, for which COCO has no word"] if truncated else []
