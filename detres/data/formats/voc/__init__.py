"""Sets in the format of PASCAL VOC: what they are, and how VOC's own are come by."""

from __future__ import annotations

from detres.data.classes import VOC_CLASSES
from detres.data.formats.format import Format

GET_VOC = "`detres prepare voc` says which files to download and unpacks them"

VOC = Format(
    "detres.data.formats.voc.reading:load_voc",
    lambda splits: GET_VOC,
    lambda: VOC_CLASSES,
    has_split="detres.data.formats.voc.reading:has_split",
    recognize="detres.data.formats.voc.recognition:recognize_voc",
    known_by="XML files beside images, or in Annotations/ beside JPEGImages/ or images/; or lists in ImageSets/Main/",
)
