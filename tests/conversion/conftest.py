"""Weights in the layout of detectron2's model zoo."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from detres.backbones.architectures import BACKBONES
from detres.config.loading import read_override
from detres.conversion.converted import ConvertedDetector, Stated
from detres.conversion.detectron2.reading import read_detectron2

# As detectron2 dumps one: everything stated, tuples that are shared, alphabetically.
WHOLE = """
INPUT: {FORMAT: RGB, MAX_SIZE_TEST: 1000, MIN_SIZE_TEST: 600, MIN_SIZE_TRAIN: [640, 800]}
MODEL:
  ANCHOR_GENERATOR:
    ANGLES: [[-90, 0, 90]]
    ASPECT_RATIOS: [[0.4, 1.0, 2.5]]
    NAME: DefaultAnchorGenerator
    OFFSET: 0.5
    SIZES: [[16], [32], [64], [128], [256]]
  BACKBONE: {FREEZE_AT: 2, NAME: build_resnet_fpn_backbone}
  FPN: {FUSE_TYPE: sum, IN_FEATURES: [res2, res3, res4, res5], NORM: '', OUT_CHANNELS: 32}
  LOAD_PROPOSALS: false
  META_ARCHITECTURE: GeneralizedRCNN
  PIXEL_MEAN: [110.0, 120.0, 130.0]
  PIXEL_STD: [50.0, 60.0, 70.0]
  PROPOSAL_GENERATOR: {MIN_SIZE: 0, NAME: RPN}
  RESNETS:
    DEFORM_ON_PER_STAGE: [false, false, false, false]
    DEPTH: 18
    NORM: FrozenBN
    NUM_GROUPS: 1
    RES2_OUT_CHANNELS: 64
    RES5_DILATION: 1
    STEM_OUT_CHANNELS: 64
    STRIDE_IN_1X1: true
    WIDTH_PER_GROUP: 64
  RETINANET: {BBOX_REG_WEIGHTS: &id001 [2.0, 2.0, 1.0, 1.0]}
  ROI_BOX_HEAD:
    BBOX_REG_WEIGHTS: &id002 [8.0, 8.0, 4.0, 4.0]
    CLS_AGNOSTIC_BBOX_REG: false
    CONV_DIM: 256
    FC_DIM: 48
    NAME: FastRCNNConvFCHead
    NUM_CONV: 0
    NUM_FC: 2
    POOLER_RESOLUTION: 7
    POOLER_SAMPLING_RATIO: 2
    POOLER_TYPE: ROIAlign
  ROI_BOX_CASCADE_HEAD: {BBOX_REG_WEIGHTS: [*id002]}
  ROI_HEADS:
    IN_FEATURES: [p2, p3, p4, p5]
    NAME: StandardROIHeads
    NMS_THRESH_TEST: 0.4
    NUM_CLASSES: 4
    SCORE_THRESH_TEST: 0.01
  RPN:
    BBOX_REG_WEIGHTS: *id001
    HEAD_NAME: StandardRPNHead
    IN_FEATURES: [p2, p3, p4, p5, p6]
    NMS_THRESH: 0.6
    POST_NMS_TOPK_TEST: 300
    PRE_NMS_TOPK_TEST: 700
