"""Detect objects in images, folders, globs or videos.

  detres predict --weights runs/shapes_r18 photo.jpg folder/ 'more/*.png' clip.mp4
  detres predict --weights runs/mine folder/ data.shortest_side=1200 test.nms=0.4 test.flip=true

Writes predictions.jsonl (one line a picture: file, size as width and height, boxes, labels,
names, scores) and the pictures. key=value tests and feeds the detector otherwise, as in eval_det.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.parts.arguments import Once, add_device, split_overrides
from detres.commands.parts.telling import on_terminal
from detres.precision import PRECISIONS


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", metavar="W", action=Once, required=True, help="a run folder, a checkpoint or a file"
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="images, folders, globs or videos; and key=value")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/predictions"))
    parser.add_argument("--score", type=float, help="floor of what is kept and drawn (0.5, or test.score=)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="pictures computed at once (1)")
    parser.add_argument("--no-images", action="store_true", help="write predictions.jsonl alone")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    add_device(parser)


def run(arguments: argparse.Namespace) -> None:
    from detres.config.loading import leaves, read_override
    from detres.conversion.published import locate_detector
    from detres.errors import ConfigError
    from detres.prediction import Detector
    from detres.tasks.detection.predicting import find_inputs, predict_files

    overrides, given = split_overrides(arguments.inputs)
    if not given:
        raise ConfigError("no INPUT: name images, folders, globs or videos beside key=value")
    layers = [read_override(text) for text in overrides]
    score = arguments.score
    if score is None and not any(("test", "score") in leaves(layer.values) for layer in layers):
        score = 0.5
    if not (score is None or 0 <= score <= 1):
        raise ConfigError(f"--score is {score}, expected 0 to 1")
    if arguments.batch < 1:
        raise ConfigError(f"--batch is {arguments.batch}, expected 1 or more")
    inputs, absent = find_inputs(given)
    file = locate_detector(arguments.weights)
    print(f"weights: {file}")
    detector = Detector.from_layers(file, layers, device=arguments.device, score=score, precision=arguments.precision)
    done = predict_files(
        detector,
        inputs,
        arguments.out,
        batch=arguments.batch,
        draw=not arguments.no_images,
        min_score=detector.settings.test.score if score is None else score,
        reporter=on_terminal(),
        absent=absent,
    )
    print(f"{done.pictures} pictures, {done.detections} detections; {len(done.bad)} bad files; {arguments.out}")
