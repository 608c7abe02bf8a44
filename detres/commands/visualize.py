"""Draw ground truth beside predictions, or the ground truth of a set alone.

detres visualize --weights runs/shapes_r18
detres visualize --cfg shapes_r18 --split train
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.parts.arguments import Once, add_config, add_device, layers_of
from detres.commands.parts.telling import on_terminal


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="W", action=Once, help="a run folder, a checkpoint or a file")
    add_config(parser)
    parser.add_argument("--split", choices=("train", "val", "test"), help="test where the data have one, else val")
    parser.add_argument("--out", metavar="DIR", type=Path, help="RUN/pictures, or runs/pictures without weights")
    parser.add_argument("--limit", type=int, default=24, metavar="N", help="pictures drawn, spread over the set (24)")
    parser.add_argument("--score", type=float, default=0.5, help="floor of what is drawn (0.5)")
    add_device(parser)


def run(arguments: argparse.Namespace) -> None:
    from detres.tasks.detection.picturing import draw_set

    reporter = on_terminal()
    sheet, count = draw_set(
        weights=arguments.weights,
        cfg=arguments.cfg,
        layers=layers_of(arguments, "detection", reporter),
        overrides=arguments.overrides,
        split=arguments.split,
        out=arguments.out,
        limit=arguments.limit,
        score=arguments.score,
        device=arguments.device,
        reporter=reporter,
    )
    print(f"{count} pictures; sheet: {sheet}")
