"""Turn weights of other projects into detres's safetensors, and detectors of detres's into theirs.

  detres convert_weights --from torchvision fasterrcnn_resnet50_fpn_coco-258fb6c6.pth r50_fpn.safetensors
  detres convert_weights --from detectron2 output/model_final.pth mine.safetensors --config output/config.yaml
  detres convert_weights --from detectron2 model_final_280758.pkl r50_fpn.safetensors test.score=0.01
  detres convert_weights --from mmdetection faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth r50_fpn.safetensors
  detres convert_weights --from msra R-101.pkl r101.safetensors
  detres convert_weights --from torchvision --architecture resnet18 checkpoint.pth.tar r18.safetensors
  detres convert_weights --to torchvision runs/mine mine.pth
  detres convert_weights --to detectron2 runs/mine mine.pkl

A detector becomes a detector, a classification network a classifier, or a backbone where its last layer is missing.
What a detector's weights do not hold is assumed and printed; --config reads it from the other project's config,
key=value says it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detres.errors import ConfigError

SOURCES = ("torchvision", "timm", "msra", "detectron2", "mmdetection")
TARGETS = ("torchvision", "detectron2")


def configure(parser: argparse.ArgumentParser) -> None:
    direction = parser.add_mutually_exclusive_group(required=True)
    direction.add_argument("--from", dest="source", choices=SOURCES)
    direction.add_argument("--to", dest="target", choices=TARGETS, help="IN is a run, a checkpoint or a file")
    parser.add_argument("input", metavar="IN", type=Path)
    parser.add_argument("output", metavar="OUT", type=Path)
    parser.add_argument("--bn-eps", type=float, metavar="EPS", help="eps of the backbone's norms (not in the file)")
    parser.add_argument("--classes", metavar="FILE", type=Path, help="a text file of class names, one a line")
    parser.add_argument("--stride-in", choices=("1x1", "3x3"), help="of a detector's bottlenecks (not in the file)")
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="detectron2's config.yaml or mmdetection's config, read and not run"
    )
    parser.add_argument("--architecture", metavar="NAME", help="of a network, where the file does not say")
    parser.add_argument("--shortcut-padding", choices=("end", "both"), help="of shortcuts without weights (option A)")
    parser.add_argument(
        "--approximate", action="store_true", help="with --to: write what the other project computes otherwise, too"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as model.anchors.sizes=[[16],[32],…]")


def run(arguments: argparse.Namespace) -> None:
    from detres.conversion.from_detres import hand_back
    from detres.conversion.options import Options
    from detres.conversion.to_detres import convert

    stated = {
        name: getattr(arguments, name)
        for name in ("bn_eps", "classes", "architecture", "stride_in", "shortcut_padding", "config")
    }
    options = Options(**stated)
    if arguments.target:
        if options.given():
            raise ConfigError(f"{', '.join(sorted(options.given()))}: of no use with --to; leave it out")
        if arguments.overrides:
            raise ConfigError(
                f"{arguments.overrides[0]}: of no use with --to, which takes the run as it is; leave it out"
            )
        lines = hand_back(arguments.target, arguments.input, arguments.output, approximate=arguments.approximate)
    else:
        if arguments.approximate:
            raise ConfigError("--approximate: of no use with --from; leave it out")
        lines = convert(arguments.source, arguments.input, arguments.output, options, arguments.overrides)
    for line in lines:
        print(line)
