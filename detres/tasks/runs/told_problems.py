"""What is wrong with a set, for people and for metrics.json, whatever the task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from detres.data.problems import HARMLESS, UNREADABLE, Problem

_SHOWN = 20


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
        f"warning: {count} × {kind}, such as {example.shown} (check_data lists them all)"
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
