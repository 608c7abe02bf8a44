"""A table or figure of the paper beside ours: what it needs is trained or gone on with, measured and written.

detres reproduce table1
detres reproduce degradation data.root=/data/cifar10
detres reproduce figure6 --only ResNet-20 --only plain-20 training.steps=12000 schedule.milestones=[6000,9000]
detres reproduce table6 --seeds 5
detres reproduce table3 --no-training       measure what is finished, train nothing
detres reproduce table4 --smoke             every row for a few steps on drawn shapes
detres reproduce table9 --cfg bccd_r50_fpn  the same rows of another detector, on its own set

Runs lie in OUT/CONFIG/seedN and serve every table; interrupted ones go on. OUT/TABLE.md and .json are written
after every row, OUT/TABLE.png at the end.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from detres.commands.parts.arguments import add_device, layers_of
from detres.commands.parts.telling import on_terminal


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", metavar="TABLE", help="table1 to table11, table13, figure6, figure7 or degradation")
    parser.add_argument("--cfg", metavar="NAME", help="table9: of this detector and of NAME_context")
    parser.add_argument("--smoke", action="store_true", help="try every row for a few steps; no figure means anything")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where runs and tables lie (runs/reproduction)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each net (1)")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="this row, by its name or config")
    parser.add_argument("--no-training", action="store_true", help="measure what is finished, train nothing")
    parser.add_argument("--data", metavar="FILE", help="where the data are: a yaml, or a folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of every recipe, such as data.root=DIR")
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    from detres.config.loading import task_of
    from detres.errors import ConfigError
    from detres.reproduction.reproducing import reproduce, table_named
    from detres.training.interrupts import Interrupted

    if arguments.seeds < 1:
        raise ConfigError(f"--seeds is {arguments.seeds}; it takes at least 1")
    rows = table_named(arguments.table, arguments.cfg).rows
    task = next(task_of(row.configs[0]) for row in rows if row.configs)
    try:
        reproduce(
            arguments.table,
            cfg=arguments.cfg,
            out=arguments.out,
            seeds=arguments.seeds,
            smoke=arguments.smoke,
            only=arguments.only,
            train=not arguments.no_training,
            layers=layers_of(arguments, task, on_terminal()),
            overrides=arguments.overrides,
            device=arguments.device,
            reporter=replace(on_terminal(), terminal=None) if arguments.smoke else on_terminal(),
        )
    except Interrupted as error:
        print(error, file=sys.stderr)
        return 130
    return 0
