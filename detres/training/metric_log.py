"""What a run writes down of itself: metrics.jsonl, log.txt and TensorBoard's events, in its folder.

Losses and measurements keep the names the model gave them. A *line* is one JSON object with "kind" (train, eval or
event) and "step". A disk that refuses (full, gone, read-only) is told once and ends no run: what is to be written waits
for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detres.errors import DataError, tell
from detres.files.whole import write_whole
from detres.training.event_file import EventFile
from detres.training.loop import StepReport
from detres.training.report_lines import evaluation_line, report_line
from detres.training.waiting_file import WaitingFile


class MetricLog:
    """The files of one run, begun or gone on with; the main rank alone keeps one."""

    def __init__(self, run: Path, *, steps: int, step: int = 0, evaluated: int = 0) -> None:
        """steps: the length of the run. step, evaluated: the step gone on from, and the last one evaluated by then;
        what the files hold of later ones is cut off.
        """
        run.mkdir(parents=True, exist_ok=True)
        self._steps, self._told = steps, False
        cut_back(run / "metrics.jsonl", step, evaluated)
        self._metrics, self._text = WaitingFile(run / "metrics.jsonl"), WaitingFile(run / "log.txt")
        self._board = EventFile(run / "tensorboard", step)

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
        self._tell_once()

    def _line(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        line = json.dumps({"kind": kind, "step": step, **_without_nan(values)}, allow_nan=False)
        self._metrics.write_line(line)
        self._tell_once()

    def _say(self, text: str) -> None:
        self._text.write_line(text)
        self._tell_once()

    def _plot(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        finite = {
            f"{kind}/{name}": value
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        self._board.write(finite, step)
        self._tell_once()

    def _tell_once(self) -> None:
        """Of all files of the folder: what ails one of them ails the others, too."""
        ailing = next((file for file in (self._metrics, self._text, self._board) if file.error is not None), None)
        if ailing is not None and not self._told:
            self._told = True
            tell(
                f"{ailing.path}: cannot be written: {ailing.error.strerror}; the run goes on, and what it has to say "
                "waits until there is room"
            )


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


def what_is_lost(run: Path, step: int, log_every: int | None) -> str | None:
    """What a checkpoint's step says that a run's metrics.jsonl must once have held, in words; None: nothing is missing.

    log_every: of the run; a last line may be so many steps before the checkpoint, less one. None: not known.
    Raises DataError where the file cannot be read, though it is there.
    """
    path = run / "metrics.jsonl"
    lines = read_metrics(run) if path.exists() else []
    logged = max((line["step"] for line in lines if isinstance(line["step"], int)), default=None)
    if not step or (logged is not None and (log_every is None or step - logged < log_every)):
        return None
    if logged is None:
        what = "it holds no line" if path.exists() else "it is missing"
        return f"{path}: {what}, and step {step} was reached: what was logged up to step {step} is lost"
    return (
        f"{path}: its last line is of step {logged}, and step {step} was reached: what was logged from there up to "
        f"step {step} is lost"
    )


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
