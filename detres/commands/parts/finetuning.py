"""train_det with --data alone: the recipe `finetune`, fitted to the set."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from detres.commands.parts.weights import said_by
from detres.config.detection_schema import Config
from detres.config.key_effects import in_training, in_training_from_weights
from detres.config.loading import Layer, load_config, of_schema, read_override
from detres.distributed import local_device
from detres.reporter import Reporter
from detres.tasks.detection.finetune import FINETUNE
from detres.tasks.detection.finetune.beginning import choose_beginning, of_detector
from detres.tasks.detection.finetune.fitting import Fitted, fit, stated_paths
from detres.tasks.detection.finetune.time_limit import seconds_of


def fitted_layers(arguments: argparse.Namespace, data: Sequence[Layer], reporter: Reporter) -> list[Layer]:
    """What --data says, what the model that it begins with decides, and what the recipe chooses for the set.

    A detector to begin with is opened, and stands in arguments.weights from then on.
    """
    seconds = seconds_of(arguments.time) if arguments.time is not None else None
    stated = {*stated_paths([*data, *map(read_override, arguments.overrides)])}

    def config_with(*layers: Layer) -> Config:
        use = in_training_from_weights if arguments.weights else in_training
        loaded = load_config(FINETUNE, arguments.overrides, layers=[*data, *layers], use=use)
        return of_schema(loaded, Config)

    config, layers = config_with(), []
    if arguments.weights:
        beginning = of_detector()
    else:
        may_download = not arguments.dry_run
        beginning = choose_beginning(config.model.backbone, stated, may_download=may_download, reporter=reporter)
        arguments.weights = beginning.weights
    if arguments.weights:
        theirs = said_by(arguments, FINETUNE, "detection")
        layers.append(theirs.layer)
        for line in theirs.lines:
            reporter.say(line)
    device = local_device(arguments.device)
    fitted = fit(config_with(*layers), beginning, arguments.weights, stated, device, seconds)
    for line in fitted.lines:
        reporter.say(line)
    reporter.say(f"the same again: {_command(arguments, fitted)}")
    return [*data, *layers, *fitted.layers()]


def _command(arguments: argparse.Namespace, fitted: Fitted) -> str:
    """What trains the same run whatever the set becomes, and the rules for it."""
    weights = ["--weights", str(arguments.weights.path)] if arguments.weights else []
    words = ["detres", "train_det", "--cfg", FINETUNE, "--data", str(arguments.data), *weights]
    return shlex.join([*words, *arguments.overrides, *fitted.overrides()])
