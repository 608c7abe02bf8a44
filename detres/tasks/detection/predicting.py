"""Detections of files on a disk, images and videos alike, as a JSON line and a picture each."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.data.images.files import find_images
from detres.data.images.reading import read_image
from detres.errors import DataError
from detres.files.places import local_place
from detres.files.whole import whole_file
from detres.prediction import Detector, NamedDetections
from detres.report.fonts import illegible
from detres.reporter import Reporter
from detres.tasks.detection.drawn_video import DrawnVideo, drawn_video
from detres.tasks.runs.output_folders import make_folder, renamed_lines, unique_names

VIDEO_ENDINGS = frozenset(
    (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".mts", ".flv", ".3gp", ".gif")
)
_LONGEST_JPEG = 65_500


@dataclass(frozen=True)
class Input:
    """One file. name: what its outputs are called, unique among all inputs."""

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_ENDINGS


@dataclass
class Done:
    """What was done: pictures (frames of videos count), detections, and inputs that could not be found or read."""

    pictures: int
    detections: int
    bad: list[Path]


def find_inputs(given: Sequence[str]) -> tuple[list[Input], list[Path]]:
    """Files, folders (their images, at any depth) and globs; and those among them for which there is nothing.

    Raises DataError where there is nothing for any.
    """
    paths: list[Path] = []
    absent: list[Path] = []
    for text in given:
        path = local_place(text, text)
        if path.is_dir():
            found = find_images(path)
        elif path.is_file():
            found = [path]
        else:
            found = [Path(match) for match in sorted(glob.glob(str(path), recursive=True)) if Path(match).is_file()]
        paths += found
        absent += [] if found else [path]
    if not paths:
        raise DataError("\n".join(map(_describe_absent, absent)))
    return [Input(path, name) for path, name in zip(paths, unique_names(paths), strict=True)], absent


def predict_files(
    detector: Detector,
    inputs: Sequence[Input],
    out: Path,
    *,
    batch: int,
    draw: bool,
    min_score: float,
    reporter: Reporter,
    absent: Sequence[Path] = (),
) -> Done:
    """Write out/predictions.jsonl, and pictures where `draw` is set. A file that cannot be read is said and counted.

    absent: what was asked for and is not there, said and counted as well.
    Raises DataError where no input could be read.
    """
    make_folder(out)
    done = Done(0, 0, list(absent))
    for path in absent:
        reporter.say(f"left out: {_describe_absent(path)}")
    with whole_file(out / "predictions.jsonl") as lines:
        for line in renamed_lines([item.path for item in inputs], [item.name for item in inputs]):
            reporter.say(line)
        if draw and (told := illegible(detector.class_names)):
            reporter.say(told)
        images = [item for item in inputs if not item.is_video]
        pictures = _read_images(images, detector, done, reporter)
        while chunk := list(islice(pictures, batch)):
            for (item, rgb), found in zip(
                chunk, detector.predict_many((r for _, r in chunk), batch=batch), strict=True
            ):
                _write_line(lines, found, done, file=str(item.path))
                if draw:
                    write_picture(out / f"{item.name}.jpg", found.draw(rgb, min_score=min_score))
        for item in inputs:
            if item.is_video:
                _predict_video(detector, item, out if draw else None, lines, done, min_score, batch, reporter)
    if not done.pictures:
        raise DataError(f"none of {len(inputs)} inputs is an image or a video that can be read; see the lines above")
    return done


def _describe_absent(path: Path) -> str:
    return f"{path}: no such file, no images in such a folder, and nothing matches it as a pattern"


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    """PNG or JPEG by the path's ending, whole or not at all; UserError where the disk refuses.

    A JPEG has, by its library, no more than 65,500 pixels a side: a longer picture is written at the scale that fits.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else []
    if path.suffix == ".jpg" and max(rgb.shape) > _LONGEST_JPEG:
        scale = _LONGEST_JPEG / max(rgb.shape)
        height, width = (max(1, int(side * scale)) for side in rgb.shape[:2])
        rgb = cast("NDArray[np.uint8]", cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))
    written, data = cv2.imencode(path.suffix, np.ascontiguousarray(rgb[..., ::-1]), options)
    assert written
    with whole_file(path, durable=False) as stream:
        stream.write(data.tobytes())


def _read_images(
    items: Sequence[Input], detector: Detector, done: Done, reporter: Reporter
) -> Iterator[tuple[Input, NDArray[np.uint8]]]:
    for item in items:
        try:
            yield item, read_image(item.path, exif=detector.exif, max_pixels=detector.max_pixels)
        except DataError as error:
            done.bad.append(item.path)
            reporter.say(f"left out: {error}")


def _write_line(lines: BinaryIO, found: NamedDetections, done: Done, **where: str | int) -> None:
    height, width = found.image_size
    lines.write(json.dumps({**where, "size": [width, height], **found.to_dict()}).encode() + b"\n")
    done.pictures += 1
    done.detections += len(found)


def _predict_video(
    detector: Detector,
    item: Input,
    out: Path | None,
    lines: BinaryIO,
    done: Done,
    min_score: float,
    batch: int,
    reporter: Reporter,
) -> None:
    """One line a frame; the drawn frames as an mp4."""
    video = cv2.VideoCapture(str(item.path))
    frames = _frames(video)
    number = 0
    with ExitStack() as stack:
        stack.callback(video.release)
        writer: DrawnVideo | None = None
        while chunk := list(islice(frames, batch)):
            for rgb, found in zip(chunk, detector.predict_many(chunk, batch=batch), strict=True):
                _write_line(lines, found, done, file=str(item.path), frame=number)
                number += 1
                if out is not None:
                    rate = video.get(cv2.CAP_PROP_FPS)
                    writer = writer or stack.enter_context(drawn_video(out / f"{item.name}.mp4", rate))
                    writer.add(found.draw(rgb, min_score=min_score))
    if number == 0:
        done.bad.append(item.path)
        reporter.say(f"left out: {item.path}: no frame of it can be read as a video")


def _frames(video: cv2.VideoCapture) -> Iterator[NDArray[np.uint8]]:
    while True:
        there, bgr = video.read()
        if not there:
            return
        yield np.ascontiguousarray(bgr[..., ::-1])
