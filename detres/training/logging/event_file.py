"""TensorBoard's events, written without its thread, which would end in a traceback where the disk is full."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.training.logging.event_records import picture_event, record, scalar_event, start_event, version_event
from detres.training.logging.waiting_file import WaitingFile


class EventFile:
    """The numbers of one run from a step on; what earlier files say of later steps counts no more."""

    def __init__(self, folder: Path, step: int) -> None:
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self.file = WaitingFile(folder / name)
        self._add(version_event(now))
        if step:
            self._add(start_event(now, step + 1))

    def write(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._add(scalar_event(time.time(), step, name, value))

    def write_picture(self, name: str, rgb: NDArray[np.uint8], step: int) -> None:
        """rgb: (H, W, 3)."""
        png = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
        self._add(picture_event(time.time(), step, name, png, rgb.shape[0], rgb.shape[1]))

    def close(self) -> None:
        self.file.close()

    def _add(self, event: bytes) -> None:
        self.file.write(record(event))
