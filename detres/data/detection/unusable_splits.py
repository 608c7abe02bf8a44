"""Splits that a config names and of which nothing can be used: they are told beside the reports of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detres.errors import DataError


@dataclass(frozen=True)
class UnusableSplit:
    """A split of which nothing can be used, such as one that is not there, and why."""

    split: str
    reason: str


def refuse_useless(reports: Sequence[Any]) -> None:
    """Raises DataError where every report is of an unusable split, or there is none."""
    if not reports:
        raise DataError("the config names no split to check; set data.train, data.val or data.test")
    reasons = [report.reason for report in reports if isinstance(report, UnusableSplit)]
    if len(reasons) == len(reports):
        raise DataError("\n".join(dict.fromkeys(reasons)))
