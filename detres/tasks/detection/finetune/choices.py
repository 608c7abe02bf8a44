"""What the recipe for one's own set chooses, each by a rule of its own, with the reason for people.

The rules are pure functions of the facts. Where a published recipe has a number, it is that one; the others were set by
hand to meet BCCD's recipe and COCO's, and how well they do on sets of other kinds was not measured yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from detres.tasks.detection.finetune.beginning import Beginning
from detres.tasks.detection.finetune.facts import Facts

_USUAL_SIDE, _LONGEST_SHARE = 800, 5 / 3
"""COCO's shorter side, and how much the longer may exceed it (1333 of 800)."""
_LONGEST_SHAPE = 2.5
"""Of strips: what is longer for its width is made smaller, lest one of them takes the memory of many pictures."""
_LEAST_SIDE = 320
_SMALLEST_BOX = 24.0
"""Pixels a side: the smallest anchor has 32, and overlaps a box of this by little more than half."""
_CELL = 32
_STEPS = 1000
"""A run of fewer updates than this takes smaller batches instead, down to two images."""
_BATCHES = (16, 8, 4, 2)
_SHORT_RUN = 4
"""Evaluations of a run of less than two epochs."""
_LOOKED_AT = "a tenth of the time goes to it at most; the best is kept"
_DETECTIONS = 100


@dataclass(frozen=True)
class Choice:
    """key=value, and why. value: as a config takes it."""

    key: str
    value: Any
    reason: str


def shortest_side(facts: Facts) -> Choice:
    """The pictures' own size, as far as COCO's recipes go, and larger where boxes are small."""
    side, reason = facts.shorter, f"the pictures' own, most are {facts.longer} × {facts.shorter}"
    if side > _USUAL_SIDE:
        side, reason = _USUAL_SIDE, f"COCO's; most pictures are {facts.longer} × {facts.shorter}"
    if facts.small is not None and facts.small * side / facts.shorter < _SMALLEST_BOX:
        wanted = facts.shorter * _SMALLEST_BOX / facts.small
        side = min(math.ceil(wanted / _CELL) * _CELL, max(2 * facts.shorter, _LEAST_SIDE), 2 * _USUAL_SIDE)
        reason = f"a tenth of the boxes are smaller than {facts.small:.0f} pixels"
    elif side < _LEAST_SIDE:
        side, reason = _LEAST_SIDE, f"the least; most pictures are {facts.longer} × {facts.shorter}"
    sides = [round(0.8 * side), round(0.9 * side), side]
    return Choice("data.shortest_side", sides, f"{reason}; one is drawn each time")


def longest_side(facts: Facts, shortest: int) -> Choice:
    """shortest: the largest of the shorter sides that are drawn."""
    shape = min(max(_LONGEST_SHARE, 1.1 * facts.longer / facts.shorter), _LONGEST_SHAPE)
    longest = math.ceil(shortest * shape / _CELL) * _CELL
    reason = "no picture of the usual shape is made smaller for it"
    if facts.longer * shortest > longest * facts.shorter:
        reason = f"strips are made smaller, to spare memory; most pictures are {facts.longer} × {facts.shorter}"
    return Choice("data.longest_side", longest, reason)


def images_to_see(facts: Facts, beginning: Beginning) -> int:
    """How many pictures a run learns from, each seen many times: more for a larger set, but fewer times each."""
    return round(3000 * (facts.images / 100) ** 0.6 * beginning.patience)


def epochs(facts: Facts, beginning: Beginning, affordable: int | None) -> Choice:
    """affordable: pictures that fit into the time there is."""
    wanted = images_to_see(facts, beginning)
    if affordable is not None and affordable < wanted:
        reason = f"what fits into the time; {_rounded(wanted / facts.images):g} would be usual"
        return Choice("training.epochs", _rounded(affordable / facts.images), reason)
    return Choice("training.epochs", _rounded(wanted / facts.images), f"{facts.images} images, {beginning.in_words}")


def batch(facts: Facts, epochs: float) -> Choice:
    """The largest that leaves updates enough."""
    seen = facts.images * epochs
    size = next((size for size in _BATCHES if seen >= size * _STEPS), _BATCHES[-1])
    steps = math.ceil(seen / size)
    return Choice("training.batch", size, f"so that there are {steps} updates of the weights")


def learning_rate(batch: int, beginning: Beginning) -> Choice:
    """Between the linear rule (Goyal et al. 2017) and none: by the square root, from COCO's 0.02 at 16 images."""
    rate = beginning.rate * math.sqrt(batch / 16)
    return Choice("optimizer.lr", float(f"{rate:.2g}"), f"for {batch} images a step, {beginning.in_words}")


def evaluations(epochs: float, count: int) -> Choice:
    """count: how many the run has the time for. A run of two epochs and more is looked at between them."""
    every = epochs / count
    if epochs < 2:
        return Choice("training.eval_every", f"{math.ceil(100 / min(count, _SHORT_RUN))} %", _LOOKED_AT)
    whole = max(1, math.ceil(every))
    return Choice("training.eval_every", f"{whole} epoch{'s' if whole > 1 else ''}", _LOOKED_AT)


def best_metric() -> Choice:
    return Choice("training.best_metric", "mAP50", "boxes that overlap by half are found, for most uses")


def trunk(beginning: Beginning) -> Choice | None:
    if beginning.backbone is None:
        return None
    return Choice("model.backbone.weights", beginning.backbone, "learned on ImageNet, where no detector can be had")


def frozen_stages(beginning: Beginning) -> Choice | None:
    """Edges and corners need not be learned anew."""
    if not beginning.has_trunk:
        return None
    return Choice("model.backbone.frozen_stages", 2, "its edges and textures are good for any photo")


def augmentation(facts: Facts) -> Choice | None:
    if facts.sided is None:
        return None
    return Choice("data.augment", [], f"no mirroring: a mirror makes another class of {facts.sided!r}")


def most_detections(facts: Facts) -> Choice | None:
    if facts.most_boxes <= _DETECTIONS:
        return None
    most = math.ceil(1.5 * facts.most_boxes / 100) * 100
    return Choice("test.max_detections", most, f"one picture has {facts.most_boxes} boxes")


def _rounded(epochs: float) -> float:
    """Two digits: 0.43, 7.5, 51."""
    return float(f"{epochs:.2g}")
