"""Say what is wrong with a data set, and what is in it.

detres check_data --cfg coco_r50 data.root=/data/coco
detres check_data --data my.yaml --fix cleaned/
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from detres.commands.arguments import add_config, layers_of

if TYPE_CHECKING:
    from detres.data.checking import DataReport


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--fix", metavar="DIR", type=Path, help="write annotations without the bad ones to this folder")


def run(arguments: argparse.Namespace) -> None:
    from detres.config.loading import load_config, read_override, resolve
    from detres.data.checking import check
    from detres.errors import ConfigError
    from detres.experiments.detection_data import anchor_shapes

    layers = layers_of(arguments)
    if arguments.cfg:
        config = load_config(arguments.cfg, arguments.overrides, layers=layers)
    elif layers:
        config = resolve([*layers, *(read_override(text) for text in arguments.overrides)])
    else:
        raise ConfigError("name a set with --cfg or --data")
    for report in check(config.data, anchors=anchor_shapes(config.model), fix=arguments.fix):
        print("\n".join(lines_of(report)))
    if arguments.fix:
        print(f"cleaned annotations: {arguments.fix}; use them with --data {arguments.fix / 'data.yaml'}")


def lines_of(report: DataReport) -> list[str]:
    """What a split holds in five lines or fewer, then a line for each problem."""
    (low, narrow), (high, broad) = report.image_sizes
    shortest, median, longest = report.box_sides
    lines = [
        f"{report.split}: {report.name}, {report.images} images of {narrow}x{low} to {broad}x{high} pixels, "
        f"{report.empty_images} of them without boxes",
        f"  {report.boxes} boxes, {report.ignored} to be ignored, {report.truncated} truncated, "
        f"{report.most_boxes} at most in an image: {_counted(report.boxes_per_class)}",
        f"  sizes: {_counted(report.boxes_by_size)}; sides from {shortest:.0f} to {longest:.0f} pixels, half of them "
        f"below {median:.0f}",
    ]
    if report.uncovered is not None:
        lines.append(f"  {report.uncovered} boxes that no anchor covers (model.anchors.sizes)")
    if not report.problems:
        return [*lines, "  no problems"]
    kinds = Counter(problem.kind for problem in report.problems)
    lines.append(f"  {len(report.problems)} problems: {_counted(kinds)}")
    return lines + [f"    {problem}" for problem in report.problems]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
