"""The anchors of a config's detector, as the check of a data set takes them."""

from __future__ import annotations

from detres.config.detection_schema import ModelConfig
from detres.data.detection.checking import AnchorShapes
from detres.detection.model.anchors import cell_anchors, default_sizes


def anchor_shapes(model: ModelConfig) -> AnchorShapes:
    """The anchors' sides and strides, for a data set to be held against."""
    strides = {"c4": (16,), "dc5": (16,), "fpn": (4, 8, 16, 32, 64)}[model.layout]
    sizes = model.anchors.sizes or default_sizes(len(strides))
    cells = [cell_anchors(s, model.anchors.ratios, rounded=model.anchors.rounded).double().numpy() for s in sizes]
    return AnchorShapes(tuple(cell[:, 2:] - cell[:, :2] for cell in cells), strides, model.rpn.negative_iou)
