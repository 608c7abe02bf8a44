"""CVAT's own XML, "CVAT for images 1.1" and "CVAT for video 1.1".

    <annotations>
      <image id="0" name="a.jpg" width="60" height="40">
        <box label="cat" xtl="1" ytl="2" xbr="11" ybr="10" occluded="0" rotation="0"/>
      </image>
      <track id="0" label="cat"><box frame="0" keyframe="1" outside="0" xtl="1" ytl="2" xbr="11" ybr="10"/></track>
    </annotations>

Polygons, ellipses, masks, cuboids and turned boxes become the boxes around them. An export for video has a box for
every frame of a track, those between key frames too; where `outside` is 1 the object is not to be seen. Its frames are
the pictures frame_000000.png and so on that CVAT exports with it (of any image's ending); frames without an object are
images of nothing where they are there. Attributes difficult, truncated and iscrowd mean what they say. Tags, points,
polylines and skeletons are told, and left out. `subset` of a project's images makes a split: annotations.xml#Train.
Source: "XML annotation format", docs.cvat.ai/docs/other/xml_format, and cvat/apps/dataset_manager of cvat-ai/cvat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from detres.data.detection.indexing import RawBox
from detres.data.formats.format import Format, Recognized
from detres.data.formats.labels.cvat_xml import CvatFile, Holder, Shape, read_cvat
from detres.data.formats.labels.drawn import DrawnImage, Slips, image_size, label_name, loader_of, quoted
from detres.data.formats.labels.json_files import ends_of
from detres.data.formats.labels.recognizing import recognize_files
from detres.data.formats.labels.shapes import (
    Box,
    box_of_ellipse,
    box_of_points,
    box_of_sides,
    box_of_turned,
    numbers_of,
)
from detres.data.formats.labels.splits import SplitPlace, existing_file, has_split
from detres.data.images.files import list_images
from detres.data.problems import Problem
from detres.data.values import flag, whole_number
from detres.errors import DataError

_TOP = re.compile(rb"(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<annotations\s*>", re.DOTALL)
_INSIDE = re.compile(rb"<(image|track|meta)\b")
_SHAPES = ("box", "polygon", "ellipse", "mask", "cuboid")
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_CUBOID = [f"{corner}{side}" for corner in ("tl", "bl", "tr", "br") for side in (1, 2)]
_FRAME = re.compile(r"(?:.*/)?frame_(\d{6,9})\.\w+")
_LAST_FRAME = 10**9 - 1


def recognize(place: Path) -> Recognized | None:
    """Whether a folder, or a file, is such a set."""
    return recognize_files(place, ".xml", _looks, "cvat", "CVAT's XML", subsets=_subsets)


def _looks(file: Path) -> bool:
    ends = ends_of(file)
    return bool(_TOP.match(ends) and _INSIDE.search(ends))


def _subsets(file: Path) -> list[str]:
    try:
        content = read_cvat(file)
    except DataError:
        return []
    return list(dict.fromkeys(each.values.get("subset", "") for each in (*content.images, *content.tracks)))


def _read(place: SplitPlace, found: list[Problem]) -> list[DrawnImage]:
    content = read_cvat(existing_file(place))
    slips = Slips(place.shown, found)
    images = [_image(each, slips) for each in content.images if _is_of(each, place.subset)]
    tracks = [track for track in content.tracks if _is_of(track, place.subset)]
    pictures = list_images(place.images or place.file.parent).names if tracks else []
    frames = _frames(tracks, content, pictures, slips) if tracks else []
    slips.tell_others()
    return images + frames


def _is_of(holder: Holder, subset: str | None) -> bool:
    return subset is None or holder.values.get("subset", "").lower() == subset


def _image(holder: Holder, slips: Slips) -> DrawnImage:
    name, subset = holder.values.get("name", ""), holder.values.get("subset")
    names = (name,) if not subset else (f"{subset}/{name}", name)
    image = DrawnImage(names, size=image_size(holder.values.get("height"), holder.values.get("width")))
    for shape in holder.shapes:
        _add_box(image, shape, shape.values.get("label"), f"image {quoted(name)}", slips)
    return image


def _frames(tracks: Sequence[Holder], content: CvatFile, pictures: Sequence[str], slips: Slips) -> list[DrawnImage]:
    """The frames of a video with the boxes of all tracks; those without any, of which there are pictures."""
    size = image_size(*(_meta(content, f"original_size/{side}") for side in ("height", "width")))
    last = max(whole_number(_meta(content, key)) or 0 for key in ("stop_frame", "size"))
    there = {int(match[1]) for name in pictures if (match := _FRAME.fullmatch(name)) is not None}
    frames = {number: _frame(number, size) for number in there if number <= last}
    for track in tracks:
        for shape in track.shapes:
            number = whole_number(shape.values.get("frame"))
            if number is None or not 0 <= number <= _LAST_FRAME:
                slips.add(f"a frame is {quoted(shape.values.get('frame'))}, which is no number of one")
            elif not flag(shape.values.get("outside")):
                frame = frames.setdefault(number, _frame(number, size))
                _add_box(frame, shape, track.values.get("label"), f"frame {number}", slips)
    return [frames[number] for number in sorted(frames)]


def _frame(number: int, size: tuple[int, int] | None) -> DrawnImage:
    return DrawnImage((f"frame_{number:06d}",), size=size)


def _meta(content: CvatFile, key: str) -> str | None:
    """original_size stands beside the task; all else in the task or the job."""
    paths = (key, f"task/{key}", f"job/{key}")
    return next((content.meta[path] for path in paths if path in content.meta), None)


def _add_box(image: DrawnImage, shape: Shape, label: object, where: str, slips: Slips) -> None:
    if shape.kind not in _SHAPES:
        slips.other(shape.kind)
        return
    name, box = label_name(label), _around(shape.kind, shape.values)
    if name is None:
        slips.add(f"{where}: the label {quoted(label)} of a {shape.kind} is no name")
    elif box is None:
        slips.add(f"{where}: the {shape.kind} of a {name} is not told by finite numbers: {quoted(shape.values, 120)}")
    else:
        marks = [bool(flag(shape.attributes.get(mark))) for mark in ("difficult", "truncated")]
        crowd = any(flag(shape.attributes.get(mark)) for mark in ("iscrowd", "is_crowd", "crowd"))
        image.boxes.append(RawBox(name, box, difficult=marks[0], crowd=crowd, truncated=marks[1]))


def _around(kind: str, values: Mapping[str, str]) -> Box | None:
    """The box around a shape; None where a number of it is none."""
    turned = values.get("rotation", "0")
    if kind == "box":
        corners = numbers_of(values.get(key) for key in _CORNERS)
        return box_of_turned((corners[0], corners[1], corners[2], corners[3]), turned) if corners else None
    if kind == "polygon":
        pairs = [point.split(",") for point in values.get("points", "").split(";")]
        good = all(len(pair) == 2 for pair in pairs)
        return box_of_points(*zip(*pairs, strict=True), fewest=3) if good else None
    if kind == "ellipse":
        return box_of_ellipse(*(values.get(key) for key in ("cx", "cy", "rx", "ry")), degrees=turned)
    if kind == "mask":
        return box_of_sides(*(values.get(key) for key in ("left", "top", "width", "height")))
    return box_of_points(*([values.get(f"{axis}{corner}") for corner in _CUBOID] for axis in "xy"))


# One file; its split is the name below root, NAME:FOLDER or NAME#SUBSET.
load_cvat = loader_of(_read)

CVAT = Format(
    load_cvat,
    layout="an annotations.xml of CVAT's lies, with its images beside it or in images/",
    has_split=has_split,
    recognize=recognize,
    known_by="an annotations.xml of CVAT's",
)
