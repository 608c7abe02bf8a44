"""Turn weights of other projects into detres's safetensors.

  detres convert_weights --from torchvision fasterrcnn_resnet50_fpn_coco-258fb6c6.pth r50_fpn.safetensors
  detres convert_weights --from detectron2 model_final_280758.pkl r50_fpn.safetensors
  detres convert_weights --from msra R-101.pkl r101.safetensors

A detector becomes a detector, a classification network a backbone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SOURCES = ("torchvision", "timm", "msra", "detectron2")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", required=True, choices=SOURCES)
    parser.add_argument("input", metavar="IN", type=Path)
    parser.add_argument("output", metavar="OUT", type=Path)
    parser.add_argument("--bn-eps", type=float, metavar="EPS", help="eps of the backbone's norms (not in the file)")
    parser.add_argument("--classes", metavar="FILE", type=Path, help="a text file of class names, one a line")
    parser.add_argument("--stride-in", choices=("1x1", "3x3"), help="of a detector's bottlenecks (not in the file)")
    parser.add_argument("--architecture", metavar="NAME", help="of a backbone, where the file does not say")


def run(arguments: argparse.Namespace) -> None:
    from detres.experiments.converting import Options, convert

    options = Options(arguments.bn_eps, arguments.classes, arguments.architecture, arguments.stride_in)
    for line in convert(arguments.source, arguments.input, arguments.output, options):
        print(line)
