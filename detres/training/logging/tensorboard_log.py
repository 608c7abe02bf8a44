"""TensorBoard's events, in the run's folder tensorboard/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.training.logging.event_file import EventFile
from detres.training.logging.logger import Kind, RunStart, finite_numbers
from detres.training.logging.waiting_file import WaitingFile


class TensorBoardLog:
    """Numbers as KIND/NAME, and pictures."""

    def start(self, run: RunStart) -> None:
        self._events = EventFile(run.folder / "tensorboard", run.step)

    @property
    def waiting_file(self) -> WaitingFile:
        return self._events.file

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        self._events.write({f"{kind}/{name}": number for name, number in finite_numbers(values).items()}, step)

    def picture(self, name: str, step: int, rgb: NDArray[np.uint8]) -> None:
        self._events.write_picture(name, rgb, step)

    def finish(self) -> None:
        self._events.close()
