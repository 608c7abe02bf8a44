"""What is wrong with each detection, and which objects were missed: the six kinds of TIDE.

G objects, D detections of all images together. Hits are COCO's at IoU 0.5 (coco_matching.py).

Source: Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors", section 2.2. Where its
definitions overlap or leave something open, the rules below are those of the authors' program: localization goes before
classification, classification before duplicate; an object that was found keeps its detection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.box_pairs import overlaps
from detres.evaluation.coco_matching import match
from detres.evaluation.flat_boxes import FlatDetections, FlatObjects
from detres.evaluation.voc_ap import FALSE_ALARM

FOREGROUND_IOU, BACKGROUND_IOU = 0.5, 0.1

ErrorKind = Literal["classification", "localization", "both", "duplicate", "background", "missed"]

# What each is, and how it is mended; "IoU" is the largest of a false alarm with any object of the classes named.
DEFINITIONS: dict[ErrorKind, str] = {
    "classification": "Right place, wrong class: IoU ≥ 0.5 with an object of another class. "
    "Mended by giving it that object's class.",
    "localization": "Right class, poor box: 0.1 ≤ IoU < 0.5 with an object of its class. "
    "Mended by giving it that object's box.",
    "both": "Wrong class and poor box: 0.1 ≤ IoU < 0.5 with an object of another class, less with any of its own. "
    "Mended by removing it.",
    "duplicate": "IoU ≥ 0.5 with an object of its class that a detection of a better score has found. "
    "Mended by removing it.",
    "background": "IoU < 0.1 with every object. Mended by removing it.",
    "missed": "An object that no detection found, and at which no classification or localization error aims. "
    "Mended by not asking for it.",
}
KINDS: tuple[ErrorKind, ...] = tuple(DEFINITIONS)

# Beside the places in KINDS, what a detection may be.
FOUND, NOT_COUNTED = -1, -2


@dataclass(frozen=True, eq=False)
class Judged:
    """kind: (D,) int64, FOUND, NOT_COUNTED, or the place in KINDS. object: (D,) which one a detection found or aims at,
    -1 for none. claimant: (G,) the detection that finds an object once it is mended, -1 where there is none.
    found, missed: (G,) bool; what is ignored is neither.
    """

    kind: NDArray[np.int64]
    object: NDArray[np.int64]
    claimant: NDArray[np.int64]
    found: NDArray[np.bool_]
    missed: NDArray[np.bool_]


def judge_errors(objects: FlatObjects, found: FlatDetections) -> Judged:
    """The kind of every detection, and the objects that were missed, as DEFINITIONS says.

    Overlaps with ignored objects count for none of it. An object that was not found is claimed by the best-scoring of
    the classification and localization errors that aim at it: only that one becomes a hit when it is mended.
    """
    matches = match(objects, found, FOREGROUND_IOU)
    pairs = overlaps(objects.image, objects.boxes, found.image, found.boxes, min_iou=BACKGROUND_IOU)
    pairs = pairs.select(~objects.ignore[pairs.object])
    same = objects.label[pairs.object] == found.label[pairs.detection]
    own, own_iou = pairs.select(same).best(len(found.label))
    other, other_iou = pairs.select(~same).best(len(found.label))
    is_false = matches.verdict == FALSE_ALARM
    localization = is_false & (own >= 0) & (own_iou < FOREGROUND_IOU)
    classification = is_false & ~localization & (other_iou >= FOREGROUND_IOU)
    duplicate = is_false & ~classification & (own_iou >= FOREGROUND_IOU)
    both = is_false & ~localization & ~classification & ~duplicate & (other >= 0)
    kind = np.where(is_false, KINDS.index("background"), np.where(matches.object >= 0, FOUND, NOT_COUNTED))
    target = matches.object.copy()
    for name, rows, aim in (
        ("localization", localization, own),
        ("classification", classification, other),
        ("duplicate", duplicate, own),
        ("both", both, other),
    ):
        kind[rows] = KINDS.index(name)
        target[rows] = aim[rows]
    was_found = matches.found(len(objects.label))
    claimant = _claimants(np.flatnonzero(localization | classification), target, found.scores, was_found)
    return Judged(kind, target, claimant, was_found, ~was_found & (claimant < 0) & ~objects.ignore)


def _claimants(
    aiming: NDArray[np.int64], target: NDArray[np.int64], scores: NDArray[np.float64], was_found: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """(G,) the best-scoring of the aiming detections for each object that was not found, the first of equals."""
    claimant = np.full(len(was_found), -1, np.int64)
    aiming = aiming[~was_found[target[aiming]]]
    aiming = aiming[np.argsort(-scores[aiming], kind="stable")]
    claimed, place = np.unique(target[aiming], return_index=True)
    claimant[claimed] = aiming[place]
    return claimant
