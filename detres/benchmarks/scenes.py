"""Two detectors with the same weights, torchvision's and ours, and pictures for them: nothing is downloaded.

The weights are random but behave like trained ones: features keep their scale from layer to layer, scores spread out,
most regions are background, and a picture has many detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from detres.backbones import build_backbone
from detres.backbones.network import Network
from detres.config.detection_schema import DataConfig
from detres.conversion.torchvision import reading as torchvision_weights
from detres.data.detection.loaders import DetectionSample, collate
from detres.detection.files import DetectorSettings, settings_of
from detres.detection.model.building import assemble
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.structures import DetectionBatch, DetectionTarget

# How far the outputs of each last layer spread. With 90 classes and a background ahead by so much, a tenth of the
# regions has a class above the score floor of 0.05.
_OBJECTNESS_SPREAD, _OFFSET_SPREAD, _LOGIT_SPREAD, _BACKGROUND_LEAD = 2.0, 0.3, 2.0, 6.0


@dataclass(frozen=True)
class Scene:
    """What both detectors work on. classes: with the background. images: of one call. objects: on each of them."""

    backbone: str = "resnet50"
    height: int = 800
    width: int = 1066
    classes: int = 91
    images: int = 1
    objects: int = 7
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.backbone.replace('resnet', 'r')}_fpn"

    @property
    def work(self) -> str:
        plural = "s" if self.images > 1 else ""
        return f"{self.images} image{plural} of {self.height}×{self.width} a call, {self.classes - 1} classes"

    def pictures(self) -> list[NDArray[np.uint8]]:
        """uint8 RGB (H, W, 3), each another one."""
        return [smooth_picture(self.height, self.width, self.seed + place) for place in range(self.images)]

    def targets(self) -> list[DetectionTarget]:
        """Boxes between a sixteenth and a half of each side, anywhere."""
        generator = torch.Generator().manual_seed(self.seed)
        sides = torch.tensor([self.width, self.height], dtype=torch.float32)
        targets = []
        for _ in range(self.images):
            share = 2.0 ** (-1 - 3 * torch.rand(self.objects, 2, generator=generator))
            corner = torch.rand(self.objects, 2, generator=generator) * (1 - share) * sides
            labels = torch.randint(self.classes - 1, (self.objects,), generator=generator)
            boxes = torch.cat([corner, corner + share * sides], dim=1)
            targets.append(DetectionTarget(boxes, labels, torch.zeros(self.objects, dtype=torch.bool)))
        return targets

    def batch(self) -> DetectionBatch:
        """Pictures and targets, as a loader would hand them to training."""
        samples = [
            DetectionSample(picture, picture.shape[:2], place, target, sample_key=place)
            for place, (picture, target) in enumerate(zip(self.pictures(), self.targets(), strict=True))
        ]
        return collate(samples, pad_to=32)


def smooth_picture(height: int, width: int, seed: int, *, noise: float = 0.1) -> NDArray[np.uint8]:
    """Soft patches of colour under a little noise: white noise alone would look alike everywhere to a network."""
    draws = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (4, 12, 36):
        patches = draws.random((cells, cells, 3), dtype=np.float32)
        picture += cv2.resize(patches, (width, height), interpolation=cv2.INTER_LINEAR) / 3
    picture += noise * (draws.random(picture.shape, dtype=np.float32) - 0.5)
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def torchvision_detector(scene: Scene) -> TorchvisionFasterRCNN:
    """fasterrcnn_resnet50_fpn as it is built for its published weights: frozen norms, stem and first stage fixed."""
    sides = scene.height, scene.width
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scene.seed)
        backbone = resnet_fpn_backbone(backbone_name=scene.backbone, weights=None, trainable_layers=3)
        model = TorchvisionFasterRCNN(backbone, scene.classes, min_size=min(sides), max_size=max(1333, *sides))
    overwrite_eps(model, 0.0)
    _behave_as_trained(model, scene)
    return model.eval()


def detres_detector(theirs: TorchvisionFasterRCNN, scene: Scene) -> tuple[FasterRCNN, DetectorSettings]:
    """Ours with their weights, converted as `detres convert_weights` does, and the settings that feed it."""
    state = theirs.state_dict()
    config = torchvision_weights.model_settings(state, None, norm_eps=0.0)
    config = config.model_copy(update={"backbone": config.backbone.model_copy(update={"name": scene.backbone})})
    backbone = build_backbone(scene.backbone, norm="frozen", norm_eps=0.0)
    test = torchvision_weights.test_settings()
    model = assemble(backbone, config, test)
    model.load_state_dict(torchvision_weights.convert_state_dict(state))
    assert isinstance(backbone, Network), "of ours"
    backbone.freeze_stages(2)
    data = DataConfig(shortest_side=(min(scene.height, scene.width),), longest_side=theirs.transform.max_size)
    return model, settings_of(model, config, data, test, "benchmark")


def their_images(pictures: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
    """What torchvision's detectors take: float32 (3, H, W) in 0..1."""
    return [torch.from_numpy(picture).permute(2, 0, 1).contiguous().float() / 255 for picture in pictures]


def their_targets(targets: Sequence[DetectionTarget], device: torch.device) -> list[dict[str, Tensor]]:
    """The background is their class 0."""
    return [{"boxes": target.boxes.to(device), "labels": target.labels.to(device) + 1} for target in targets]


@torch.no_grad()
def _behave_as_trained(model: TorchvisionFasterRCNN, scene: Scene) -> None:
    """Give random weights the scales of trained ones, in place; the same for the same scene on every machine."""
    state = model.state_dict()
    last = "bn3.weight" if any(name.endswith("bn3.weight") for name in state) else "bn2.weight"
    for name, tensor in state.items():
        # Else the sum of every block's shortcut and residual doubles what the next one gets.
        if name.endswith(last):
            tensor.fill_(0.25)
    predictor, head = model.roi_heads.box_predictor, model.rpn.head
    spreads = {
        head.cls_logits: _OBJECTNESS_SPREAD,
        head.bbox_pred: _OFFSET_SPREAD,
        predictor.cls_score: _LOGIT_SPREAD,
        predictor.bbox_pred: _OFFSET_SPREAD,
    }
    # A quarter of the picture shows the scale as well. The layers are in the order in which they are reached: the
    # regions that the last two see are chosen by the first two.
    small = their_images([smooth_picture(max(scene.height // 2, 64), max(scene.width // 2, 64), scene.seed)])
    for layer, spread in spreads.items():
        layer.weight.mul_(spread / _spread_of(model, layer, small))
    predictor.cls_score.bias[0] = _BACKGROUND_LEAD


def _spread_of(model: nn.Module, layer: nn.Module, images: list[Tensor]) -> float:
    """The standard deviation of what a layer gives, over all its calls for these images."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output.flatten()))
    model.eval()(images)
    hook.remove()
    return float(torch.cat(seen).std())
