"""List every config with its first line, or print one, or the schema of all keys.

detres configs                                      every name, and what it is
detres configs coco_r50_fpn                         the file as it stands, with its comments
detres configs coco_r50_fpn --resolved              with every key, defaults too
detres configs --schema > detection.schema.json     for editors: completion, meanings and checks while you type
detres configs --schema data > data.schema.json     of a file for --data

Schemas: detection, classification, localization; data and data_classification for files of --data. An editor with
yaml-language-server, as VS Code's YAML extension has it, takes the schema that a first line names:

# yaml-language-server: $schema=detection.schema.json
"""

from __future__ import annotations

import argparse
import json
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this one, by its name or its path")
    parser.add_argument("--resolved", action="store_true", help="with NAME: every key it comes to, defaults too")
    parser.add_argument(
        "--schema", nargs="?", const="detection", metavar="TASK", help="print the JSON schema of all keys (detection)"
    )


def run(arguments: argparse.Namespace) -> None:
    from detres.errors import ConfigError

    if arguments.schema is not None and (arguments.name is not None or arguments.resolved):
        raise ConfigError("--schema is of a task's keys, whatever their values; leave out NAME and --resolved")
    if arguments.resolved and arguments.name is None:
        raise ConfigError("--resolved: of which config? `detres configs` lists them all")
    if arguments.schema is not None:
        _print_schema(arguments.schema)
    elif arguments.name is not None:
        _print_config(arguments.name, resolved=arguments.resolved)
    else:
        _list()


def _print_schema(name: str) -> None:
    from detres.config.keys.json_schema import NAMES, json_schema
    from detres.errors import ConfigError
    from detres.lookup import nearest

    if name not in NAMES:
        close = nearest(name, NAMES, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"--schema {name}: expected one of {', '.join(NAMES)}{meant}")
    print(json.dumps(json_schema(name), indent=2))


def _print_config(name: str, *, resolved: bool) -> None:
    from detres.config.finding import find_config, short_path
    from detres.config.loading import dump_config, load_config
    from detres.config.yaml_bounds import MOST_BYTES
    from detres.files.text import read_text

    path = find_config(name, asked="configs")
    print(short_path(path), file=sys.stderr, flush=True)
    text = dump_config(load_config(path)) if resolved else read_text(path, most=MOST_BYTES)
    print(text, end="" if text.endswith("\n") else "\n")


def _list() -> None:
    from detres.config.finding import list_configs

    configs = list_configs()
    width = max(len(stem) for stem, _, _ in configs)
    for stem, first_line, _ in configs:
        print(f"{stem:<{width}}  {first_line}")
