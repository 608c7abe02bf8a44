"""Say what is wrong with a data set, and what is in it.

detres check_data --cfg coco_r50 data.root=/data/coco
detres check_data --data my.yaml --fix cleaned/
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.arguments import add_config, layers_of


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--fix", metavar="DIR", type=Path, help="write annotations without the bad ones to this folder")


def run(arguments: argparse.Namespace) -> None:
    from detres.config.loading import load_config, read_override, resolve
    from detres.data.checking import check
    from detres.errors import ConfigError
    from detres.experiments.assembly import anchor_shapes

    layers = layers_of(arguments)
    if arguments.cfg:
        config = load_config(arguments.cfg, arguments.overrides, layers=layers)
    elif layers:
        config = resolve([*layers, *(read_override(text) for text in arguments.overrides)])
    else:
        raise ConfigError("name a set with --cfg or --data")
    for report in check(config.data, anchors=anchor_shapes(config.model), fix=arguments.fix):
        for line in report.lines():
            print(line)
    if arguments.fix:
        print(f"cleaned annotations: {arguments.fix}; use them with --data {arguments.fix / 'data.yaml'}")
