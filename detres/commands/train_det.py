"""Train a detector.

detres train_det --data photos
detres train_det --data photos --time 2h --weights runs/before
detres train_det --cfg shapes_r18
detres train_det --cfg coco_r101 training.batch=4 data.root=/data/coco
detres train_det --cfg bccd_r50_fpn --out runs/mine --resume
detres train_det --cfg shapes_r18_fpn model.backbone.weights=runs/shapes_cls_r18
"""

from __future__ import annotations

import argparse

from detres.commands.parts.arguments import Once
from detres.commands.parts.training import configure_training, run_training


def configure(parser: argparse.ArgumentParser) -> None:
    configure_training(parser, weights="a detector's weights")
    parser.add_argument("--time", metavar="2h", action=Once, help="of --data alone: how long the run may take")


def run(arguments: argparse.Namespace) -> int:
    return run_training(arguments, "detection")
