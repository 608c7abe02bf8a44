"""--weights beside a config: the model's word on it."""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.parts.arguments import Task
from detres.config.finding import find_config
from detres.config.loading import read_layer, read_override
from detres.tasks.runs.opened_model import open_model
from detres.tasks.runs.own_code import stated_code
from detres.tasks.runs.weights import WeightsSaid, said_by_weights


def said_by(arguments: argparse.Namespace, cfg: str | Path, task: Task) -> WeightsSaid:
    """What the model of --weights decides of a config. It is opened, and stays so in `arguments`."""
    own_code = stated_code(arguments.cfg, arguments.overrides)
    overrides = [read_override(text) for text in arguments.overrides]
    arguments.weights = open_model(arguments.weights, task)
    return said_by_weights(arguments.weights, read_layer(find_config(cfg)), overrides, own_code)
