"""Detect objects in images, folders, globs or videos.

  detres predict --weights runs/shapes_r18 photo.jpg folder/ 'more/*.png' clip.mp4

Writes predictions.jsonl (one line a picture: file, size as width and height, boxes, labels,
names, scores) and the pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.arguments import Once, add_device


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", metavar="W", action=Once, required=True, help="a run folder, a checkpoint or a file"
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="images, folders, globs or videos")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/predictions"))
    parser.add_argument("--score", type=float, default=0.5, help="floor of what is kept and drawn (0.5)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="pictures computed at once (1)")
    parser.add_argument("--no-images", action="store_true", help="write predictions.jsonl alone")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    add_device(parser)


def run(arguments: argparse.Namespace) -> None:
    from detres.detection.published import locate_detector
    from detres.errors import ConfigError
    from detres.experiments.predicting import find_inputs, predict_files
    from detres.prediction import Detector

    if not 0 <= arguments.score <= 1 or arguments.batch < 1:
        raise ConfigError(f"--score is {arguments.score} (0 to 1), --batch is {arguments.batch} (1 or more)")
    inputs, absent = find_inputs(arguments.inputs)
    file = locate_detector(arguments.weights)
    print(f"weights: {file}")
    detector = Detector.from_checkpoint(
        file, device=arguments.device, score=arguments.score, precision=arguments.precision
    )
    done = predict_files(
        detector,
        inputs,
        arguments.out,
        batch=arguments.batch,
        draw=not arguments.no_images,
        min_score=arguments.score,
        say=lambda line: print(line, flush=True),
        absent=absent,
    )
    print(f"{done.pictures} pictures, {done.detections} detections; {len(done.bad)} bad files; {arguments.out}")