TEST: {DETECTIONS_PER_IMAGE: 20}
VERSION: 2
"""


FPN_WIDTH, FC_WIDTH, CLASSES = 32, 48, 4


@pytest.fixture(scope="session")
def zoo_state() -> Callable[..., dict[str, Tensor]]:
    """zoo_state(layout, architecture="resnet50", seed=0, deep=False): random weights by detectron2's names.

    Of 4 classes; FPN and head are narrow. Scores spread out, and few are near ties. deep: FPN with norms, two
    convolutions in the RPN and in the head.
    """

    def draw(layout: str, architecture: str = "resnet50", seed: int = 0, deep: bool = False) -> dict[str, Tensor]:
        weights = Weights(seed)
        weights.detector(layout, weights.trunk(layout, architecture), deep)
        return weights.state

    return draw


@pytest.fixture(scope="session")
def drawn(zoo_state: Callable[..., dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """One of each layout, not to be changed."""
    return {"fpn": zoo_state("fpn", "resnet18"), "c4": zoo_state("c4"), "dc5": zoo_state("dc5")}


@pytest.fixture
def read(drawn: dict[str, dict[str, Tensor]], tmp_path: Path) -> Callable[..., ConvertedDetector]:
    """Read drawn["fpn"] with a config of this text; more: key=value. held: tensors beside."""

    def run(config: str | None, *more: str, held: dict[str, Tensor] | None = None) -> ConvertedDetector:
        file, beside = tmp_path / "model_final.pth", tmp_path / "given.yaml"
        torch.save({"model": drawn["fpn"] | (held or {})}, file)
        if config is not None:
            beside.write_text(config)
        layers = tuple(map(read_override, more))
        return read_detectron2(file, Stated(config=None if config is None else beside, layers=layers))

    return run


@pytest.fixture(scope="session")
def whole_config() -> Callable[..., str]:
    """whole_config(MODEL__RPN__NMS_THRESH=0.5): detectron2's config of drawn["fpn"] with this value.

    None takes the key away.
    """

    def write(**keys: Any) -> str:
        if not keys:
            return WHOLE
        values = yaml.safe_load(WHOLE)
        for key, value in keys.items():
            *above, last = key.split("__")
            group = values
            for name in above:
                group = group.setdefault(name, {})
            if value is None:
                group.pop(last, None)
            else:
                group[last] = value
        return yaml.safe_dump(values)

    return write


class Weights:
    """A state dict that grows layer by layer."""

    def __init__(self, seed: int) -> None:
        self.generator, self.state = torch.Generator().manual_seed(seed), {}

    def layer(self, name: str, *shape: int, gain: float = 1.0) -> None:
        self.state[f"{name}.weight"] = self._normal(*shape) * gain / math.sqrt(math.prod(shape[1:]))
        self.state[f"{name}.bias"] = 0.1 * self._normal(shape[0])

    def conv_norm(self, name: str, *shape: int, gain: float = 1.4, scale: float = 1.0) -> None:
        """A convolution without bias and its norm, whose weights are about `scale`."""
        self.layer(name, *shape, gain=gain)
        del self.state[f"{name}.bias"]
        uniform = torch.rand(2, shape[0], generator=self.generator)
        norm = {
            "weight": scale * (0.6 + 0.4 * uniform[0]),
            "bias": 0.1 * self._normal(shape[0]),
            "running_mean": 0.1 * self._normal(shape[0]),
            "running_var": 0.7 + 0.6 * uniform[1],
        }
        self.state |= {f"{name}.norm.{leaf}": tensor for leaf, tensor in norm.items()}

    def trunk(self, layout: str, architecture: str) -> list[int]:
        """Returns the channels of res2..res5; the last is in the head of C4."""
        net, place = BACKBONES[architecture], "backbone.bottom_up." if layout == "fpn" else "backbone."
        kernels = (1, 3, 1) if net.block == "bottleneck" else (3, 3)
        self.conv_norm(f"{place}stem.conv1", 64, 3, 7, 7, gain=1.4 / 60)  # Pixels reach 130.
        channels, outs = 64, [width * (4 if len(kernels) == 3 else 1) for width in net.widths]
        for number, (depth, width, out) in enumerate(zip(net.depths, net.widths, outs, strict=True), start=2):
            stage = "roi_heads.res5" if (layout, number) == ("c4", 5) else f"{place}res{number}"
            for block in range(depth):
                if channels != out:
                    self.conv_norm(f"{stage}.{block}.shortcut", out, channels, 1, 1, gain=1.0)
                widths = [channels, *[width] * (len(kernels) - 1), out]
                for k, side in enumerate(kernels):
                    scale = 0.3 if k == len(kernels) - 1 else 1.0
                    self.conv_norm(f"{stage}.{block}.conv{k + 1}", widths[k + 1], widths[k], side, side, scale=scale)
                channels = out
        return outs

    def detector(self, layout: str, widths: list[int], deep: bool) -> None:
        read, pooled = {"c4": (widths[2], widths[3]), "dc5": (widths[3], FC_WIDTH), "fpn": (FPN_WIDTH, FC_WIDTH)}[
            layout
        ]
        conv = partial(self.conv_norm, gain=1.0) if deep else self.layer
        if layout == "fpn":
            for level, width in enumerate(widths, start=2):
                conv(f"backbone.fpn_lateral{level}", FPN_WIDTH, width, 1, 1)
                conv(f"backbone.fpn_output{level}", FPN_WIDTH, FPN_WIDTH, 3, 3)
        anchors, head = 3 if layout == "fpn" else 15, "proposal_generator.rpn_head"
        for name in ("conv.conv0", "conv.conv1") if deep else ("conv",):
            self.layer(f"{head}.{name}", read, read, 3, 3)
        self.layer(f"{head}.objectness_logits", anchors, read, 1, 1, gain=2.0)
        self.layer(f"{head}.anchor_deltas", anchors * 4, read, 1, 1, gain=0.2)
        for name in ("conv1", "conv2") if deep else ():
            conv(f"roi_heads.box_head.{name}", read, read, 3, 3)
        if layout != "c4":
            self.layer("roi_heads.box_head.fc1", FC_WIDTH, read * 49)
            self.layer("roi_heads.box_head.fc2", FC_WIDTH, FC_WIDTH)
        self.layer("roi_heads.box_predictor.cls_score", CLASSES + 1, pooled, gain=2.0)
        self.layer("roi_heads.box_predictor.bbox_pred", 4 * CLASSES, pooled)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)
