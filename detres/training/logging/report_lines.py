"""What is told as one line of text: `step 1200 lr 0.0200 loss 0.842 rpn_box 0.031 0.21 s/step 76 images/s 5.2 GiB eta
1:12:30`.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from detres.peak_memory import on_gpu, peak_memory
from detres.training.logging.logger import Kind
from detres.training.loop import StepReport

SPEED = ("seconds_per_step", "waiting_for_data", "images_per_second", "peak_memory_gib")
_OF_THE_STEP = ("lr", "gradient_norm", *SPEED)


def values_of(report: StepReport) -> dict[str, Any]:
    """What loggers get of a report that was read from the device."""
    if report.losses is None or report.measurements is None:
        raise ValueError(f"the report of step {report.step} was not read from the device")
    measured = {**report.losses, **report.measurements}
    speed = (report.seconds, report.waiting, report.images_per_second, peak_memory())
    told = {name: round(value, 5) for name, value in zip(SPEED, speed, strict=True) if value is not None}
    return {"lr": report.lr, **measured, "gradient_norm": report.gradient_norm, **told}


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


def speed_parts(values: Mapping[str, Any]) -> list[str]:
    """How fast it goes, and how much memory this process took at most: `0.21 s/step`, `76 images/s`, `5.2 GiB`."""
    parts = [f"{values['seconds_per_step']:.2f} s/step"]
    if rate := values.get("images_per_second"):
        parts.append(f"{rate:.3g} images/s")
    if held := values.get("peak_memory_gib"):
        parts.append(f"{held:.1f} GiB{' of GPU' if on_gpu() else ''}")
    return parts


def _train_line(step: int, values: Mapping[str, Any], steps: int) -> str:
    seconds = values["seconds_per_step"]
    left = datetime.timedelta(seconds=round((steps - step) * seconds))
    return f"step {step} lr {values['lr']:#.3g} {losses_text(values)} {' '.join(speed_parts(values))} eta {left}"


def _evaluation_line(step: int, metrics: Mapping[str, Any]) -> str:
    """`step 1200 AP 0.412 AP50 0.633`: the metrics that are one number; what is undefined is a dash."""
    numbers = {name: value for name, value in metrics.items() if value is None or _is_number(value)}
    return f"step {step} " + " ".join(f"{name} {_number(value)}" for name, value in numbers.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"
