"""What detectron2 calls the tensors of Faster R-CNN."""

from __future__ import annotations

from typing import Literal

from detres.conversion.renaming import Pairs

LayoutName = Literal["c4", "dc5", "fpn"]

# Older files hold these as well: the anchors of a cell, one tensor a level, and how pixels are normalized.
ANCHORS = "proposal_generator.anchor_generator.cell_anchors."
PIXELS = ("pixel_mean", "pixel_std")


def name_pairs(layout: LayoutName, *, several_convs: bool = False) -> Pairs:
    """Their names and ours. several_convs: the RPN has more than one before its siblings."""
    trunk = "backbone.bottom_up." if layout == "fpn" else "backbone."
    stages = [(f"{trunk}res{stage}", f"backbone.layer{stage - 1}") for stage in range(2, 6)]
    if layout == "c4":
        stages[3] = ("roi_heads.res5", "roi.head.stage")
    convs = [(f"{trunk}stem.conv1", "backbone.conv1", "backbone.bn1")]
    for theirs, ours in stages:
        convs += [(f"{theirs}.{{block}}.conv{{n}}", f"{ours}.{{block}}.conv{{n}}", f"{ours}.{{block}}.bn{{n}}")]
        shortcut = f"{ours}.{{block}}.downsample"
        convs += [(f"{theirs}.{{block}}.shortcut", f"{shortcut}.0", f"{shortcut}.1")]
    for level in range(4):
        for theirs, ours in (("lateral", "neck.lateral"), ("output", "neck.output")):
            convs += [(f"backbone.fpn_{theirs}{level + 2}", f"{ours}.{level}.0", f"{ours}.{level}.1")]
    # Their layers of the head count from one.
    layers = range(8)
    head = "roi.head.convs"
    convs += [(f"roi_heads.box_head.conv{k + 1}", f"{head}.{k}.0", f"{head}.{k}.1") for k in layers]
    plain = [(f"roi_heads.box_head.fc{k + 1}", f"roi.head.fcs.{k}") for k in layers]
    rpn_conv, ours = (".conv{n}", "rpn.convs.{n}") if several_convs else ("", "rpn.convs.0")
    plain += [
        (f"proposal_generator.rpn_head.conv{rpn_conv}", ours),
        ("proposal_generator.rpn_head.objectness_logits", "rpn.objectness"),
        ("proposal_generator.rpn_head.anchor_deltas", "rpn.deltas"),
        ("roi_heads.box_predictor.cls_score", "roi.class_logits"),
        ("roi_heads.box_predictor.bbox_pred", "roi.deltas"),
    ]
    pairs = [pair for conv, ours, norm in convs for pair in ((f"{conv}.norm", norm), (conv, ours))]
    return [(f"{theirs}.{{leaf}}", f"{ours}.{{leaf}}") for theirs, ours in (*pairs, *plain)]
