"""Whether two detectors with the same weights do the same work.

D detections of ours, E of the peer's, on one image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN

from detres.benchmarks.rows import Check
from detres.boxes import box_iou
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.structures import DetectionBatch, Detections

# What tests/detection demands of the oracle, in pixels and in score.
_NEAR, _ALIKE = 0.05, 1e-4
# Two results of sums in another order fall on two sides of a border now and then: one in a thousand, or one pair.
_STRAY_SHARE, _STRAY_FEWEST = 1e-3, 2
# bf16 has three digits: what random weights find with them is another thing, but not another amount of work.
_SAME_PLACE, _SAME_AMOUNT = 0.5, 0.8
_LOSS_TOLERANCE = 1e-3
LOSS_NAMES = {
    "loss_rpn_objectness": "loss_objectness",
    "loss_rpn_box": "loss_rpn_box_reg",
    "loss_roi_class": "loss_classifier",
    "loss_roi_box": "loss_box_reg",
}


def same_detections(ours: Sequence[Detections], theirs: Sequence[Mapping[str, Tensor]]) -> Check:
    """Every detection has a partner of its class within 0.05 pixels and 1e-4 of score, strays at a border aside.

    ours, theirs: of the same images. Fails where there is nothing to compare, too.
    """
    total = sum(len(found) for found in ours) + sum(len(found["boxes"]) for found in theirs)
    strays = sum(_strays(mine, other) for mine, other in zip(ours, theirs, strict=True))
    passed = total > 0 and strays <= max(_STRAY_FEWEST, total * _STRAY_SHARE)
    return Check(passed, f"{total - strays} of {total} detections have a partner within {_NEAR} px and {_ALIKE:g}")


def similar_detections(ours: Sequence[Detections], theirs: Sequence[Mapping[str, Tensor]]) -> Check:
    """As many detections on both sides, within a fifth; how many of ours lie on one of theirs is said as well."""
    counts = sum(len(found) for found in ours), sum(len(found["boxes"]) for found in theirs)
    matched = 0
    for mine, other in zip(ours, theirs, strict=True):
        alike = mine.labels[:, None] == other["labels"][None] - 1
        matched += int(((box_iou(mine.boxes, other["boxes"]) >= _SAME_PLACE) & alike).any(dim=1).sum())
    passed = min(counts) > 0 and min(counts) / max(counts) >= _SAME_AMOUNT
    return Check(passed, f"{counts[0]} detections and {counts[1]}; {matched} of ours overlap one of the same class")


def _strays(ours: Detections, theirs: Mapping[str, Tensor]) -> int:
    near = (ours.boxes[:, None] - theirs["boxes"][None]).abs().amax(dim=2) <= _NEAR
    alike = (ours.scores[:, None] - theirs["scores"][None]).abs() <= _ALIKE
    partner = near & alike & (ours.labels[:, None] == theirs["labels"][None] - 1)
    return int((~partner.any(dim=1)).sum() + (~partner.any(dim=0)).sum())


@torch.no_grad()
def same_losses(
    ours: FasterRCNN,
    theirs: TorchvisionFasterRCNN,
    batch: DetectionBatch,
    images: Sequence[Tensor],
    targets: Sequence[Mapping[str, Tensor]],
) -> Check:
    """The four losses, over every anchor and every proposal: which of them would be drawn is chance on either side."""
    with _everything_sampled(ours, theirs):
        found, expected = ours.train()(batch), theirs.train()(list(images), [dict(target) for target in targets])
    gaps = {
        name: abs(float(found[name]) - float(expected[other])) / max(abs(float(expected[other])), 1e-12)
        for name, other in LOSS_NAMES.items()
    }
    worst = max(gaps, key=lambda name: gaps[name])
    passed = all(gap <= _LOSS_TOLERANCE for gap in gaps.values())
    return Check(passed, f"four losses over all anchors and proposals agree to {gaps[worst]:.1e} ({worst})")


@contextmanager
def _everything_sampled(ours: FasterRCNN, theirs: TorchvisionFasterRCNN) -> Iterator[None]:
    """Samples so large that all candidates are in them."""
    samplers = (theirs.rpn.fg_bg_sampler, theirs.roi_heads.fg_bg_sampler)
    before = [sampler.batch_size_per_image for sampler in samplers]
    own = [part.batch_per_image for part in (ours.rpn, ours.roi)]
    everything = 2**40
    for sampler in samplers:
        sampler.batch_size_per_image = everything
    ours.rpn.batch_per_image = ours.roi.batch_per_image = everything
    try:
        yield
    finally:
        for sampler, count in zip(samplers, before, strict=True):
            sampler.batch_size_per_image = count
        ours.rpn.batch_per_image, ours.roi.batch_per_image = own
