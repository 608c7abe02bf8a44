"""The forms in which sets are handed on to be trained on: COCO, LVIS, VOC, YOLO, Darknet, tables and Open Images.

Each function writes the annotations of photos, which lie in `root`, as the tool that is named exports them, and moves
the photos to where that tool has them. Nothing of detres is used: these files are what its readers are held against.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from tests.new_user.photos import CLASSES, HEIGHT, WIDTH, Photo

Photos = Sequence[Photo]


def move(root: Path, photos: Photos, folder: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for photo in photos:
        (root / photo.file).rename(root / folder / photo.file)


def coco(root: Path, photos: Photos) -> None:
    """As labelling tools export COCO: annotations/instances_default.json beside images/ (CVAT's COCO 1.0)."""
    move(root, photos, "images")
    (root / "annotations").mkdir()
    _write_json(root / "annotations" / "instances_default.json", _instances(photos))


def roboflow_coco(root: Path, photos: Photos) -> None:
    """Roboflow's: a folder a split with its photos and _annotations.coco.json, and a supercategory as class 0."""
    for split, some in (("train", photos[:24]), ("valid", photos[24:])):
        move(root, some, split)
        content = _instances(some)
        above = {"id": 0, "name": "things", "supercategory": "none"}
        content["categories"] = [above, *(each | {"supercategory": "things"} for each in content["categories"])]
        _write_json(root / split / "_annotations.coco.json", content)


def lvis(root: Path, photos: Photos) -> None:
    """LVIS v1: no file_name but coco_url, whose last two parts are the place below the images' folder."""
    move(root, photos, "train2017")
    content = _instances(photos)
    for image in content["images"]:
        file = image.pop("file_name")
        image["coco_url"] = f"http://images.cocodataset.org/train2017/{file}"
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for each in content["categories"]:
        del each["supercategory"]
        each |= {"synset": f"{each['name']}.n.01", "synonyms": [each["name"]], "def": "", "frequency": "f"}
    for each in content["annotations"]:
        del each["iscrowd"]
    _write_json(root / "lvis_v1_train.json", content)


def _instances(photos: Photos) -> dict[str, list[dict]]:
    """Categories begin with 1, as COCO's do."""
    images = [
        {"id": number, "file_name": photo.file, "width": WIDTH, "height": HEIGHT}
        for number, photo in enumerate(photos, 1)
    ]
    annotations: list[dict] = []
    for number, photo in enumerate(photos, 1):
        for thing in photo.things:
            x1, y1, x2, y2 = thing.xyxy
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CLASSES.index(thing.name) + 1,
                    "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                    "area": float((x2 - x1) * (y2 - y1)),
                    "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": place, "name": name, "supercategory": ""} for place, name in enumerate(CLASSES, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def voc(root: Path, photos: Photos) -> None:
    """Annotations/, JPEGImages/ and the lists of ImageSets/Main/, as VOC itself and CVAT's Pascal VOC 1.1."""
    move(root, photos, "JPEGImages")
    _write_xml(root / "Annotations", photos)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, some in (("train", photos[:24]), ("val", photos[24:])):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{photo.stem}\n" for photo in some))


def labelimg(root: Path, photos: Photos) -> None:
    """labelImg's: each XML beside its photo, with the path on the machine where it was drawn."""
    _write_xml(root, photos)


def _write_xml(folder: Path, photos: Photos) -> None:
    """Edges are inclusive pixels counted from 1."""
    folder.mkdir(exist_ok=True)
    for photo in photos:
        objects = "".join(
            f"\t<object>\n\t\t<name>{thing.name}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
            f"\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{thing.xyxy[0] + 1}</xmin>\n"
            f"\t\t\t<ymin>{thing.xyxy[1] + 1}</ymin>\n\t\t\t<xmax>{thing.xyxy[2]}</xmax>\n"
            f"\t\t\t<ymax>{thing.xyxy[3]}</ymax>\n\t\t</bndbox>\n\t</object>\n"
            for thing in photo.things
        )
        (folder / f"{photo.stem}.xml").write_text(
            f"<annotation>\n\t<folder>photos</folder>\n\t<filename>{photo.file}</filename>\n"
            f"\t<path>C:\\Users\\me\\photos\\{photo.file}</path>\n\t<source>\n\t\t<database>Unknown</database>\n"
            f"\t</source>\n\t<size>\n\t\t<width>{WIDTH}</width>\n\t\t<height>{HEIGHT}</height>\n\t\t<depth>3</depth>\n"
            f"\t</size>\n\t<segmented>0</segmented>\n{objects}</annotation>\n"
        )


def yolo(root: Path, photos: Photos) -> None:
    """images/train, labels/train and so on, and a data.yaml with the names by number."""
    for split, some in (("train", photos[:24]), ("val", photos[24:])):
        move(root, some, f"images/{split}")
        _write_labels(root / "labels" / split, some)
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    (root / "data.yaml").write_text(
        f"path: /content/datasets/photos\ntrain: images/train\nval: images/val\n\nnames:\n{names}"
    )


def labelimg_yolo(root: Path, photos: Photos) -> None:
    """labelImg's other form: a text file beside each photo, and classes.txt among them."""
    _write_labels(root, photos)
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))


