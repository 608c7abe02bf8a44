"""An exported detector finds what the model finds, however much that is.

N images of a batch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from detres.backbones import build_backbone
from detres.config.detection_schema import DataConfig, ModelConfig, TestConfig
from detres.detection.export import export_detector
from detres.detection.files import DetectorSettings
from detres.detection.model.building import assemble
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.errors import ConfigError
from detres.prediction import Detector

SIZE = (64, 96)
IMAGES = 6


def config_of(layout: str, roi_align: str = "auto") -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "layout": layout,
            "class_names": ["a", "b", "c"],
            "backbone": {"name": "resnet18"},
            "fpn": {"channels": 16},
            "rpn": {"pre_nms_test": 40, "post_nms_test": 20},
            "roi": {"pool": 4, "head_fc_channels": 32, "roi_align": roi_align},
        }
    )


def small_detector(layout: str, roi_align: str = "auto") -> FasterRCNN:
    """Random weights, and a score floor that no box of one of the images reaches."""
    torch.manual_seed(0)
    backbone = build_backbone("resnet18", output_stride=16 if layout == "dc5" else 32)
    model = assemble(backbone, config_of(layout, roi_align), TestConfig(score=0.0, max_detections=60)).eval()
    for layer in (model.roi.class_logits, model.rpn.deltas):
        torch.nn.init.normal_(layer.weight, std=0.1)
    with torch.no_grad():
        best = torch.cat([model.predict_tensors(*batch)[1][:, 0] for batch in batches(1)]).sort().values
    model.roi.score = best[:2].mean().item()
    return model


def batches(size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The same images and unpadded sizes, `size` at a time."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (IMAGES, *SIZE, 3), generator=generator, dtype=torch.uint8)
    images //= torch.arange(1, IMAGES + 1, dtype=torch.uint8)[:, None, None, None]
    sizes = torch.tensor([SIZE, (40, 70), SIZE, (64, 50), SIZE, (20, 96)])
    return zip(images.split(size), sizes.split(size), strict=True)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "batch"), [("fpn", 2), ("c4", 1), ("dc5", 2)])
@torch.no_grad()
def test_an_exported_detector_finds_what_the_model_finds(layout: str, batch: int) -> None:
    model = small_detector(layout)
    program = export_detector(model, SIZE, batch=batch).module()
    seen = set()
    for images, sizes in batches(batch):
        expected, found = model.predict_tensors(images, sizes), program(images, sizes)
        # Not equal to the last bit: norms are folded in the program, and RoIs pooled by torchvision's kernel.
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
        seen |= set(expected[3].tolist())
    assert 0 in seen, "an image without detections is part of the claim"
    assert len(seen) >= 3, "images in which as much is found prove nothing"
    # An image without extent has no proposals, either.
    boxes, scores, _, counts = program(images, torch.zeros_like(sizes))
    assert counts.sum() == boxes.abs().sum() == scores.sum() == 0


@pytest.mark.slow
@torch.no_grad()
def test_what_a_detector_exports_is_saved_and_keeps_its_precision() -> None:
    settings = DetectorSettings(config_of("c4", "torchvision"), DataConfig(), TestConfig(), None, {})
    model = small_detector("c4", "torchvision")
    detector = Detector(model, settings, device="cpu", precision="bf16", score=model.roi.score)
    file = io.BytesIO()
    torch.export.save(detector.export(SIZE), file)
    file.seek(0)
    program = torch.export.load(file).module()
    for images, sizes in batches(1):
        with torch.autocast("cpu", torch.bfloat16):
            expected = detector.model.predict_tensors(images, sizes)
        found = program(images, sizes)
        # bf16 has 8 bits: convolutions round differently where their weights lie in another order.
        for ours, theirs, tolerance in zip(found, expected, (0.1, 0.01, 0, 0), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@pytest.mark.slow
def test_rows_are_refused_and_the_message_says_what_exports() -> None:
    with pytest.raises(ConfigError, match=r"model\.roi\.roi_align is rows.*auto or torchvision"):
        export_detector(small_detector("c4", "rows"), SIZE)


@pytest.mark.slow
def test_a_size_the_model_would_pad_is_refused_with_the_next_that_fits() -> None:
    model = small_detector("fpn")
    with pytest.raises(ConfigError, match=r"64x100, expected positive multiples of 32.*64x128"):
        export_detector(model, (64, 100))
    with pytest.raises(ConfigError, match="batch is 0"):
        export_detector(model, SIZE, batch=0)
