"""COCO's instances JSON: reading any of them, and writing one.

COCO's boxes are x, y, width, height in continuous pixels; its category ids have gaps. K classes, T boxes.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detres.data.annotations import AnnotatedImages, Problem
from detres.data.classes import select_classes
from detres.data.ignore_marks import ignored_as
from detres.data.indexing import RawBox, RawImage, index_images
from detres.errors import DataError
from detres.files.whole import whole_file

GET_COCO = (
    "`python datasets/prepare_coco.py` (prepare_coco_2014.py for 2014) says which files to download and unpacks them"
)

# File names of 2014 and 2015 say which archive the image came in: trainval35k's lie in two folders.
_NAMED_BY_FOLDER = re.compile(r"COCO_([a-z]+20\d\d)_\d+\.jpg")


def load_coco(
    root: Path, split: str, *, classes: Sequence[str] | None = None, exif: bool = True, strict: bool = False
) -> AnnotatedImages:
    """One annotation file below root; `split` is its name, or name.json:FOLDER where the images lie elsewhere.

    Without FOLDER the images are looked for in a folder named as the end of the file's name (instances_train2017.json:
    train2017; image_info_test-dev2017.json: test2017), in images/ and in that below images/, beside the file and in the
    root. Images named as in COCO 2014, such as COCO_val2014_000000000042.jpg, are looked for in val2014/ instead, so
    that one file may list images of two folders.
    classes: names to select, in this order; None: all, by ascending id. Image ids are whole numbers, or text where any
    of the file's is. A file without annotations, such as test-dev's, is one of images without boxes, and said.
    Raises DataError where the file, its images or a class is missing, or the file is no instances JSON.
    """
    file_name, _, folder_name = split.partition(".json:")
    file = root / (f"{file_name}.json" if folder_name else split)
    content = read_instances(file)
    folders = _image_folders(root, file, folder_name, content["images"])
    problems: list[Problem] = []
    where = _relative(file, root)
    if not content["annotations"]:
        detail = f"nothing is annotated on its {len(content['images'])} images; nothing can be measured on them"
        problems.append(Problem("set without annotations", where, detail))
    try:
        names = _category_names(content, where, problems)
        images = _raw_images(content, names, folders, where, problems)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{file}: an entry is not as COCO has it ({type(error).__name__}: {error}); images need id and file_name, "
            "categories id and name, annotations image_id, category_id and bbox"
        ) from None
    chosen = select_classes(classes, list(names.values()), where)
    id_of = {name: category_id for category_id, name in reversed(names.items())}
    return index_images(
        images,
        name=_set_name(file),
        root=root,
        known_classes=tuple(names.values()),
        classes=chosen,
        category_ids=[id_of[name] for name in chosen],
        exif=exif,
        strict=strict,
        problems=problems,
    )


def read_instances(file: Path) -> dict[str, Any]:
    """The content of an annotation file, with empty `annotations` where it has none.

    Raises DataError where there is no such file, or it has no images or categories, or what it has is no list of them.
    """
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such annotation file; {GET_COCO}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: this is no JSON: {error}; download or export it again") from None
    if not isinstance(content, dict):
        raise DataError(f"{file}: this is no COCO instances file: it holds a {type(content).__name__}, not an object")
    content = {"annotations": [], **content}
    for key in ("images", "categories", "annotations"):
        if key not in content:
            raise DataError(f"{file}: this is no COCO instances file: it has no {key}")
        entries = content[key]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(
                f"{file}: this is no COCO instances file: its {key} are no list of objects; export it again"
            )
    return content


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


def _image_folders(root: Path, file: Path, named: str, images: list[dict[str, Any]]) -> dict[str, str]:
    """The folder, as seen from the root, of the images that name one (val2014: ...), and of all others under ""."""
    samples: dict[str, list[str]] = {}
    for image in images:
        name = str(image.get("file_name", ""))
        samples.setdefault(_own_folder(name), []).append(name)
    if not samples:
        raise DataError(f"{file}: it lists no images")
    return {own: _relative(_image_folder(root, file, named, own, some[:20]), root) for own, some in samples.items()}


def _own_folder(file_name: str) -> str:
    match = _NAMED_BY_FOLDER.fullmatch(file_name)
    return match[1] if match else ""


def _image_folder(root: Path, file: Path, named: str, own: str, samples: Sequence[str]) -> Path:
    """The first folder that holds one of the samples."""
    if named:
        candidates = [root / named, root / named / own]
    else:
        # test-dev and test-challenge are lists of some of test's images.
        ending = own or re.sub(r"^test-[a-z]+", "test", file.stem.rsplit("_", 1)[-1])
        candidates = [root / ending, root / "images" / ending, root / "images", file.parent, root]
    for folder in candidates:
        if any(sample and (folder / sample).is_file() for sample in samples):
            return folder
    looked = ", ".join(dict.fromkeys(str(folder) for folder in candidates))
    raise DataError(
        f"{file}: its images (such as {samples[0]}) were looked for in {looked} and not found; "
        f"write the split as {file.name}:FOLDER. {GET_COCO}"
    )


def _category_names(content: dict[str, Any], where: str, problems: list[Problem]) -> dict[int, str]:
    """Names by ascending id, without the umbrella category that Roboflow's exports begin with."""
    categories = sorted(content["categories"], key=lambda category: category["id"])
    used = {annotation.get("category_id") for annotation in content["annotations"]}
    parents = {category.get("supercategory") for category in categories}
    names = {}
    for category in categories:
        name = str(category["name"])
        if category["id"] not in used and name in parents and category.get("supercategory") in (None, "none"):
            problems.append(
                Problem("empty supercategory", where, f"{name} (id {category['id']}) has no boxes; left out")
            )
        else:
            names[category["id"]] = name
    return names


def _raw_images(
    content: dict[str, Any], names: dict[int, str], folders: Mapping[str, str], where: str, problems: list[Problem]
) -> list[RawImage]:
    as_id = str if any(isinstance(image["id"], str) for image in content["images"]) else int
    files = [str(image["file_name"]) for image in content["images"]]
    images = [
        RawImage(os.path.join(folders[_own_folder(file)], file), as_id(image["id"]), _stated_size(image))
        for file, image in zip(files, content["images"], strict=True)
    ]
    by_id = {image.image_id: image for image in reversed(images)}
    for annotation in content["annotations"]:
        stated = annotation.get("image_id")
        image = by_id.get(str(stated) if as_id is str else stated)
        if image is None:
            detail = f"annotation {annotation.get('id')} is of image {annotation.get('image_id')}; left out"
            problems.append(Problem("unknown image", where, detail))
            continue
        image.boxes.append(_raw_box(annotation, names))
    return images


def _raw_box(annotation: dict[str, Any], names: dict[int, str]) -> RawBox:
    category_id = annotation.get("category_id")
    try:
        x, y, width, height = (float(value) for value in annotation["bbox"])
    except (KeyError, TypeError, ValueError):
        x = y = width = height = math.nan
    area, ignored = annotation.get("area"), ignored_as(annotation)
    return RawBox(
        name=names.get(category_id, f"category {category_id}"),
        xyxy=(x, y, x + width, y + height),
        crowd=ignored == "crowd",
        difficult=ignored == "difficult",
        area=None if area is None else float(area),
    )


def _stated_size(image: dict[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return None if height is None or width is None else (int(height), int(width))


def _relative(path: Path, root: Path) -> str:
    """As seen from the root; as it is where it lies elsewhere, which joining to the root leaves alone."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path.absolute())
