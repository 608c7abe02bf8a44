"""Evaluate a detector: mAP@0.5 first, then COCO's metrics. Or a localizer: the error on the true class, and top-5.

detres eval_det --weights runs/shapes_r18
detres eval_det --weights runs/mine --data my.yaml --split test
detres eval_det --weights runs/a --weights runs/b test.refine=1 test.scales=[400,600,800]
detres eval_det --weights runs/imagenet_loc_r101 test.classifier=runs/imagenet_r101
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.arguments import add_config, add_device, check_task, layers_of
from detres.commands.telling import progress_on_terminal, say


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        metavar="W",
        action="append",
        required=True,
        help="a run folder, a checkpoint or a file; given several times, an ensemble",
    )
    add_config(parser)
    parser.add_argument("--split", choices=("train", "val", "test"), help="test where the data have one, else val")
    parser.add_argument("--out", metavar="DIR", type=Path, help="RUN/eval/SET-SPLIT-CHECKPOINT where it is not given")
    add_device(parser)


def run(arguments: argparse.Namespace) -> None:
    from detres.errors import ConfigError
    from detres.experiments.evaluation import task_of_weights
    from detres.experiments.evaluation_run import evaluate
    from detres.experiments.localization_evaluation_run import evaluate_localizer

    task = "localization" if task_of_weights(arguments.weights[0]) == "localization" else "detection"
    if arguments.cfg and (stated := check_task(arguments.cfg, task, "eval")) != task:
        raise ConfigError(f"--cfg {arguments.cfg}: a {stated} config, and {arguments.weights[0]} is of {task}")
    measure = evaluate_localizer if task == "localization" else evaluate
    measure(
        arguments.weights,
        cfg=arguments.cfg,
        layers=layers_of(arguments, task),
        overrides=arguments.overrides,
        split=arguments.split,
        out=arguments.out,
        device=arguments.device,
        say=say,
        progress=progress_on_terminal(),
    )
