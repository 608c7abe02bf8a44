"""Rows of a last layer find their class in another one's."""

from __future__ import annotations

import torch

from detres.backbones.weights.class_rows import Transferred, matching_rows, rows_by_class
from detres.data.classes import COCO_CLASSES, VOC_CLASSES


def test_vocs_rows_come_from_cocos_whatever_the_classes_are_called() -> None:
    rows = matching_rows(VOC_CLASSES, COCO_CLASSES)
    assert sorted(rows) == list(range(20))
    assert COCO_CLASSES[rows[VOC_CLASSES.index("sofa")]] == "couch"
    assert COCO_CLASSES[rows[VOC_CLASSES.index("person")]] == "person"
    boxes = torch.arange(4.0 * 80)[:, None]
    taken = rows_by_class(torch.full((4 * 20, 1), -1.0), boxes, rows, width=4)
    first = 4 * COCO_CLASSES.index("airplane")
    assert taken[:4, 0].tolist() == [first, first + 1, first + 2, first + 3]
    assert (taken >= 0).all()


def test_the_table_says_which_class_came_from_which() -> None:
    told = Transferred.of_classes("c.safetensors", 7, ["cat", "sofa", "tv", "gnu"], ["tvmonitor", "couch", "cat", "ox"])
    assert told.lines() == [
        "weights c.safetensors: 7 tensors taken",
        "  classes from the file, by name: 1 cat",
        "  classes from the file, by another name: 2 sofa (couch), tv (tvmonitor)",
        "  classes start anew: 1 gnu",
        "  classes only in the file: 1 ox",
    ]


def test_nothing_in_common_leaves_every_row_as_it_was() -> None:
    mine = torch.arange(6.0).reshape(3, 2)
    rows = matching_rows(["gnu"], ["ox"])
    assert rows == {}
    assert torch.equal(rows_by_class(mine, mine + 1, rows), mine)
