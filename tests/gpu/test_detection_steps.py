"""Training steps of every layout: as many waits as planned, and the losses of a CPU."""

from __future__ import annotations

import pytest
import torch

from detres.benchmarks.scenes import Scene
from detres.config.loading import load_config
from detres.tasks.detection.models import build_detector
from tests.gpu.conftest import WaitsAtMost
from tests.gpu.steps import same_losses_within

pytestmark = pytest.mark.gpu

SCENE = Scene("resnet18", 64, 96, images=2, classes=4, objects=3)
# Every proposal is learned from: of two whose scores differ by a rounding, either may come first.
SMALL = (
    *("model.backbone={name: resnet18, weights: null, frozen_stages: 0}", "data.classes=[a,b,c]"),
    *("model.rpn.pre_nms_train=100", "model.rpn.post_nms_train=40", "model.rpn.batch_per_image=32"),
    *("model.roi.batch_per_image=64", "model.roi.positive_fraction=1.0", "model.roi.pool=4"),
)
NARROW = "model.roi.head_fc_channels=64"
LAYOUTS = {
    "c4": ("voc07_r50_c4",),
    "dc5": ("coco_r50_dc5", NARROW),
    "fpn": ("coco_r50_fpn", NARROW, "model.fpn.channels=32"),
}
CONTEXT = "model.global_context=true"
GIOU = "box_loss={name: giou}"
VARIANTS = {
    "c4": (),
    "dc5": (),
    "fpn": (),
    "c4, global context": (CONTEXT,),
    "dc5, global context": (CONTEXT,),
    "fpn, global context": (CONTEXT,),
    "fpn, class-agnostic": ("model.roi.class_agnostic=true",),
    "fpn, giou": (f"model.rpn.{GIOU}", f"model.roi.{GIOU}"),
    "fpn, divided by samples": ("model.rpn.normalizer=samples", "model.roi.normalizer=samples"),
}
FAST = ("fpn",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in VARIANTS]
)
def test_steps_lose_what_they_lose_on_a_cpu(name: str, device: torch.device, waits_at_most: WaitsAtMost) -> None:
    recipe, *of_layout = LAYOUTS[name.split(",")[0]]
    config = load_config(recipe, [*SMALL, *of_layout, *VARIANTS[name]])
    model = build_detector(config, ["a", "b", "c"])
    same_losses_within(waits_at_most(6), model, SCENE.batch(), device)
