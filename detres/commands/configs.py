"""List every config with its first line."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of all keys, for editors")


def run(arguments: argparse.Namespace) -> None:
    import json

    from detres.config.finding import list_configs

    if arguments.schema:
        from detres.config.loading import config_schema

        print(json.dumps(config_schema(), indent=2))
        return
    configs = list_configs()
    width = max(len(stem) for stem, _, _ in configs)
    for stem, first_line, _ in configs:
        print(f"{stem:<{width}}  {first_line}")
