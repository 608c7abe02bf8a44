"""What is told as one line of text: `step 1200 lr 0.0200 loss 0.842 rpn_box 0.031 0.21 s/step eta 1:12:30`."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from detres.training.logging.logger import Kind
from detres.training.loop import StepReport

_OF_THE_STEP = ("lr", "gradient_norm", "seconds_per_step", "waiting_for_data")


def values_of(report: StepReport) -> dict[str, Any]:
    """What loggers get of a report that was read from the device."""
    losses, measurements, seconds, waiting = report.losses, report.measurements, report.seconds, report.waiting
    if losses is None or measurements is None or seconds is None or waiting is None:
        raise ValueError(f"the report of step {report.step} was not read from the device")
    measured = {**losses, **measurements}
    numbers = {"lr": report.lr, **measured, "gradient_norm": report.gradient_norm}
    return numbers | {"seconds_per_step": round(seconds, 5), "waiting_for_data": round(waiting, 5)}


def line_of(kind: Kind, step: int, values: Mapping[str, Any], steps: int) -> str:
    """The line of what loggers get; steps: the length of the run."""
    if kind == "event":
        return f"step {step} {values['message']}"
    return _train_line(step, values, steps) if kind == "train" else _evaluation_line(step, values)


def losses_text(values: Mapping[str, Any]) -> str:
    """The total, its parts without their prefix, and what was measured: `loss 0.842 rpn_box 0.031 top1_error 0.31`."""
    return " ".join([f"loss {values['loss']:#.3g}", *loss_parts(values)])


def loss_parts(values: Mapping[str, Any]) -> list[str]:
    """Each loss but the total, and each measurement: `rpn_box 0.031`, `top1_error 0.31`."""
    return [
        f"{name.removeprefix('loss_')} {value:#.3g}"
        for name, value in values.items()
        if name != "loss" and name not in _OF_THE_STEP
    ]


def _train_line(step: int, values: Mapping[str, Any], steps: int) -> str:
    seconds = values["seconds_per_step"]
    left = datetime.timedelta(seconds=round((steps - step) * seconds))
    return f"step {step} lr {values['lr']:#.3g} {losses_text(values)} {seconds:.2f} s/step eta {left}"


def _evaluation_line(step: int, metrics: Mapping[str, Any]) -> str:
    """`step 1200 AP 0.412 AP50 0.633`: the metrics that are one number; what is undefined is a dash."""
    numbers = {name: value for name, value in metrics.items() if value is None or _is_number(value)}
    return f"step {step} " + " ".join(f"{name} {_number(value)}" for name, value in numbers.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"
