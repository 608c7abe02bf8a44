"""metrics.jsonl: what a run writes down of itself, in its folder, and what can be read from it later.

Losses and measurements keep the names the model gave them. A *line* is one JSON object with "kind" (train, eval or
event) and "step". A disk that refuses (full, gone, read-only) ends no run: what is to be written waits for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detres.errors import DataError
from detres.files.whole import write_whole
from detres.training.logging.logger import Kind, RunStart
from detres.training.logging.waiting_file import WaitingFile


class MetricLog:
    """A line for everything that is told. What lies ahead of where a run goes on is cut off before (see logs.py)."""

    def start(self, run: RunStart) -> None:
        self.waiting_file = WaitingFile(run.folder / "metrics.jsonl")

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        line = json.dumps({"kind": kind, "step": step, **_without_nan(values)}, allow_nan=False)
        self.waiting_file.write_line(line)

    def finish(self) -> None:
        self.waiting_file.close()


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


def cut_back(run: RunStart) -> None:
    """Drop the lines of what a run does again, and a line that a crash tore; replaces the file.

    Raises UserError where the disk refuses.
    """
    path = run.folder / "metrics.jsonl"
    if not path.exists():
        return
    kept = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            if run.keeps(line["kind"], line["step"]):
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
