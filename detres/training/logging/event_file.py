"""TensorBoard's events, written without its thread, which would end in a traceback where the disk is full."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.training.logging.waiting_file import WaitingFile


class EventFile:
    """The numbers of one run from a step on; what earlier files say of later steps counts no more."""

    def __init__(self, folder: Path, step: int) -> None:
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self.file = WaitingFile(folder / name)
        self._add(wall_time=now, file_version="brain.Event:2")
        if step:
            # SessionLog.START, which tells readers to drop what they have from this step on.
            self._add(wall_time=now, step=step + 1, session_log={"status": 1})

    def write(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            summary = {"value": [{"tag": name, "simple_value": value}]}
            self._add(wall_time=time.time(), step=step, summary=summary)

    def write_picture(self, name: str, rgb: NDArray[np.uint8], step: int) -> None:
        """rgb: (H, W, 3)."""
        png = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
        image = {"height": rgb.shape[0], "width": rgb.shape[1], "colorspace": 3, "encoded_image_string": png}
        self._add(wall_time=time.time(), step=step, summary={"value": [{"tag": name, "image": image}]})

    def close(self) -> None:
        self.file.close()

    def _add(self, **event: Any) -> None:
        # Their imports take a while, and only a run needs them.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        RecordWriter(record).write(Event(**event).SerializeToString())
        self.file.write(record.getvalue())
