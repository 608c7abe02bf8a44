"""The images of a split that is measured on: whatever is wrong with them is told, and none is left out unasked.

A figure over what is left of a set looks like a figure of the set. So an image that is missing or cannot be read is an
error unless data.strict=false was stated, and whatever is wrong goes into the metrics as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from detres.config.schema import Config, DataConfig
from detres.data.annotations import HARMLESS, UNREADABLE, AnnotatedImages, Problem
from detres.data.datasets import SplitName, load_split
from detres.data.named_splits import absent_names
from detres.errors import DataError
from detres.experiments.assembly import load_once
from detres.experiments.evaluation_places import default_split
from detres.experiments.parts import Say

_SHOWN = 20


def split_to_measure(config: Config, stated: SplitName | None, say: Say) -> SplitName:
    """The split asked for, else test where there is one, else val; val, too, where test is named and not there."""
    split = stated or default_split(config)
    if stated or split != "test" or not (config.data.val or config.data.val_fraction):
        return split
    absent = absent_names(config.data, config.data.test)
    if absent:
        say(f"warning: data.test names {', '.join(absent)}, which is not there; val is taken instead")
    return "val" if absent else "test"


def load_measured(
    data: DataConfig, split: SplitName, say: Say, *, may_lack: bool = False, told: Collection[Problem] = ()
) -> AnnotatedImages:
    """The images of a split, what is wrong with them said once.

    may_lack: images that are missing are told as well and no error: nothing is measured, or the split was set apart of
    the training images, where one that is missing is in neither part. told: what has been said of them already.
    Raises DataError where an image is missing or cannot be read, and data.strict is not stated to be false.
    """
    images = load_once(lambda: load_split(data, split))
    lost = [problem for problem in images.problems if problem.kind in UNREADABLE]
    if lost and data.strict is not False and not may_lack:
        raise DataError(describe_lost(images.name, lost))
    known = set(told)
    for line in problem_lines([p for p in images.problems if p not in known and p.kind != "set without annotations"]):
        say(line)
    return images


def describe_lost(name: str, lost: Collection[Problem]) -> str:
    """What to say where images of a split that is measured on cannot be looked at."""
    told = [str(problem).removesuffix("; left out") for problem in list(lost)[:_SHOWN]]
    listed = "".join(f"\n  {line}" for line in told)
    more = f"\n  and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    return (
        f"{name}: {len(lost)} of its images are missing or cannot be read, and a figure over the others would look "
        f"like one of all. Bring them back, or leave them out with data.strict=false:{listed}{more}"
    )


def problem_lines(problems: Collection[Problem]) -> list[str]:
    """A warning for each kind of problem: how many there are, and one of them."""
    return [
        f"warning: {count} × {kind}, such as {example.file}: {example.detail} (check_data lists them all)"
        for kind, count in _counts(problems).items()
        for example in [next(problem for problem in problems if problem.kind == kind)]
    ]


def problem_metrics(problems: Collection[Problem]) -> dict[str, Any]:
    """What metrics.json says of a set that was measured on: problems by kind, and how many images are left out."""
    wrong = [problem for problem in problems if problem.kind not in HARMLESS]
    lost = sum(problem.costs_image or problem.kind in UNREADABLE for problem in wrong)
    return {"problems": _counts(wrong), "images_left_out": lost}


def _counts(problems: Collection[Problem]) -> dict[str, int]:
    return dict(Counter(problem.kind for problem in problems).most_common())
