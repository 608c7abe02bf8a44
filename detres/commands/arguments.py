"""Options that several commands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detres.config.loading import Layer


def add_config(parser: argparse.ArgumentParser) -> None:
    """--cfg, --data and key=value."""
    parser.add_argument("--cfg", metavar="NAME", help="a config's name below configs/, or a path")
    parser.add_argument("--data", metavar="FILE", help="your own data: a yaml, a data.yaml, or a folder of an export")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as optimizer.lr=0.02")


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1; the accelerator where there is one")


def layers_of(arguments: argparse.Namespace) -> list[Layer]:
    """What --data says, to be laid over the config's file."""
    from detres.config.loading import Layer
    from detres.data.data_file import load_data_file

    if not arguments.data:
        return []
    data = load_data_file(arguments.data)
    stated = data.model_dump(mode="json", exclude_unset=True)
    # The file decides which data: splits and classes that only the config's own set has would not be found in it.
    stated |= {"format": data.format}
    cleared = {"train": [], "val": [], "test": [], "classes": None, "val_fraction": 0.0, "root": None}
    return [Layer(str(arguments.data), {"data": cleared | stated})]
