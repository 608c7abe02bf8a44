"""Look through a data set on one page, by class, size and oddity, in any browser.

detres browse --data birds/
detres browse --cfg coco_r50_fpn --split val --limit 100 --out val.html

The page holds its pictures and loads nothing. Of a large set it has some of every class and of every oddity.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.commands.parts.arguments import add_config, layers_of
from detres.commands.parts.telling import on_terminal

_LIMIT = 200


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--split", choices=("train", "val", "test"), help="one split; without it, all there are")
    parser.add_argument("--out", metavar="FILE", type=Path, default=Path("browse.html"), help="browse.html")
    parser.add_argument(
        "--limit", type=int, default=_LIMIT, metavar="N", help=f"images on the page, at most ({_LIMIT})"
    )


def run(arguments: argparse.Namespace) -> None:
    from detres.tasks.detection.browsing.page import browse_set

    reporter = on_terminal()
    page, shown, of = browse_set(
        cfg=arguments.cfg,
        layers=layers_of(arguments, "detection", reporter),
        overrides=arguments.overrides,
        split=arguments.split,
        out=arguments.out,
        limit=arguments.limit,
        reporter=reporter,
    )
    print(f"{shown} of {of} images: {page}")
