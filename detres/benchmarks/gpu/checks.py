"""Whether both sides do the same work on this device: without that, who is faster means nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from detres.benchmarks.agreement import same_detections
from detres.benchmarks.backbone import Pictures
from detres.benchmarks.classification.imagenet_training import same_logits
from detres.benchmarks.gpu.detectors import our_prediction, our_training, their_prediction
from detres.benchmarks.gpu.entries import Entry
from detres.benchmarks.gpu.measuring import Bench, Figures
from detres.benchmarks.gpu.operators import our_suppression, their_suppression
from detres.benchmarks.gpu.sizes import Operators, Sizes
from detres.benchmarks.machine import exact_float32
from detres.benchmarks.rows import Check
from detres.benchmarks.scenes import Scene
from detres.benchmarks.train import check_losses

_CPU = torch.device("cpu")
# Relative, of a training step. Anchors are drawn by their places, so that two devices draw the same ones; proposals by
# theirs in a list, in which one that lies at a border of the suppression, by rounding, moves all that follow.
_SAME_LOSS, _SIMILAR_LOSS = 1e-3, 0.25
# Of boxes that overlap by the threshold to the last digit, and those that they decide on.
_STRAY_SHARE = 0.01


def check_entries(bench: Bench, sizes: Sizes) -> list[Entry]:
    """Rows of check/…, all in float32 without TF32."""
    scene, device = replace(sizes.scene, images=1), bench.device
    checks: dict[str, Callable[[], Check]] = {
        "losses": partial(check_losses, scene, device),
        "detections": partial(check_detections, scene, device),
        "classifier": partial(check_classifier, sizes.pictures, device),
        "suppression": partial(check_suppression, replace(sizes.operators, images=2), device),
        "step_as_on_the_cpu": partial(check_step, scene, device),
    }
    return [Entry(f"check/{name}", partial(_measure, check)) for name, check in checks.items()]


def _measure(check: Callable[[], Check], _: int) -> Figures:
    found = check()
    return {"passed": found.passed, "what": found.what}


def check_detections(scene: Scene, device: torch.device) -> Check:
    """Of the same picture, with the same weights."""
    with exact_float32():
        theirs = their_prediction(scene, device, precision="float32")()
        return same_detections(our_prediction(scene, device, precision="float32")(), theirs)


def check_classifier(pictures: Pictures, device: torch.device) -> Check:
    return same_logits(pictures, device)


def check_suppression(sizes: Operators, device: torch.device) -> Check:
    """The boxes that each side keeps, as sets: equal scores of two levels may come in another order."""
    return same_boxes(our_suppression(sizes, device)(), their_suppression(sizes, device)())


def same_boxes(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Check:
    pairs = [
        ({*map(tuple, mine.tolist())}, {*map(tuple, other.tolist())}) for mine, other in zip(ours, theirs, strict=True)
    ]
    kept = sum(len(other) for _, other in pairs)
    apart = sum(len(mine ^ other) for mine, other in pairs)
    return Check(
        kept > 0 and apart <= _STRAY_SHARE * kept, f"{kept} boxes kept by torchvision, {apart} by one side alone"
    )


def check_step(scene: Scene, device: torch.device) -> Check:
    """The losses of a first training step here and on the CPU: what is drawn there does not depend on the device."""
    with exact_float32():
        here, there = (_first_losses(scene, where) for where in (device, _CPU))
    gaps = {name: abs(here[name] - there[name]) / max(abs(there[name]), 1e-9) for name in there}
    worst = max(gaps, key=lambda name: gaps[name])
    # One by one: of several, among them one that is no number, the largest may be any.
    passed = all(gap <= (_SAME_LOSS if "rpn" in name else _SIMILAR_LOSS) for name, gap in gaps.items())
    return Check(passed, f"losses agree with the CPU's to {gaps[worst]:.1e} ({worst})")


def _first_losses(scene: Scene, device: torch.device) -> dict[str, float]:
    losses = our_training(scene, device, precision="float32", log_every=1)().losses
    assert losses is not None, "a line was due"
    return losses
