"""The table that the VGG Image Annotator (VIA) exports: shapes and what is said of them as JSON in two of its columns.

    filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes
    a.jpg,1024,"{}",1,0,"{""name"":""rect"",""x"":1,""y"":2,""width"":10,""height"":8}","{""class"":""cat""}"

A rect, circle, ellipse or polygon becomes the box around it; points and polylines are told, and left out. An image
without regions has a line of its own. The class is the region's one attribute, or of several the one that is called so.
Source: robots.ox.ac.uk/~vgg/software/via.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from detres.data.detection.indexing import RawBox
from detres.data.formats.labels.csv.forms import Entry, Form, NoBox
from detres.data.formats.labels.drawn import label_name, quoted
from detres.data.formats.labels.shapes import Box, box_of_ellipse, box_of_points, box_of_sides
from detres.data.values import finite_number
from detres.files.strict_json import parse_json

_CLASS_KEYS = ("class", "label", "name", "category", "type", "object", "class_name", "label_name", "species")
_KINDS = ("rect", "circle", "ellipse", "polygon")


def via_form(cells: Sequence[str]) -> Form | None:
    """How the rows below VIA's header are read; None where it is another's."""
    names = [cell.lstrip("#").strip().lower() for cell in cells]
    wanted = ("filename", "region_shape_attributes", "region_attributes")
    if not set(wanted) <= set(names):
        return None
    image, shape, attributes = map(names.index, wanted)

    def read(row: Sequence[str]) -> Entry | str:
        if len(row) <= max(image, shape, attributes) or not row[image]:
            return f"it has {len(row)} columns, and {len(names)} are named"
        return _entry(row[image], row[shape], row[attributes])

    return Form("VIA's table", read, headers=1)


def _entry(image: str, shape_text: str, attributes_text: str) -> Entry | str:
    try:
        shape, attributes = parse_json(shape_text or "{}"), parse_json(attributes_text or "{}")
    except ValueError as error:
        return f"a region of {quoted(image)} is no JSON: {error}"
    if not isinstance(shape, dict) or not isinstance(attributes, dict):
        return f"a region of {quoted(image)} is {quoted(shape)}, no object"
    if not shape:
        return Entry(image, None)
    if shape.get("name") not in _KINDS:
        return NoBox(str(shape.get("name"))[:40])
    box, label = _around(shape), _class(attributes)
    if box is None:
        return f"the {shape['name']} {quoted(shape)} is not told by finite numbers"
    if label is None:
        stated = quoted(attributes)
        return f"a region's attributes {stated} name no class; call one of them class"
    return Entry(image, RawBox(label, box))


def _class(attributes: dict[str, Any]) -> str | None:
    by_name = {key.strip().lower(): value for key, value in attributes.items()}
    stated = next((by_name[key] for key in _CLASS_KEYS if key in by_name), None)
    if stated is None and len(by_name) == 1:
        stated = next(iter(by_name.values()))
    if isinstance(stated, dict):  # of check boxes, those that are set
        chosen = [name for name, is_set in stated.items() if is_set]
        stated = chosen[0] if len(chosen) == 1 else None
    return label_name(stated)


def _around(shape: dict[str, Any]) -> Box | None:
    kind = shape["name"]
    if kind == "rect":
        return box_of_sides(*(shape.get(key) for key in ("x", "y", "width", "height")))
    if kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        return box_of_points(xs, ys, fewest=3) if isinstance(xs, list) and isinstance(ys, list) else None
    radii = (shape.get("r"), shape.get("r")) if kind == "circle" else (shape.get("rx"), shape.get("ry"))
    theta = finite_number(shape.get("theta", 0))
    return (
        None if theta is None else box_of_ellipse(shape.get("cx"), shape.get("cy"), *radii, degrees=math.degrees(theta))
    )
