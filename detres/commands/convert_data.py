"""Write a set of boxes in another form: COCO's, VOC's or YOLO's, with its pictures.

detres convert_data photos converted --to coco          copies of the pictures
detres convert_data export.zip converted --to yolo --link
detres convert_data my.yaml converted --to voc data.classes=[cat,dog]

Splits stay as they are; what the other form has no word for is told.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from detres.commands.parts.arguments import layers_of
from detres.commands.parts.telling import on_terminal
from detres.words import set_in_words

if TYPE_CHECKING:
    from detres.config.detection_schema import DataConfig


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="IN", help="as --data takes it: a folder, a yaml, an annotation file, an archive"
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="a new folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the set, such as data.classes=[cat,dog]")
    parser.add_argument("--to", metavar="FORM", required=True, help="coco, voc or yolo")
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument("--link", action="store_true", help="link the pictures to where they lie")
    pictures.add_argument("--copy", action="store_true", help="copy the pictures, as it does without either")


def run(arguments: argparse.Namespace) -> None:
    from detres.config.detection_schema import Config
    from detres.config.key_effects import on_data_alone
    from detres.config.loading import Layer, of_schema, read_override, resolve
    from detres.data.detection.datasets import load_split
    from detres.data.writing.writing import write_set
    from detres.errors import ConfigError
    from detres.tasks.runs.output_folders import inside
    from detres.tasks.runs.told_problems import problem_lines

    reporter = on_terminal()
    layers = layers_of(arguments, "detection", reporter)
    undescribed = layers[-1].origin == "made"
    if undescribed:  # Nobody has said that images be set apart.
        layers.append(Layer(str(arguments.data), {"data": {"val_fraction": 0.0, "val_groups": "none"}}))
    overrides = [read_override(text) for text in arguments.overrides]
    data = of_schema(resolve([*layers, *overrides], use=on_data_alone()), Config).data
    if undescribed and data.root is not None and inside(arguments.out, data.root):  # What lies there is the set.
        raise ConfigError(f"OUT {arguments.out} lies in the set itself, {data.root}; name a folder beside it")
    splits = {split: load_split(data, split) for split in _named(data)}
    for split, images in splits.items():
        reporter.say(f"{split}: {set_in_words(len(images), len(images.boxes), len(images.class_names))}")
        for line in problem_lines(images.problems):
            reporter.say(line)
    for line in write_set(splits, arguments.out, arguments.to, link=arguments.link):
        reporter.say(f"lost: {line}")
    reporter.say(f"written as {arguments.to} to {arguments.out}; use it with --data {arguments.out}")


def _named(data: DataConfig) -> list:
    has_val = data.val or (data.train and data.val_fraction)
    return [*(["train"] if data.train else []), *(["val"] if has_val else []), *(["test"] if data.test else [])]
