"""Look at runs, and at networks as the paper does; each part says its numbers, and draws them.

detres analyze training runs/coco_r50_fpn                              a run's losses, rate and metrics
detres analyze curves runs/cifar10_plain20 runs/cifar10_resnet20       training and test error against the step
detres analyze responses runs/cifar10_resnet20 runs/cifar10_plain20    how strongly each layer responds (figure 7)
detres analyze responses torchvision/resnet50 --data photos/
detres analyze complexity resnet50 resnet101 stride_in=1x1             parameters and multiply-adds (table 1)

For complexity, key=value are shortcut, stride_in, output_stride, crop and num_classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from detres.commands.parts.arguments import add_device
from detres.commands.parts.telling import on_terminal

PARTS = ("training", "curves", "responses", "complexity")
# What each takes; None: a number from 1 on.
_OPTIONS = {
    "shortcut": ("A", "B", "C", "plain"),
    "stride_in": ("1x1", "3x3"),
    "output_stride": ("8", "16", "32"),
    "crop": None,
    "num_classes": None,
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", metavar="PART", choices=PARTS, help=", ".join(PARTS))
    parser.add_argument("names", nargs="+", metavar="NAME", help="runs; weights; nets, and their options as key=value")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the picture (runs/analyses/PART.png)")
    parser.add_argument("--data", metavar="FILE", help="responses: a set's yaml or folder; else the embedded shapes")
    parser.add_argument("--split", choices=("train", "val", "test"), default="val", help="responses: of that set (val)")
    parser.add_argument("--limit", type=int, default=256, metavar="N", help="responses: images looked at (256)")
    add_device(parser)


def run(arguments: argparse.Namespace) -> None:
    from detres.errors import ConfigError
    from detres.tasks import analysing

    out = arguments.out or Path("runs/analyses") / f"{arguments.part}.png"
    names, options = [name for name in arguments.names if "=" not in name], [n for n in arguments.names if "=" in n]
    if not names or arguments.limit < 1 or (options and arguments.part != "complexity"):
        wrong = f"got {options[0]!r}, which complexity alone takes" if options and names else "it takes names"
        raise ConfigError(f"analyze {arguments.part}: {wrong}; `detres analyze --help` shows examples")
    match arguments.part:
        case "training":
            if len(names) > 1:
                raise ConfigError(f"analyze training takes one run, got {len(names)}; several are compared by curves")
            analysing.analyze_training(Path(names[0]), out, reporter=on_terminal())
        case "curves":
            analysing.analyze_curves([Path(name) for name in names], out, reporter=on_terminal())
        case "responses":
            analysing.analyze_responses(
                names,
                out,
                data=_data(arguments.data),
                split=arguments.split,
                limit=arguments.limit,
                device=arguments.device,
                reporter=on_terminal(),
            )
        case "complexity":
            analysing.analyze_complexity(names, out, reporter=on_terminal(), **dict(_option(text) for text in options))


def _data(file: str | None) -> Any:
    from detres.data.data_file import load_classification_file

    return load_classification_file(file) if file else None


def _option(text: str) -> tuple[str, Any]:
    from detres.errors import ConfigError

    key, _, value = text.partition("=")
    if key not in _OPTIONS:
        raise ConfigError(f"{text}: {key} is none of {', '.join(_OPTIONS)}")
    allowed = _OPTIONS[key]
    if allowed and value not in allowed:
        raise ConfigError(f"{text}: {key} is one of {', '.join(allowed)}")
    if not allowed and (not value.isdigit() or int(value) < 1):
        raise ConfigError(f"{text}: {key} takes a number from 1 on")
    return key, int(value) if value.isdigit() else value
