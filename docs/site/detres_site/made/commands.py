"""What each command does, and its options, from the parsers that read them."""

from __future__ import annotations

import argparse
import re
from functools import partial

from detres.commands.main import COMMANDS, load_command
from detres_site.made.markdown import code, plain, table

_WIDTH = 96
_EXAMPLE = re.compile(r"detres \w|source <\(|torchrun |#|\d+ \w+")


def list_commands() -> str:
    """A heading a command, in the order of `detres --help`."""
    return "\n".join(_section(name, what) for name, what in COMMANDS.items())


def _section(name: str, what: str) -> str:
    module, parser = load_command(name)
    parser.formatter_class = partial(argparse.HelpFormatter, width=_WIDTH)
    told = [_paragraph(text) for text in (module.__doc__ or what).strip().split("\n\n")]
    usage = f"```text\n{parser.format_usage().strip()}\n```\n"
    arguments = [action for action in parser._actions if action.dest != "help"]
    rows = [(code(_written(action)), plain(_meaning(action))) for action in arguments]
    return "\n".join([f"## {name}\n", *told, usage, table(("argument", ""), rows) if rows else ""])


def _paragraph(text: str) -> str:
    """Lines to type as a block of code, the rest as prose."""
    lines = text.split("\n")
    if all(_EXAMPLE.match(line) or line.startswith(" ") for line in lines):
        return f"```text\n{text}\n```\n"
    return f"{plain(text)}\n"


def _written(action: argparse.Action) -> str:
    takes = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else "")
    if not action.option_strings:
        return str(takes or action.dest)
    return f"{', '.join(action.option_strings)}{' ' + str(takes) if takes and action.nargs != 0 else ''}"


def _meaning(action: argparse.Action) -> str:
    """As --help has it, with defaults in their places."""
    return " ".join((action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%").split())
