"""Train a classifier. The finished run holds backbone.safetensors, which a detector takes as model.backbone.weights.

detres train_cls --cfg cifar10_resnet20
detres train_cls --cfg imagenet_r50 training.per_device_batch=64 data.root=/data/imagenet
detres train_cls --cfg imagenet_r18 --data photos/ --weights runs/imagenet_r18 --out runs/mine
"""

from __future__ import annotations

import argparse

from detres.commands.parts.training import configure_training, run_training


def configure(parser: argparse.ArgumentParser) -> None:
    configure_training(parser, weights="a classifier's weights")


def run(arguments: argparse.Namespace) -> int:
    return run_training(arguments, "classification")
