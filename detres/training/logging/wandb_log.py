"""Weights & Biases, for `training.logs: [json, wandb]`; `pip install 'detres[wandb]'`.

Project, entity, mode and the like are set by W&B's own variables, such as WANDB_PROJECT and WANDB_MODE=offline.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.files.whole import write_whole
from detres.optional_package import optional_package
from detres.training.logging.logger import Kind, RunStart, finite_numbers


class WandbLog:
    """Numbers as KIND/NAME over the step, and pictures. A run that goes on goes on there, too."""

    def __init__(self) -> None:
        self._wandb = optional_package("wandb", where="training.logs: wandb", otherwise="leave wandb out")

    def start(self, run: RunStart) -> None:
        id_file = run.folder / "wandb_id.txt"
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "detres"),
            name=run.folder.resolve().name,
            id=_kept_id(id_file, run),
            resume="allow",
            dir=str(run.folder),
            config=dict(run.config),
            allow_val_change=True,  # Of a run that goes on, some keys may change.
            settings=self._wandb.Settings(console="off"),  # It would write over the bar; log.txt has what is said.
        )
        # Its own count only grows: what a run that goes on does again would be dropped.
        self._run.define_metric("*", step_metric="step")
        write_whole(id_file, f"{self._run.id}\n")

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        if kind != "event":
            numbers = {f"{kind}/{name}": number for name, number in finite_numbers(values).items()}
            self._run.log({"step": step, **numbers})

    def picture(self, name: str, step: int, rgb: NDArray[np.uint8]) -> None:
        self._run.log({"step": step, name: self._wandb.Image(rgb)})

    def finish(self) -> None:
        self._run.finish()


def _kept_id(id_file: Path, run: RunStart) -> str | None:
    """Of the run that is gone on with; None for one of its own choice."""
    return id_file.read_text(encoding="utf-8").strip() if run.step and id_file.is_file() else None
