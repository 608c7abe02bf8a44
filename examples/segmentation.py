"""A semantic segmentation net on the feature maps of a detres backbone: what `build_backbone` gives a network of yours.

    python examples/segmentation.py --steps 60

Discs and squares that are drawn as they are needed; seconds on a CPU. For photographs, begin with weights="pretrained".
N images of H×W pixels, K classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import detres

CLASSES = ("background", "disc", "square")
SIDE, BATCH, LR = 64, 8, 2e-3


class SegmentationHead(nn.Module):
    """Maps of several strides -> class logits (N, K, H/4, W/4): made equally deep, enlarged to the finest, and added.

    specs: `backbone.specs`, which says the channels and the stride of each map. After Kirillov et al. 2019, figure 3.
    """

    def __init__(self, specs: Mapping[str, detres.FeatureSpec], num_classes: int, channels: int = 32) -> None:
        super().__init__()
        self.lateral = nn.ModuleDict({name: nn.Conv2d(spec.channels, channels, 1) for name, spec in specs.items()})
        self.finest = min(specs, key=lambda name: specs[name].stride)
        self.classify = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, num_classes, 3, padding=1))

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        size = features[self.finest].shape[-2:]
        maps = [
            F.interpolate(self.lateral[name](feature), size, mode="bilinear", align_corners=False)
            for name, feature in features.items()
        ]
        return self.classify(torch.stack(maps).sum(dim=0))


class Segmenter(nn.Module):
    """uint8 RGB (N, H, W, 3) -> class logits of every pixel, (N, K, H, W)."""

    def __init__(self, backbone_name: str, num_classes: int) -> None:
        super().__init__()
        self.backbone = detres.build_backbone(backbone_name, outputs=("c2", "c3", "c4", "c5"))
        self.head = SegmentationHead(self.backbone.specs, num_classes)

    def forward(self, rgb: Tensor) -> Tensor:
        # The backbone knows its pixel statistics and the order of its channels.
        features = self.backbone(self.backbone.normalize(rgb))
        return F.interpolate(self.head(features), rgb.shape[1:3], mode="bilinear", align_corners=False)


def draw_shapes(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A disc and a square an image on grey noise: rgb (N, H, W, 3) uint8, labels (N, H, W) int64."""
    rgb = torch.randint(90, 150, (count, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
    labels = torch.zeros(count, SIDE, SIDE, dtype=torch.int64)
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    for image in range(count):
        for label in (1, 2):
            radius = torch.randint(8, 16, (), generator=generator)
            y, x = torch.randint(8, SIDE - 8, (2,), generator=generator)
            dy, dx = (row - y).abs(), (column - x).abs()
            inside = dy**2 + dx**2 <= radius**2 if label == 1 else torch.maximum(dy, dx) <= radius
            labels[image][inside] = label
            rgb[image][inside] = torch.randint(0, 256, (3,), generator=generator, dtype=torch.uint8)
    return rgb, labels


@torch.no_grad()
def pixel_accuracy(model: Segmenter, rgb: Tensor, labels: Tensor) -> float:
    """The share of pixels whose best class is the right one."""
    model.eval()
    return (model(rgb).argmax(dim=1) == labels).float().mean().item()


def main(argv: list[str] | None = None) -> list[float]:
    """Train for --steps; returns the accuracy on images that are not trained on, before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="of eight images each")
    arguments = parser.parse_args(argv)
    torch.manual_seed(0)
    draws = torch.Generator().manual_seed(0)
    held_out = draw_shapes(32, draws)
    model = Segmenter("resnet18", len(CLASSES))
    optimizer = torch.optim.AdamW(model.parameters(), LR)
    accuracies = [pixel_accuracy(model, *held_out)]
    for step in range(arguments.steps):
        rgb, labels = draw_shapes(BATCH, draws)
        model.train()
        loss = F.cross_entropy(model(rgb), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(f"step {step:3d}  loss {loss:.3f}")
    accuracies.append(pixel_accuracy(model, *held_out))
    print(f"pixel accuracy {accuracies[0]:.3f} -> {accuracies[1]:.3f}")
    return accuracies


if __name__ == "__main__":
    main()
