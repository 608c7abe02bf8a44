"""The images of a split that is measured on: whatever is wrong with them is told, and none is left out unasked.

A figure over what is left of a set looks like a figure of the set. So an image that is missing or cannot be read is an
error unless data.strict=false was stated, and whatever is wrong goes into the metrics as well.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from detres.config.detection_schema import Config, DataConfig
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_split, nothing_to_measure
from detres.data.detection.named_splits import absent_names
from detres.data.places import SplitName
from detres.data.problems import UNREADABLE, Problem
from detres.errors import DataError
from detres.reporter import Reporter
from detres.tasks.runs.assembly import load_once
from detres.tasks.runs.evaluation_places import default_split
from detres.tasks.runs.told_problems import describe_lost, problem_lines


def split_to_measure(config: Config, stated: SplitName | None, reporter: Reporter) -> SplitName:
    """The split asked for, else test where there is one, else val; val, too, where test is named and not there."""
    split = stated or default_split(config)
    if stated or split != "test" or not (config.data.val or config.data.val_fraction):
        return split
    absent = absent_names(config.data, config.data.test)
    if absent:
        reporter.say(f"warning: data.test names {', '.join(absent)}, which is not there; val is taken instead")
    return "val" if absent else "test"


def load_measured(
    data: DataConfig, split: SplitName, reporter: Reporter, *, may_lack: bool = False, told: Collection[Problem] = ()
) -> AnnotatedImages:
    """The images of a split, what is wrong with them said once.

    may_lack: images that are missing are told as well and no error: nothing is measured, or the split was set apart of
    the training images, where one that is missing is in neither part. told: what has been said of them already.
    Raises DataError where an image is missing or cannot be read, and data.strict is not stated to be false, and where
    boxes are annotated and none of them can be used.
    """
    images = load_once(lambda: load_split(data, split))
    lost = [problem for problem in images.problems if problem.kind in UNREADABLE]
    if lost and data.strict is not False and not may_lack:
        raise DataError(describe_lost(images.name, lost))
    if (nothing := nothing_to_measure(images)) is not None:
        if not len(images.boxes):
            raise DataError(f"{images.name}: {nothing.detail}")
        images = replace(images, problems=(*images.problems, nothing))
    known = set(told)
    for line in problem_lines([p for p in images.problems if p not in known and p.kind != "set without annotations"]):
        reporter.say(line)
    return images
