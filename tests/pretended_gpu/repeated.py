"""What a run with training.deterministic does on the pretended device: one JSON line of each, with its operators."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import torch

from detres.backbones.architectures import BACKBONES, VggArchitecture
from detres.config.loading import load_config
from detres.detection.model.roi_heads import RoIPooler
from detres.reporter import SILENT
from detres.tables import DRY_RUNS
from tests.pretended_gpu.device import CUDA, RECORD, OnDevice, counted
from tests.pretended_gpu.scenarios import trained

SMALL = ["model.backbone.name=resnet18", "model.backbone.weights=null", "model.backbone.frozen_stages=0"]
FEW = ["model.roi.batch_per_image=16", "model.rpn.post_nms_train=40", "model.rpn.pre_nms_train=60"]
LEARNED = {
    "c4": ("voc07_r50_c4", [*SMALL, *FEW]),
    "c4 of one sampling": ("voc07_r50_c4", [*SMALL, *FEW, "model.roi.sampling_ratio=2"]),
    "dc5": ("coco_r50_fpn", [*SMALL, *FEW, "model.layout=dc5"]),
    "fpn": ("coco_r50_fpn", [*SMALL, *FEW]),
    "classifier": ("cifar10_resnet20", []),
    "vgg classifier": ("cifar10_resnet20", ["model.backbone.name=small"]),
    "class rpn": ("shapes_loc_r18", ["model.backbone.weights=null"]),
}
BACKBONES["small"] = VggArchitecture((1, 1, 1, 1, 1), (8, 8, 8, 8, 8), fc_channels=16)


def learned(cfg: str, overrides: list[str]) -> Callable[[], object]:
    """A training step on two embedded images."""
    config = load_config(cfg, [*overrides, "training.deterministic=true"])
    parts = DRY_RUNS[config.task](config, None, CUDA, SILENT, False)
    return trained(parts.model, parts.batch)


def pooled(method: str, sampling_ratio: int, levels: int) -> Callable[[], object]:
    """RoIs of several sizes, forward and backward."""
    pooler = RoIPooler([4, 8, 16][:levels], 7, sampling_ratio=sampling_ratio, method=method)  # type: ignore[arg-type]
    corner, side = torch.rand(40, 2) * 100, torch.rand(40, 2).exp() * 60
    rois, image_index = OnDevice(torch.cat([corner, corner + side], dim=1)), OnDevice(torch.arange(40) % 2)
    maps = [OnDevice(torch.randn(2, 4, 200 // stride, 200 // stride)) for stride in pooler.strides]

    def run() -> None:
        leaves = [features.detach().requires_grad_() for features in maps]
        pooler(leaves, rois, image_index).sum().backward()

    return run


def runs() -> Iterator[tuple[str, Callable[[], Callable[[], object]]]]:
    for name, (cfg, overrides) in LEARNED.items():
        yield name, lambda cfg=cfg, overrides=overrides: learned(cfg, overrides)
    for method in ("rows", "torchvision"):
        for ratio in (0, 2):
            for levels in (1, 3):
                name = f"{method}, {ratio} samples, {levels} levels"
                yield name, lambda method=method, ratio=ratio, levels=levels: pooled(method, ratio, levels)


if __name__ == "__main__":
    for name, make in runs():
        # torchvision's kernel would refuse; it is there to be compared with.
        torch.use_deterministic_algorithms(not name.startswith("torchvision"))
        counts = counted(make) | {"operators": sorted(RECORD.operators)}
        print(json.dumps({"name": name} | counts), flush=True)
