"""COCO's instances JSON: reading any of them, and writing one.

COCO's boxes are x, y, width, height in continuous pixels; its category ids have gaps. K classes, T boxes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detres.data.classes import select_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import index_images
from detres.data.formats.coco.entries import Complaints, name_by_address, read_categories, read_images
from detres.data.formats.coco.json import read_instances, without_collections
from detres.data.formats.coco.places import ImagePlaces, relative_place
from detres.errors import DataError
from detres.files.whole import whole_file


def load_coco(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    exif: bool = True,
    max_pixels: int | None = None,
    strict: bool | None = False,
) -> AnnotatedImages:
    """One annotation file below root; `split` is its name, or name.json:FOLDER where the images lie elsewhere.

    Without FOLDER the images are looked for in a folder named as the end of the file's name (instances_train2017.json:
    train2017; image_info_test-dev2017.json: test2017), in images/ and in that below images/, beside the file and in the
    root. Images named as in COCO 2014, such as COCO_val2014_000000000042.jpg, are looked for in val2014/ instead, so
    that one file may list images of two folders.
    classes: names to select, in this order; None: all, by ascending id. Image ids are whole numbers, or text where any
    of the file's is (or is beyond 64 bits). A file without annotations, such as test-dev's, is one of images without
    boxes, and said. What an id means that stands twice or is written otherwise is coco_entries' to say.
    Raises DataError where the file, its images or a class is missing, or the file is no instances JSON.
    """
    file_name, _, folder_name = split.partition(".json:")
    file = root / (f"{file_name}.json" if folder_name else split)
    with without_collections():
        return _load(root, file, folder_name, classes, exif, max_pixels, strict)


def _load(
    root: Path,
    file: Path,
    folder_name: str,
    classes: Sequence[str] | None,
    exif: bool,
    max_pixels: int | None,
    strict: bool | None,
) -> AnnotatedImages:
    complaints = Complaints(file, relative_place(file, root))
    content = read_instances(file, complaints.where, complaints.problems)
    if not content["images"]:
        raise DataError(f"{file}: it lists no images")
    if not content["annotations"]:
        detail = f"nothing is annotated on its {len(content['images'])} images; nothing can be measured on them"
        complaints.add("set without annotations", detail)
    name_by_address(content["images"])
    places = ImagePlaces(root, file, folder_name, content["images"])
    categories = read_categories(content, complaints)
    images = read_images(content, places, categories, complaints)
    chosen = select_classes(classes, list(categories.ids), complaints.where)
    dataset = index_images(
        images,
        name=_set_name(file),
        root=root,
        known_classes=tuple(categories.ids),
        classes=chosen,
        category_ids=[categories.ids[name] for name in chosen],
        exif=exif,
        max_pixels=max_pixels,
        strict=strict,
        problems=complaints.problems,
    )
    other_ids = {other: categories.ids[name] for other, name in categories.repeated.items() if name in chosen}
    return replace(dataset, other_ids=other_ids)


def coco_ground_truth(dataset: AnnotatedImages) -> dict[str, Any]:
    """The set in the layout of COCO's instances JSON, without segmentations, as pycocotools reads it.

    A set that was COCO keeps its image and category ids, boxes and areas (AP by size goes by the segmentation's area);
    others get image ids and category ids from 1 on, in the set's order. Annotation ids count from 1.
    What is to be ignored carries iscrowd 1, the only flag pycocotools heeds, so difficult objects are neither hits nor
    misses; VOC's difficult carry "difficult": 1 as well.
    """
    was_coco = dataset.category_ids is not None
    image_ids = dataset.image_ids.tolist() if was_coco else list(range(1, len(dataset) + 1))
    category_ids = list(dataset.category_ids or range(1, len(dataset.class_names) + 1))
    images = [
        {"id": image_id, "file_name": dataset.file_name(i), "height": size[0], "width": size[1]}
        for i, (image_id, size) in enumerate(zip(image_ids, dataset.sizes.tolist(), strict=True))
    ]
    columns = zip(
        dataset.box_images().tolist(),
        dataset.labels.tolist(),
        dataset.annotated.tolist(),
        dataset.areas.tolist(),
        dataset.ignore.tolist(),
        dataset.crowd.tolist(),
        strict=True,
    )
    annotations = []
    for number, (image, label, box, area, ignore, crowd) in enumerate(columns, start=1):
        annotation = {"id": number, "image_id": image_ids[image], "category_id": category_ids[label], "bbox": box}
        annotation |= {"area": area, "iscrowd": int(ignore)}
        annotations.append(annotation | {"difficult": 1} if ignore and not crowd else annotation)
    categories = [{"id": i, "name": name} for i, name in zip(category_ids, dataset.class_names, strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_instances(content: dict[str, Any], file: Path) -> None:
    """Write JSON whole or not at all."""
    with whole_file(file) as stream:
        stream.write(json.dumps(content).encode())


def _set_name(file: Path) -> str:
    """coco-train2014, coco-test-dev2017; for a Roboflow export, whose files are all called alike, its folder."""
    if file.stem == "_annotations.coco":
        return file.parent.name
    return f"coco-{file.stem.removeprefix('instances_').removeprefix('image_info_')}"
