"""How detectors are tested beyond one look at one size: refinement, voting, scales, mirrors and ensembles.

What is read together is a *reading*: with maxout all scales of an image are one, in an ensemble all members are one.
Several readings (scales and mirrors, each by itself) are merged as whole detections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch

from detres.config.detection_schema import DataConfig, TestConfig
from detres.data.detection.image_copies import ImageCopy
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.head_uses import HeadUse, check_uses
from detres.detection.model.suppression import candidates, suppress
from detres.detection.testing.fusion import View, fuse, vote_boxes
from detres.detection.testing.refinement import read_repeatedly
from detres.detection.testing.regions import Ensemble, ImageReader, RegionReader
from detres.errors import ConfigError
from detres.structures import DetectionBatch, Detections


@dataclass(frozen=True)
class Member:
    """A detector of an ensemble (of one, mostly). feeding: how its images are sized; the rest of it is not read."""

    model: FasterRCNN
    feeding: DataConfig


@dataclass(frozen=True)
class _Part:
    """One member's share in a reading: the places of its copies. scales: ascending; base: where proposals come from."""

    model: FasterRCNN
    scales: tuple[int, ...]
    base: int


def is_plain(test: TestConfig, members: int = 1) -> bool:
    """Whether a test is one look of one detector at one size, which `FasterRCNN.predict` is."""
    return members == 1 and not (test.refine or test.scales or test.flip) and voting_of(test) == "none"


def voting_of(test: TestConfig) -> Literal["score", "uniform", "iou", "none"]:
    return test.vote or ("score" if test.refine else "none")


def uses_of(test: TestConfig, members: int) -> Iterator[HeadUse]:
    """What a test does beyond a plain one, for RoI heads that take no part in it."""
    if members > 1:
        yield "ensemble"
    if test.refine:
        yield "refinement"
    if voting_of(test) != "none":
        yield "voting"
    if _reads_scales_together(test):
        if len(test.scales) > 1:
            yield "maxout"
    elif test.flip or len(test.scales) > 1:
        yield "merging"


def _reads_scales_together(test: TestConfig) -> bool:
    """By maxout; else each scale and mirror is a reading, and what they find is merged."""
    return not test.flip and test.fusion in (None, "maxout")


class DetectionTest:
    """Called with the copies of one image, as `copies` says they are made; gives its detections.

    Raises ConfigError where the members do not detect the same classes, or a RoI head takes no part in such a test.
    """

    __test__ = False  # pytest collects classes by this name

    def __init__(self, members: Sequence[Member], test: TestConfig) -> None:
        check_classes(members)
        for member in members:
            check_uses(member.model.roi, uses_of(test, len(members)))
        self._test, self._voting = test, voting_of(test)
        self.copies, self._readings = _plan(members, test)

    @torch.no_grad()
    def __call__(self, copies: Sequence[DetectionBatch]) -> Detections:
        """copies: one batch of one image for each of self.copies."""
        views = [self._detect(self._reader(parts, copies)) for parts in self._readings]
        boxes, scores, labels = views[0] if len(views) == 1 else self._fuse(views)
        height, width = copies[0].original_sizes[0].tolist()
        return Detections(boxes.float(), scores.float(), labels, (height, width))

    def _reader(self, parts: Sequence[_Part], copies: Sequence[DetectionBatch]) -> RegionReader:
        mirrored = [copy.mirrored for copy in self.copies]
        readers = [ImageReader(p.model, copies, mirrored, scales=p.scales, base=p.base) for p in parts]
        return readers[0] if len(readers) == 1 else Ensemble(readers)

    def _detect(self, reader: RegionReader) -> View:
        """Detections of one reading, in pixels of the file."""
        test = self._test
        boxes, scores = read_repeatedly(reader, test.refine)
        found = candidates(boxes, scores, reader.size, floor=test.score, min_size=reader.min_size)
        boxes, scores, labels = found
        keep = suppress(*found, test.refine_nms if test.refine else test.nms)[: test.max_detections]
        kept = boxes[keep]
        if self._voting != "none":
            kept = vote_boxes(kept, labels[keep], *found, weighting=self._voting)
        return kept, scores[keep], labels[keep]

    def _fuse(self, views: Sequence[View]) -> View:
        test = self._test
        # On the host, where what is found is wanted: merging asks after one box after the other.
        views = [(boxes.cpu(), scores.cpu(), labels.cpu()) for boxes, scores, labels in views]
        return fuse(views, test.fusion or "nms", nms_iou=test.nms, max_detections=test.max_detections)


def check_classes(members: Sequence[Member]) -> None:
    """Raise ConfigError where the members do not detect the same classes in the same order."""
    first = members[0].model.class_names
    for place, member in enumerate(members[1:], start=2):
        names = member.model.class_names
        if names != first:
            apart = sorted(set(names) ^ set(first))
            what = f"{', '.join(apart[:8])} only one of them knows" if apart else "the same ones in another order"
            raise ConfigError(
                f"the detectors of an ensemble must know the same classes in the same order; number 1 has {len(first)} "
                f"and number {place} has {len(names)}: {what}. Merge the detections.json of each instead: "
                "detres eval_det --detections A --detections B"
            )


def _plan(members: Sequence[Member], test: TestConfig) -> tuple[tuple[ImageCopy, ...], list[list[_Part]]]:
    """The copies that a test asks for, each once, and for each reading the part of every member."""
    copies: dict[ImageCopy, int] = {}

    def place_of(member: Member, side: int | None = None, mirrored: bool = False) -> int:
        return copies.setdefault(_copy_for(member, side, mirrored), len(copies))

    readings = []
    if _reads_scales_together(test):
        bases = [place_of(member) for member in members]
        scales = [tuple(place_of(member, side) for side in test.scales) for member in members]
        readings = [
            [_Part(m.model, places or (base,), base) for m, places, base in zip(members, scales, bases, strict=True)]
        ]
    else:
        for side, mirrored in product(test.scales or (None,), (False, True) if test.flip else (False,)):
            places = [place_of(member, side, mirrored) for member in members]
            readings.append([_Part(m.model, (place,), place) for m, place in zip(members, places, strict=True)])
    return tuple(copies), readings


def _copy_for(member: Member, side: int | None, mirrored: bool) -> ImageCopy:
    """side: of the test's scales, whose longer sides are limited in proportion; None: as the member is fed."""
    feeding = member.feeding
    usual = feeding.shortest_side[-1]
    side = side or usual
    longest = max(round(feeding.longest_side * side / usual), 1)
    return ImageCopy(side, longest, feeding.rounding, mirrored, member.model.pad_to)
