"""Evaluate a classifier, or an ensemble of several: top-1 and top-5 error, and what is taken for what.

detres eval_cls --weights runs/cifar10_resnet20
detres eval_cls --weights runs/imagenet_r50 test.crops=10
detres eval_cls --weights torchvision/resnet50 --cfg imagenet_r50 test.crops=dense test.scales=[224,256,384,480,640]
detres eval_cls --weights runs/one --weights runs/two --split test --predictions predictions.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.parts.arguments import add_config, add_device, check_task, layers_of
from detres.commands.parts.telling import on_terminal


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        metavar="W",
        required=True,
        action="append",
        help="a run folder, a checkpoint, a file, or a tag such as torchvision/resnet50; several are an ensemble",
    )
    add_config(parser)
    parser.add_argument("--split", choices=("train", "val", "test"), help="test where the data have one, else val")
    parser.add_argument("--out", metavar="DIR", type=Path, help="RUN/eval/SET-SPLIT-CHECKPOINT where it is not given")
    parser.add_argument(
        "--predictions",
        metavar="FILE",
        type=Path,
        help="results by image, as the ImageNet server took them",
    )
    add_device(parser)


def run(arguments: argparse.Namespace) -> None:
    from detres.tasks.classification.evaluation import evaluate_classifier
    from detres.tasks.runs.evaluation_places import Asked
    from detres.tasks.runs.opened_model import open_models

    if arguments.cfg:
        check_task(arguments.cfg, "classification", "eval")
    reporter = on_terminal()
    asked = Asked(
        cfg=arguments.cfg,
        layers=layers_of(arguments, "classification", reporter),
        overrides=arguments.overrides,
        split=arguments.split,
        out=arguments.out,
        device=arguments.device,
        reporter=reporter,
    )
    models = open_models(arguments.weights, "classification")
    evaluate_classifier(models, asked, predictions=arguments.predictions)
