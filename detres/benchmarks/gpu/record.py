"""What a run has found so far, on the disk at any moment: a run that is killed leaves what it has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from detres.benchmarks.gpu.entries import Entry, Outcome
from detres.benchmarks.gpu.table import markdown, ratios
from detres.benchmarks.machine import Machine
from detres.files.whole import write_whole


class Record:
    """A JSON file, and beside it a table in Markdown with the same rows."""

    def __init__(self, file: Path, machine: Machine, command: str, remark: str = "") -> None:
        """command: as the run was begun. remark: of the whole run. Both are for the table's head as well."""
        self.file, self.outcomes = file, list[Outcome]()
        self._command, self._about, self._remark = command, _about(machine), remark
        self._rates = machine.rates
        self._write(None, whole=False)

    @property
    def table(self) -> Path:
        return self.file.with_suffix(".md")

    def begin(self, entry: Entry) -> None:
        """Name the row that is being measured: of a process that dies, it is the reason."""
        self._write(entry.name, whole=False)

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._write(None, whole=False)

    def finish(self) -> None:
        self._write(None, whole=True)

    def _write(self, measuring: str | None, *, whole: bool) -> None:
        against = ratios(self.outcomes)
        rows = [
            each.to_dict() | ({"ratio": against[each.name]} if each.name in against else {}) for each in self.outcomes
        ]
        content: dict[str, Any] = {
            "command": self._command,
            "remark": self._remark,
            **self._about,
            "limit_TFLOP_per_s": {name: rate / 1e12 for name, rate in self._rates.items()},
            "complete": whole,
            "measuring": measuring,
            "rows": rows,
        }
        write_whole(self.file, json.dumps(content, indent=1))
        write_whole(self.table, markdown(self.outcomes, self._head(whole)))

    def _head(self, whole: bool) -> Sequence[str]:
        versions = self._about["versions"]
        named = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "torchvision") if name in versions)
        rates = ", ".join(f"{name} {rate / 1e12:.4g} TFLOP/s" for name, rate in self._rates.items())
        return [
            f"`{self._command}`, {self._about['device']}, {named}, {self._about['date']}."
            + (f" {self._remark}" if self._remark else "")
            + ("" if whole else " The run did not come to its end."),
            f"Matrix products reach {rates}: the limit of which shares are told.",
        ]


def _about(machine: Machine) -> dict[str, Any]:
    about: dict[str, Any] = {"date": datetime.now(UTC).date().isoformat(), **machine.description()}
    if machine.device.type == "cuda":
        properties = torch.cuda.get_device_properties(machine.device)
        about["memory_GiB"] = properties.total_memory / 2**30
        about["cuda"] = torch.version.cuda
        about["cudnn"] = torch.backends.cudnn.version()
    return about
