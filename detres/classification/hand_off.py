"""What a classifier leaves to a detector: its trunk in one file that says how it was built, fed and trained.

The tensors have torchvision's names, fc among them, so that torchvision and timm load the file strictly. Both stride
in a bottleneck's 3x3: a net with stride_in="1x1", as the paper's, loads there too, and computes something else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detres.backbones.weights.files import write_tensors
from detres.checkpoints.reading import load_checkpoint
from detres.classification.files import ClassifierSettings

BACKBONE_FILE = "backbone.safetensors"


def write_backbone(run: Path, checkpoint: Path) -> None:
    """Write RUN/backbone.safetensors from a checkpoint: the weights that are tested, and the best value they reached.

    It is a classifier's file, too. Raises WeightsError where the checkpoint is no classifier's.
    """
    read = load_checkpoint(checkpoint)
    settings = ClassifierSettings.from_metadata(read.metadata, str(checkpoint))
    best = read.trainer["best"]
    measured = {best["metric"]: best["value"]} if best is not None and best["step"] == read.trainer["step"] else {}
    settings = replace(settings, backbone=replace(settings.backbone, measured=measured))
    write_tensors(run / BACKBONE_FILE, read.tensors, settings.to_metadata())
