"""One class under two names."""

from __future__ import annotations

import pytest

from detres.data.class_synonyms import SYNONYMS, same_classes
from detres.data.classes import COCO_CLASSES, VOC_CLASSES


def test_every_class_of_voc_is_one_of_cocos() -> None:
    same = same_classes(VOC_CLASSES, COCO_CLASSES)
    assert list(same) == list(VOC_CLASSES)
    assert {name: other for name, other in same.items() if name != other} == {
        "aeroplane": "airplane",
        "diningtable": "dining table",
        "motorbike": "motorcycle",
        "pottedplant": "potted plant",
        "sofa": "couch",
        "tvmonitor": "tv",
    }
    back = same_classes(COCO_CLASSES, VOC_CLASSES)
    assert {other: name for name, other in back.items()} == same


def test_no_name_stands_in_two_groups() -> None:
    names = [name for group in SYNONYMS for name in group]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        ([], ["tv"], {}),
        (["tv"], ["tv", "tvmonitor"], {"tv": "tv"}),
        (["tv", "tvmonitor"], ["tvmonitor"], {"tvmonitor": "tvmonitor"}),
        (["tv", "tvmonitor"], ["tvmonitor", "tv"], {"tv": "tv", "tvmonitor": "tvmonitor"}),
        (["tv", "tvmonitor"], ["tv or monitor"], {}),
        (["tv or monitor"], ["tv", "tvmonitor"], {}),
        (["couch", "television"], ["sofa", "tv"], {"couch": "sofa"}),
    ],
)
def test_a_synonym_is_taken_where_it_is_the_only_candidate(
    wanted: list[str], known: list[str], expected: dict[str, str]
) -> None:
    assert same_classes(wanted, known) == expected
