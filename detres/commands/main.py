"""`detres COMMAND …`: one file a command in this folder, each with `configure(parser)` and `run(arguments)`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, cast

from detres.commands.parts.output import forgiving_output
from detres.commands.parts.stopping import INTERRUPTED, say_stopped, stopped_by_signals
from detres.errors import UserError, raised_in
from detres.system_errors import system_message
from detres.version import __version__

if TYPE_CHECKING:
    from detres.rank_failures import EndedElsewhere

COMMANDS = {
    "train_cls": "train a classifier",
    "train_det": "train a detector",
    "eval_det": "evaluate a detector: mAP@0.5 and COCO's metrics",
    "eval_cls": "evaluate a classifier, or several together: top-1 and top-5 error",
    "predict": "detect objects in images, folders or videos",
    "visualize": "draw ground truth beside predictions",
    "prepare": "check and unpack COCO, PASCAL VOC, ImageNet or CIFAR-10, or fetch them",
    "check_data": "say what is wrong with a data set",
    "browse": "write a page to look through a data set by class, size and oddity",
    "convert_data": "write a data set in the form of COCO, VOC or YOLO",
    "convert_weights": "turn weights of other projects into detres's",
    "analyze": "error curves, responses of layers, what nets cost",
    "reproduce": "a table or figure of the paper beside ours",
    "benchmark": "time detres against its peers",
    "configs": "list every config, or print one, or the schema for editors",
    "keys": "show every key of a config: what it takes, its default, what it means",
    "completion": "print what makes bash, zsh or fish complete commands, options, configs and keys",
    "doctor": "show versions and devices, and what is wrong with the installation, or a run",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0 done, 2 a user's mistake or the machine's, 130 asked to stop.

    One rank of several does not return: the process ends here. While an interpreter is torn down, torch's threads of
    collective calls now and then abort it, and a rank that is done would count as failed.
    """
    one_of_several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
    if one_of_several:
        # Else torch, which is not imported yet, prints pages of its own where the main rank's store is gone.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    status = _status_of(argv)
    if one_of_several:
        os._exit(status)
    return status


def _status_of(argv: Sequence[str] | None) -> int:
    # Of damaged images and videos OpenCV's readers print what a message then says; read before OpenCV is imported.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with forgiving_output() as output, stopped_by_signals() as stopping:
        try:
            status = _run(list(sys.argv[1:] if argv is None else argv))
        except UserError as error:
            return _fail(error)
        except BaseException as error:
            if type(error).__name__ == "EndedElsewhere":  # by its name: to import it is to import torch
                return cast("EndedElsewhere", error).exit_status
            # Whatever became of it on its way: importing a library, or a library's own handlers, may turn it.
            if stopping.signal_name is not None or isinstance(error, KeyboardInterrupt):
                say_stopped(stopping.signal_name or "SIGINT")
                return INTERRUPTED
            if (message := system_message(error)) is None:
                raise
            return _fail(UserError(message))
        output.flush()
    # Of a training, its folder holds what was printed.
    return 2 if output.lost and not status and not _trains(argv) else status


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(__version__)
        return 0
    name, *rest = argv
    if name not in COMMANDS:
        print(f"detres: no command {name!r}; the commands are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    command, parser = load_command(name)
    # Intermixed, so that `key=value` may stand before, between and behind the options.
    arguments = parser.parse_intermixed_args(rest)
    try:
        return command.run(arguments) or 0
    except SystemExit as error:  # No command of ours leaves so; code that a config names may, wherever it is called.
        raise UserError(f"{name} ended by {raised_in(error, __file__)}; mend the code that says so") from error


def load_command(name: str) -> tuple[ModuleType, argparse.ArgumentParser]:
    """The module of one of COMMANDS, and the parser of what may stand behind its name."""
    command = importlib.import_module(f"detres.commands.{name}")
    parser = argparse.ArgumentParser(
        prog=f"detres {name}", description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.configure(parser)
    return command, parser


def _fail(error: UserError) -> int:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return error.exit_status


def _trains(argv: Sequence[str] | None) -> bool:
    return (list(sys.argv[1:] if argv is None else argv) or [""])[0].startswith("train_")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: detres COMMAND …   (detres COMMAND --help tells more)", "", *lines])
