"""Drawn frames as an mp4 that is there whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.errors import DataError
from detres.files.whole import whole_path

_USUAL_RATE = 25.0


class DrawnVideo:
    """Frames are added one by one; `drawn_video` makes it."""

    def __init__(self, path: Path, name: Path, rate: float) -> None:
        self._path, self._name, self._rate = path, name, rate or _USUAL_RATE
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """uint8 RGB (H, W, 3), of one size. Raises DataError where this OpenCV writes no such video."""
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), code, self._rate, rgb.shape[1::-1])
            if not self._writer.isOpened():
                raise DataError(f"{self._name}: OpenCV cannot write it; --no-images leaves it out")
        self._writer.write(np.ascontiguousarray(rgb[..., ::-1]))
        self._frames += 1

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()

    def check(self) -> None:
        """Raises OSError where not all frames can be read back: OpenCV says nothing of a disk that refuses."""
        written = cv2.VideoCapture(str(self._path))
        frames = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if frames < self._frames:
            raise OSError(errno.ENOSPC, f"{frames} of {self._frames} frames were written: the disk is full, or fails")


@contextmanager
def drawn_video(path: Path, rate: float) -> Iterator[DrawnVideo]:
    """A video under a passing name, which gets its own once all frames are there. rate: frames a second, 0: unknown.

    Nothing stands at `path` where no frame was added. Raises UserError where the disk refuses.
    """
    with whole_path(path) as partial:
        video = DrawnVideo(partial, path, rate)
        try:
            yield video
        finally:
            video.close()
        video.check()