def darknet(root: Path, photos: Photos) -> None:
    """CVAT's YOLO 1.1: obj.data, obj.names, train.txt, and obj_train_data/ with photos and labels."""
    move(root, photos, "obj_train_data")
    _write_labels(root / "obj_train_data", photos)
    (root / "obj.names").write_text("".join(f"{name}\n" for name in CLASSES))
    (root / "train.txt").write_text("".join(f"data/obj_train_data/{photo.file}\n" for photo in photos))
    (root / "obj.data").write_text(
        f"classes = {len(CLASSES)}\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
    )


def _write_labels(folder: Path, photos: Photos) -> None:
    """A line a thing: the class's number, then centre and sides as shares of the photo's, to six digits."""
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        lines = []
        for thing in photo.things:
            x1, y1, x2, y2 = thing.xyxy
            shares = ((x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT)
            lines.append(" ".join([str(CLASSES.index(thing.name)), *(f"{share:.6f}" for share in shares)]))
        (folder / f"{photo.stem}.txt").write_text("".join(f"{line}\n" for line in lines))


def tensorflow_csv(root: Path, photos: Photos) -> None:
    """TensorFlow's table, as Roboflow writes it: a row a box, so that a photo of nothing is in none."""
    header = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
    rows = [(photo.file, WIDTH, HEIGHT, thing.name, *thing.xyxy) for photo in photos for thing in photo.things]
    _write_table(root / "_annotations.csv", [header, *rows])


def retinanet_csv(root: Path, photos: Photos) -> None:
    """Keras-RetinaNet's: no header, and five empty cells for a photo of nothing."""
    rows: list[Sequence[object]] = [(photo.file, *thing.xyxy, thing.name) for photo in photos for thing in photo.things]
    _write_table(root / "annotations.csv", [*rows, *((photo.file, *[""] * 5) for photo in photos if not photo.things)])


def sides_csv(root: Path, photos: Photos) -> None:
    """A hand-made table in another order: the class first, and upper left corner with width and height."""
    header = ("label", "image", "x", "y", "w", "h")
    rows = [
        (thing.name, photo.file, x1, y1, x2 - x1, y2 - y1)
        for photo in photos
        for thing in photo.things
        for x1, y1, x2, y2 in [thing.xyxy]
    ]
    _write_table(root / "boxes.csv", [header, *rows])


def openimages(root: Path, photos: Photos) -> None:
    """Open Images: shares in the order XMin, XMax, YMin, YMax, machine ids for classes, photos called by their ids."""
    move(root, photos, "train")
    ids = {name: f"/m/0{number}x{number}" for number, name in enumerate(CLASSES, 1)}
    _write_table(root / "class-descriptions-boxable.csv", [(ids[name], name) for name in CLASSES])
    header = (
        *("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax"),
        *("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"),
    )
    rows = [
        (photo.stem, "xclick", ids[thing.name], 1, x1 / WIDTH, x2 / WIDTH, y1 / HEIGHT, y2 / HEIGHT, 0, 0, 0, 0, 0)
        for photo in photos
        for thing in photo.things
        for x1, y1, x2, y2 in [thing.xyxy]
    ]
    _write_table(root / "train-annotations-bbox.csv", [header, *rows])


def _write_table(file: Path, rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content), encoding="utf-8")
