"""`detres COMMAND …`: one file a command in this folder, each with `configure(parser)` and `run(arguments)`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from detres.errors import UserError
from detres.version import __version__

COMMANDS = {
    "train_cls": "train a classifier",
    "train_det": "train a detector",
    "eval_det": "evaluate a detector: mAP@0.5 and COCO's metrics",
    "eval_cls": "evaluate a classifier, or several together: top-1 and top-5 error",
    "predict": "detect objects in images, folders or videos",
    "visualize": "draw ground truth beside predictions",
    "check_data": "say what is wrong with a data set",
    "convert_weights": "turn weights of other projects into detres's",
    "analyze": "error curves, responses of layers, what nets cost",
    "reproduce": "a table or figure of the paper beside ours",
    "benchmark": "time detres against its peers",
    "configs": "list every config with its first line",
    "doctor": "show versions and devices, and what is wrong with the installation, or a run",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0 done, 2 a user's mistake, 130 interrupted after a checkpoint."""
    argv = list(sys.argv[1:] if argv is None else argv)
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
    command = importlib.import_module(f"detres.commands.{name}")
    parser = argparse.ArgumentParser(
        prog=f"detres {name}", description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.configure(parser)
    # Intermixed, so that `key=value` may stand before, between and behind the options.
    arguments = parser.parse_intermixed_args(rest)
    try:
        return command.run(arguments) or 0
    except UserError as error:
        print(f"{type(error).__name__}: {message_of(error)}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `detres … | head` is no fault of anybody's.
        sys.stderr.close()
        return 0


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: detres COMMAND …   (detres COMMAND --help tells more)", "", *lines])


def message_of(error: UserError) -> str:
    """What an error says; of one raised in a worker process, without the traceback torch puts before it."""
    return str(error).rpartition(f"detres.errors.{type(error).__name__}: ")[2].rstrip()
