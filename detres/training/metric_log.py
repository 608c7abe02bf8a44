"""What a run writes down of itself: metrics.jsonl, log.txt and TensorBoard's events, in its folder.

Losses and measurements keep the names the model gave them. A *line* is one JSON object with "kind" (train, eval or
event) and "step".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detres.errors import DataError
from detres.files.whole import write_whole
from detres.training.loop import StepReport
from detres.training.report_lines import evaluation_line, report_line


class MetricLog:
    """The files of one run, begun or gone on with; the main rank alone keeps one."""

    def __init__(self, run: Path, *, steps: int, step: int = 0, evaluated: int = 0) -> None:
        """steps: the length of the run. step, evaluated: the step gone on from, and the last one evaluated by then;
        what the files hold of later ones is cut off.
        """
        # Its import takes a second or more, and only a run needs it.
        from torch.utils.tensorboard import SummaryWriter

        run.mkdir(parents=True, exist_ok=True)
        self._steps = steps
        cut_back(run / "metrics.jsonl", step, evaluated)
        self._metrics = (run / "metrics.jsonl").open("a", encoding="utf-8")
        self._text = (run / "log.txt").open("a", encoding="utf-8")
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def report(self, report: StepReport) -> None:
        """A completed step; one whose report was not read from the device leaves no line."""
        if report.losses is None:
            return
        measured = {**report.losses, **report.measurements}
        numbers = {"lr": report.lr, **measured, "gradient_norm": report.gradient_norm}
        timing = {"seconds_per_step": round(report.seconds, 5), "waiting_for_data": round(report.waiting, 5)}
        self._line("train", report.step, numbers | timing)
        self._say(report_line(report, self._steps))
        self._plot("train", report.step, numbers | timing)

    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._line("eval", step, metrics)
        self._say(evaluation_line(step, metrics))
        self._plot("eval", step, metrics)

    def event(self, step: int, message: str) -> None:
        """Anything else worth keeping: a start, an interruption, another best."""
        self._line("event", step, {"message": message})
        self._say(f"step {step} {message}")

    def close(self) -> None:
        for file in (self._metrics, self._text, self._board):
            file.close()

    def _line(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        line = json.dumps({"kind": kind, "step": step, **_without_nan(values)}, allow_nan=False)
        self._metrics.write(line + "\n")
        self._metrics.flush()

    def _say(self, text: str) -> None:
        self._text.write(text + "\n")
        self._text.flush()

    def _plot(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, int | float) and math.isfinite(value):
                self._board.add_scalar(f"{kind}/{name}", value, step)
        self._board.flush()


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, in their order; one that is still being written, or was torn, is left out.

    Raises DataError where the run has no such file.
    """
    path, lines = run / "metrics.jsonl", []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give the folder of a run") from None
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in lines if isinstance(line, dict) and {"kind", "step"} <= line.keys()]


def cut_back(path: Path, step: int, evaluated: int) -> None:
    """Drop the lines of later steps, evaluations after `evaluated`, and a line that a crash tore; replaces the file."""
    if not path.exists():
        return
    kept = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            if line["step"] <= (evaluated if line["kind"] == "eval" else step):
                kept.append(text)
        except (ValueError, KeyError, TypeError):
            continue  # torn
    write_whole(path, "".join(line + "\n" for line in kept))


def _without_nan(value: Any) -> Any:
    """The value with null for numbers that JSON has not."""
    if isinstance(value, Mapping):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
