"""Options that several commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from detres.config.classification_schema import ClassificationDataConfig
    from detres.config.detection_schema import DataConfig
    from detres.config.loading import Layer
    from detres.reporter import Reporter

Task = Literal["detection", "classification", "localization"]

# What the commands of each task end in: train_det, eval_det, train_cls, eval_cls.
_COMMANDS = {"detection": "det", "localization": "det", "classification": "cls"}


class Once(argparse.Action):
    """Stores the value of an option whose default is None, and refuses a second one, which would replace it unsaid."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        before = getattr(namespace, self.dest)
        if before is not None:
            raise argparse.ArgumentError(self, f"it takes one, and got {before} and {values}")
        setattr(namespace, self.dest, values)


def add_config(parser: argparse.ArgumentParser) -> None:
    """--cfg, --data and key=value."""
    parser.add_argument("--cfg", metavar="NAME", action=Once, help="a name that `detres configs` lists, or a path")
    parser.add_argument(
        "--data", metavar="FILE", action=Once, help="your own data: a folder, an archive, annotations, or a yaml"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as optimizer.lr=0.02")


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1; the accelerator where there is one")


def split_overrides(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """key=value and the rest, where both stand in one list; what is there as a file or a pattern is of the rest."""
    overrides = [text for text in texts if _OVERRIDE.match(text) and not Path(text).exists() and not glob(text)]
    return overrides, [text for text in texts if text not in overrides]


# A key has a dot; where it was left out, a value that is no file's name still tells.
_OVERRIDE = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+=|[A-Za-z_]\w*=(?:[-+.\deE]+|true|false|\[.*\])$")


def layers_of(arguments: argparse.Namespace, task: str, reporter: Reporter) -> list[Layer]:
    """What --data says of a set for this task, to be laid over the config's file; how it was understood is told."""
    if not arguments.data:
        return []
    from detres.config.loading import Layer
    from detres.data.data_file import read_classification_file, read_data_file
    from detres.errors import ConfigError

    if task == "localization":
        raise ConfigError(
            f"--data {arguments.data}: localization reads sets in ImageNet's layout, whose folder is set by data.root="
        )
    data: DataConfig | ClassificationDataConfig
    if task == "detection":
        data, said, described = read_data_file(arguments.data)
    else:
        data, said = read_classification_file(arguments.data)
        described = True  # No recipe chooses anything for it.
    for line in said:
        reporter.say(line)
    stated = data.model_dump(mode="json", exclude_unset=True)
    # The file decides which data: splits and classes that only the config's own set has would not be found in it.
    stated |= {"format": data.format}
    cleared: dict[str, Any] = {"train": [], "val": [], "test": [], "classes": None, "val_fraction": 0.0, "root": None}
    if task == "detection":
        cleared["val_groups"] = "none"
        cleared["strict"] = None  # What may be left out of one set was not said of another.
    source = str(arguments.data)
    return [
        Layer(source, {"task": task, "data": cleared}),
        Layer(source, {"data": stated}, origin="set" if described else "made"),
    ]


def check_task(cfg: str | Path, task: Task, verb: Literal["train", "eval"]) -> Task:
    """The task of a config: `task`, or another of the same command's.

    Raises ConfigError, naming the right command, where another command takes it.
    """
    from detres.config.loading import SCHEMAS, task_of
    from detres.errors import ConfigError

    stated = task_of(cfg)
    if stated not in SCHEMAS:
        return task  # Whoever reads it says what is wrong.
    if _COMMANDS[stated] != _COMMANDS[task]:
        command = f"{verb}_{_COMMANDS[stated]}"
        raise ConfigError(f"--cfg {cfg}: this is a {stated} config, which `detres {command} --cfg {cfg}` takes")
    return cast(Task, stated)  # A name of SCHEMAS.
