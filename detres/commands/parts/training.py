"""What train_det and train_cls share: all but the task."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detres.commands.parts.arguments import Once, Task, add_config, add_device, check_task, layers_of
from detres.commands.parts.telling import on_terminal
from detres.errors import ConfigError
from detres.tasks.detection.finetune import FINETUNE


def configure_training(parser: argparse.ArgumentParser, *, weights: str) -> None:
    """weights: what --weights takes, for people."""
    add_config(parser)
    parser.set_defaults(time=None)
    parser.add_argument(
        "--weights", metavar="W", action=Once, help=f"start from {weights}; classes are matched by name"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="the run's folder; runs/CFG where it is not given")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, or start it")
    parser.add_argument("--dry-run", action="store_true", help="build everything, take one small step, print, and stop")
    add_device(parser)


def run_training(arguments: argparse.Namespace, task: Task) -> int:
    from detres.config.key_effects import in_training, in_training_from_weights
    from detres.config.loading import read_config, read_override, refuse_wrong_values

    reporter = on_terminal()
    goes_on = not arguments.cfg and _goes_on(arguments)
    fits = task == "detection" and bool(arguments.data) and not arguments.cfg and not goes_on
    cfg = arguments.cfg or (FINETUNE if fits else _config_of_run(arguments))
    task = check_task(cfg, task, "train")
    refuse_wrong_values(task, [read_override(text) for text in arguments.overrides])
    if arguments.time is not None:
        from detres.tasks.detection.finetune.time_limit import seconds_of

        seconds_of(arguments.time)
    _check_places(arguments)
    layers = layers_of(arguments, task, reporter)
    if goes_on:
        layers = layers[1:]  # The first clears what --data leaves open, which is the run's to say.
    said: tuple[str, ...] = ()
    if fits:
        from detres.commands.parts.finetuning import fitted_layers

        layers = fitted_layers(arguments, layers, reporter)
    elif arguments.time is not None and not goes_on:
        raise ConfigError(f"--time {arguments.time}: it is for --data alone; beside --cfg, state training.epochs")
    elif arguments.weights:
        from detres.commands.parts.weights import said_by

        theirs = said_by(arguments, cfg, task)
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


def _check_places(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for a device that is not there, and a folder that takes no run, before minutes are spent."""
    from detres.distributed import local_device

    if arguments.device is not None:
        local_device(arguments.device)
    folder = arguments.out
    if folder is None or arguments.dry_run:
        return
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder}: this folder cannot be made (a file has its name); name another")
    from detres.training.resuming import checkpoint_to_resume

    checkpoint_to_resume(folder, arguments.resume)


def _goes_on(arguments: argparse.Namespace) -> bool:
    """Whether the run in --out has a config of its own, which was fitted to its set when it began."""
    from detres.tasks.runs.run_config import CONFIG_FILE

    return bool(arguments.resume and arguments.out and (arguments.out / CONFIG_FILE).is_file())


def _config_of_run(arguments: argparse.Namespace) -> Path:
    """--resume needs only --out: the run keeps its config."""
    from detres.tasks.runs.run_config import check_run_config

    if _goes_on(arguments):
        return check_run_config(arguments.out)
    if arguments.resume and arguments.out:
        raise ConfigError(
            f"--out {arguments.out}: there is no run to go on with; begin one with --cfg (`detres configs` lists them) "
            "or --data"
        )
    raise ConfigError(
        "--cfg is missing; `detres configs` lists them (with --resume, --out names a run that has one; train_det takes "
        "--data alone as well)"
    )


def _states_data(arguments: argparse.Namespace) -> bool:
    return bool(arguments.data) or any(text.startswith("data.root=") for text in arguments.overrides)
