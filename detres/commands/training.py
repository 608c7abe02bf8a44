"""What train_det and train_cls share: all but the task."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detres.commands.arguments import Once, Task, add_config, add_device, check_task, layers_of
from detres.commands.telling import on_terminal
from detres.errors import ConfigError


def configure_training(parser: argparse.ArgumentParser, *, weights: str) -> None:
    """weights: what --weights takes, for people."""
    add_config(parser)
    parser.add_argument(
        "--weights", metavar="W", action=Once, help=f"start from {weights}; classes are matched by name"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="the run's folder; runs/CFG where it is not given")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, or start it")
    parser.add_argument("--dry-run", action="store_true", help="build everything, take one small step, print, and stop")
    add_device(parser)


def run_training(arguments: argparse.Namespace, task: Task) -> int:
    from detres.config.finding import find_config
    from detres.config.key_effects import in_training, in_training_from_weights
    from detres.config.loading import read_config, read_layer, read_override

    reporter = on_terminal()
    cfg = arguments.cfg or _config_of_run(arguments)
    task = check_task(cfg, task, "train")
    layers = layers_of(arguments, task, reporter)
    said: tuple[str, ...] = ()
    if arguments.weights:
        from detres.tasks.runs.opened_model import open_model
        from detres.tasks.runs.own_code import stated_code
        from detres.tasks.runs.weights import said_by_weights

        own_code = stated_code(arguments.cfg, arguments.overrides)
        overrides = [read_override(text) for text in arguments.overrides]
        arguments.weights = open_model(arguments.weights, task)
        theirs = said_by_weights(arguments.weights, read_layer(find_config(cfg)), overrides, own_code)
        said = theirs.lines
        layers.append(theirs.layer)
    use = in_training_from_weights if arguments.weights else in_training
    loaded = read_config(cfg, arguments.overrides, layers=layers, trusted=bool(arguments.cfg), use=use)
    for line in (*said, *loaded.idle, *(f"scaled to {scaled.to}: {scaled}" for scaled in loaded.scaled)):
        reporter.say(line)
    if arguments.dry_run:
        from detres.tasks.dry_run import dry_run

        dry_run(
            loaded.config,
            weights=arguments.weights,
            device=arguments.device,
            reporter=reporter,
            data_is_stated=_states_data(arguments),
        )
        return 0

    from detres.tasks.training import train
    from detres.training.interrupts import Interrupted

    try:
        train(
            loaded.config,
            arguments.out,
            weights=arguments.weights,
            resume=arguments.resume,
            device=arguments.device,
            reporter=reporter,
        )
    except Interrupted as error:
        print(error, file=sys.stderr)
        return 130
    return 0


def _config_of_run(arguments: argparse.Namespace) -> Path:
    """--resume needs only --out: the run keeps its config."""
    from detres.tasks.runs.run_config import CONFIG_FILE, check_run_config

    if arguments.resume and arguments.out and (arguments.out / CONFIG_FILE).is_file():
        return check_run_config(arguments.out)
    raise ConfigError("--cfg is missing; `detres configs` lists them (with --resume, --out names a run that has one)")


def _states_data(arguments: argparse.Namespace) -> bool:
    return bool(arguments.data) or any(text.startswith("data.root=") for text in arguments.overrides)
