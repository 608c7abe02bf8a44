"""Show every key of a config: what it takes, its default, what it means and when it counts.

detres keys                         all of them, a section after the other
detres keys anchors                 those with this in their name or their meaning
detres keys '*.lr'                  those of this name, with * and ? for what is left open
detres keys model.rpn --task detection

A key of several tasks is shown once, and where it differs the tasks are named.
"""

from __future__ import annotations

import argparse
import shutil
import sys

# Of a file or a pipe, which should hold the same text everywhere.
_PLAIN_WIDTH = 100
_WIDTHS = range(40, 121)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", metavar="PATTERN", nargs="?", help="a part of a name or a meaning, or *.lr")
    parser.add_argument("--task", metavar="TASK", help="detection, classification or localization alone")
    parser.add_argument("--markdown", action="store_true", help="as a page of Markdown")


def run(arguments: argparse.Namespace) -> None:
    from detres.config.keys.listing import TASKS, list_keys
    from detres.config.keys.page import as_markdown, as_text
    from detres.config.keys.searching import find_keys
    from detres.errors import ConfigError

    if arguments.task not in (None, *TASKS):
        raise ConfigError(f"--task {arguments.task}: expected one of {', '.join(TASKS)}")
    tasks = (arguments.task,) if arguments.task else TASKS
    keys = list_keys(tasks)
    if arguments.pattern is not None:
        keys = find_keys(keys, arguments.pattern)
    print(as_markdown(keys, tasks) if arguments.markdown else as_text(keys, tasks, _width()))


def _width() -> int:
    if not sys.stdout.isatty():
        return _PLAIN_WIDTH
    return min(max(shutil.get_terminal_size().columns, _WIDTHS.start), _WIDTHS.stop - 1)
