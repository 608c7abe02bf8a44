"""How badly each image went.

I images, G objects, D detections of all images together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.error_kinds import FOUND, NOT_COUNTED, Judged
from detres.evaluation.flat_boxes import FlatDetections, FlatObjects


def image_badness(objects: FlatObjects, found: FlatDetections, judged: Judged, images: int) -> NDArray[np.float64]:
    """(I,) how far the scores of an image are from what they should be: 1 for each object once, and 0 elsewhere.

    A false alarm adds its score, an object what the score of its hit lacks to 1, which is all of it where nothing found
    it. What is ignored or does not count adds nothing.
    """
    is_hit = judged.kind == FOUND
    is_false = ~is_hit & (judged.kind != NOT_COUNTED)
    alarms = np.bincount(found.image[is_false], found.scores[is_false], minlength=images)
    hits = np.bincount(found.image[is_hit], found.scores[is_hit], minlength=images)
    there = np.bincount(objects.image[~objects.ignore], minlength=images).astype(np.float64)
    return there - hits + alarms
