"""A report as one line of text: `step 1200 lr 0.0200 loss 0.842 rpn_box 0.031 0.21 s/step eta 1:12:30`."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from detres.training.loop import StepReport


def report_line(report: StepReport, steps: int) -> str:
    """The line of a report that was read from the device; steps: the length of the run."""
    left = datetime.timedelta(seconds=round((steps - report.step) * report.seconds))
    return f"step {report.step} lr {report.lr:#.3g} {losses_text(report)} {report.seconds:.2f} s/step eta {left}"


def losses_text(report: StepReport) -> str:
    """The total, its parts without their prefix, and what was measured: `loss 0.842 rpn_box 0.031 top1_error 0.31`."""
    values = {**report.losses, **report.measurements}
    parts = {name.removeprefix("loss_"): value for name, value in values.items() if name != "loss"}
    return " ".join(f"{name} {value:#.3g}" for name, value in {"loss": values["loss"], **parts}.items())


def evaluation_line(step: int, metrics: Mapping[str, Any]) -> str:
    """`step 1200 AP 0.412 AP50 0.633`: the metrics that are one number; what is undefined is a dash."""
    numbers = {name: value for name, value in metrics.items() if value is None or _is_number(value)}
    return f"step {step} " + " ".join(f"{name} {_number(value)}" for name, value in numbers.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"
