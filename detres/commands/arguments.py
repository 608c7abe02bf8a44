"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from detres.config.loading import Layer

Task = Literal["detection", "classification"]


def add_config(parser: argparse.ArgumentParser) -> None:
    """--cfg, --data and key=value."""
    parser.add_argument("--cfg", metavar="NAME", help="a config's name below configs/, or a path")
    parser.add_argument("--data", metavar="FILE", help="your own data: a yaml, or a folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as optimizer.lr=0.02")


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1; the accelerator where there is one")


def layers_of(arguments: argparse.Namespace, task: Task = "detection") -> list[Layer]:
    """What --data says of a set for this task, to be laid over the config's file."""
    from detres.config.loading import Layer
    from detres.data.data_file import load_classification_file, load_data_file

    if not arguments.data:
        return []
    load = load_data_file if task == "detection" else load_classification_file
    data = load(arguments.data)
    stated = data.model_dump(mode="json", exclude_unset=True)
    # The file decides which data: splits and classes that only the config's own set has would not be found in it.
    stated |= {"format": data.format}
    cleared = {"train": [], "val": [], "test": [], "classes": None, "val_fraction": 0.0, "root": None}
    return [Layer(str(arguments.data), {"task": task, "data": cleared | stated})]


def check_task(cfg: str | Path, task: Task, verb: Literal["train", "eval"]) -> None:
    """Raise ConfigError, naming the right command, where a config is for another task."""
    from detres.config.loading import SCHEMAS, task_of
    from detres.errors import ConfigError

    stated = task_of(cfg)
    if stated != task and stated in SCHEMAS:
        command = f"{verb}_{'det' if stated == 'detection' else 'cls'}"
        raise ConfigError(f"--cfg {cfg}: this is a {stated} config, which `detres {command} --cfg {cfg}` takes")
