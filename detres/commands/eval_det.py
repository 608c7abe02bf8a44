"""Evaluate a detector: mAP@0.5 first, then COCO's metrics. Or a localizer: the error on the true class, and top-5.

detres eval_det --weights runs/shapes_r18
detres eval_det --weights runs/mine --data my.yaml --split test --report
detres eval_det --weights runs/a --weights runs/b test.refine=1 test.scales=[400,600,800]
detres eval_det --detections one.json --detections other.json --data my.yaml test.fusion=wbf
detres eval_det --weights runs/imagenet_loc_r101 test.classifier=runs/imagenet_r101
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.parts.arguments import Task, add_config, add_device, check_task, layers_of
from detres.commands.parts.telling import on_terminal


def configure(parser: argparse.ArgumentParser) -> None:
    evaluated = parser.add_mutually_exclusive_group(required=True)
    evaluated.add_argument(
        "--weights",
        metavar="W",
        action="append",
        help="a run folder, a checkpoint or a file; given several times, an ensemble",
    )
    evaluated.add_argument(
        "--detections",
        metavar="FILE",
        action="append",
        help="what some detector found, in COCO's results format; given several times, merged by test.fusion",
    )
    add_config(parser)
    parser.add_argument("--split", choices=("train", "val", "test"), help="test where the data have one, else val")
    parser.add_argument("--out", metavar="DIR", type=Path, help="RUN/eval/SET-SPLIT-CHECKPOINT where it is not given")
    parser.add_argument("--report", action="store_true", help="report.html: what the errors are, and where")
    add_device(parser)


def run(arguments: argparse.Namespace) -> None:
    from detres.errors import ConfigError
    from detres.tasks.detection.evaluation import evaluate_detector
    from detres.tasks.detection.late_fusion import evaluate_files
    from detres.tasks.localization.evaluation import evaluate_localizer
    from detres.tasks.runs.evaluation_places import Asked
    from detres.tasks.runs.opened_model import open_models, task_of_weights

    given = (arguments.weights or arguments.detections)[0]
    localizes = bool(arguments.weights) and task_of_weights(given) == "localization"
    task: Task = "localization" if localizes else "detection"
    if arguments.cfg and (stated := check_task(arguments.cfg, task, "eval")) != task:
        raise ConfigError(f"--cfg {arguments.cfg}: a {stated} config, and {given} is of {task}")
    if localizes and arguments.report:
        raise ConfigError(f"--report shows the errors of detections, and {given} is of localization")
    reporter = on_terminal()
    asked = Asked(
        cfg=arguments.cfg,
        layers=layers_of(arguments, task, reporter),
        overrides=arguments.overrides,
        split=arguments.split,
        out=arguments.out,
        device=arguments.device,
        reporter=reporter,
    )
    if arguments.detections:
        evaluate_files(arguments.detections, asked, report=arguments.report)
    elif localizes:
        evaluate_localizer(open_models(arguments.weights, task), asked)
    else:
        evaluate_detector(open_models(arguments.weights, task), asked, report=arguments.report)
