"""Every form of a set that a new user may come with, by the name of who leaves sets so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.new_user import forms_of_drawing as drawing
from tests.new_user import forms_of_training as training
from tests.new_user.photos import Photo


@dataclass(frozen=True)
class Form:
    """read_as: the format that detres takes it for. write: puts the annotations beside the photos of a folder.

    has_empty: whether it has a word for a photo of nothing.
    """

    read_as: str
    write: Callable[[Path, Sequence[Photo]], None]
    has_empty: bool = True


FORMS: Mapping[str, Form] = {
    "coco": Form("coco", training.coco),
    "roboflow": Form("coco", training.roboflow_coco),
    "lvis": Form("coco", training.lvis),
    "voc": Form("voc", training.voc),
    "labelimg": Form("voc", training.labelimg),
    "yolo": Form("yolo", training.yolo),
    "labelimg_yolo": Form("yolo", training.labelimg_yolo),
    "darknet": Form("darknet", training.darknet),
    "tensorflow_csv": Form("csv", training.tensorflow_csv, has_empty=False),
    "retinanet_csv": Form("csv", training.retinanet_csv),
    "sides_csv": Form("csv", training.sides_csv, has_empty=False),
    "openimages": Form("openimages", training.openimages, has_empty=False),
    "labelme": Form("labelme", drawing.labelme),
    "cvat": Form("cvat", drawing.cvat),
    "labelstudio": Form("labelstudio", drawing.labelstudio),
    "createml": Form("createml", drawing.createml),
}
