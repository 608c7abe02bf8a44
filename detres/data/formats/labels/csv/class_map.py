"""The list of classes beside a table, name,number a line, as Keras-RetinaNet takes one: it gives their order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from detres.data.formats.labels.csv.tables import first_rows
from detres.data.formats.labels.drawn import label_name
from detres.data.values import whole_number

_NAMES = (
    *("classes.csv", "class_map.csv", "class-map.csv", "class_mapping.csv", "class_list.csv", "mapping.csv"),
    *("class_names.csv", "label_map.csv", "labels_map.csv", "_classes.csv"),
)
_MOST_CLASSES = 100_000


def find_class_map(file: Path, root: Path) -> Mapping[int, str]:
    """The classes by number, ascending, as a list beside the table or in the root has them; else none."""
    for folder in dict.fromkeys([file.parent, root]):
        for name in _NAMES:
            if os.path.isfile(folder / name) and (found := read_class_map(folder / name)):
                return found
    return {}


def read_class_map(file: Path) -> dict[int, str]:
    """What a list of classes holds; nothing where it is none: other columns, or what stands twice."""
    by_number: dict[int, str] = {}
    rows = first_rows(file, _MOST_CLASSES)
    for place, (_, cells) in enumerate(rows):
        numbers = [whole_number(cell) for cell in cells]
        if len(cells) != 2 or (numbers[0] is None) == (numbers[1] is None):
            if place == 0 and len(cells) == 2:
                continue  # a header
            return {}
        number, cell = (numbers[1], cells[0]) if numbers[0] is None else (numbers[0], cells[1])
        name = label_name(cell)
        if number is None or name is None or number in by_number:
            return {}
        by_number[number] = name
    return dict(sorted(by_number.items())) if len(set(by_number.values())) == len(by_number) else {}
