"""VGG-16, the net that the paper's detectors are compared with, on one page.

Maps are named as a ResNet's, c1..c5, and each is what the pool behind it reads: c1 is conv1_2's output at the images'
own size, c5 is conv5_3's, of stride 16. fc7 is the vector that fc6 and fc7 make of c5, pooled to 7×7 cells; layout C4
shares c1..c5 and runs the two on each region, as Fast R-CNN does. Parameters carry torchvision's names (features.N,
classifier.0, .3 and .6), so that its state dicts load strictly.

N images of H×W pixels, R regions, V views, P placements, K classes.
Source: Simonyan and Zisserman 2014, "Very deep convolutional networks for large-scale image recognition".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from detres.backbones.architectures import VggArchitecture
from detres.backbones.averaging import averaged
from detres.backbones.network import Network, NetworkBackbone
from detres.backbones.norms import Norm, conv_norm, frozen, make_norm
from detres.structures import FeatureSpec, PixelStats

BINS = 7
"""Cells a side that fc6 reads: an image of 224 pixels after five pools."""

_FC6, _FC7, _CLASSES = 0, 3, 6  # places in torchvision's classifier, between activations and dropout


def halve(x: Tensor) -> Tensor:
    """The 2×2 max pool of x (N, C, H, W), behind a ReLU, to half its sides rounded down, at least one cell."""
    height, width = x.shape[-2:]
    if height < 2 or width < 2:
        # The map of a strip of an image may have one row, which no window fits; zeros change no maximum behind a ReLU.
        x = F.pad(x, (0, int(width < 2), 0, int(height < 2)))
    return F.max_pool2d(x, 2)


class FullyConnected(nn.Module):
    """fc6 and fc7, each rectified and dropped out: (R, C, 7, 7) -> (R, out_channels).

    Dropout draws from torch's global generator, which the training loop sets for every micro-batch.
    """

    def __init__(self, fc6: nn.Linear, fc7: nn.Linear, *, dropout: float) -> None:
        super().__init__()
        self.fc6, self.fc7, self.dropout = fc6, fc7, dropout
        self.out_channels = fc7.out_features

    def forward(self, features: Tensor) -> Tensor:
        features = features.flatten(1)
        for fc in (self.fc6, self.fc7):
            features = F.dropout(F.relu(fc(features)), self.dropout, self.training)
        return features


class VggLayers(Network):
    """A VGG net, whatever it is used for.

    outputs: names of what `maps` returns, c1..c5 and fc7 (N, fc_channels); None: c2..c5. norm: where the architecture
    has batch norm, one kind for all stages, or one a stage by name; of no use elsewhere. num_classes: of the last
    layer; None: it is left out, and so are fc6 and fc7 where no output asks for them.
    Raises ValueError for an output that it has not.
    """

    architecture: VggArchitecture
    class_layer = f"classifier.{_CLASSES}"
    anchors = ("features.0.weight", "classifier.0.weight")
    lacks = "no shortcuts, no 1x1 convolutions, and strides that are fixed"

    def __init__(
        self,
        architecture: VggArchitecture,
        name: str = "vgg",
        *,
        outputs: Sequence[str] | None = None,
        norm: Norm | Mapping[str, Norm] = "batch",
        norm_eps: float = 1e-5,
        pixel_stats: PixelStats | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__(architecture, name, norm=norm, norm_eps=norm_eps, pixel_stats=pixel_stats)
        self._convs: dict[str, list[tuple[int, int | None]]] = {}
        self.features = self._build_features()
        if num_classes is not None or "fc7" in (outputs or ()):
            self.classifier = self._build_classifier(num_classes)
            self.stages += ("fc7",)
        self.outputs = self.checked_outputs(outputs or architecture.stages[1:])
        self._initialize()

    # What it computes

    def run(self, stage: str, x: Tensor) -> Tensor:
        if stage == "fc7":
            return self._fc7(halve(x))
        if stage != "c1":
            x = halve(x)
        for place, norm in self._convs[stage]:
            conv = cast(nn.Conv2d, self.features[place])  # Of _build_features, which noted its place.
            x = conv(x) if norm is None else conv_norm(x, conv, self.features[norm])
            x = x.relu_()
        return x

    def last_map(self, images: Tensor) -> Tensor:
        """The map that fc6 reads, behind the last pool: (N, C, H / 32, W / 32)."""
        x = images
        for stage in self.architecture.stages:
            x = self.run(stage, x)
        return halve(x)

    def logits(self, images: Tensor) -> Tensor:
        return self.classifier[_CLASSES](self._fc7(self.last_map(images)))

    def placed_logits(self, cells: Tensor, window: tuple[int, int]) -> Tensor:
        """fc6 as the convolution it is where a window has 7×7 cells; a window of other sides is pooled to them."""
        views, channels = cells.shape[:2]
        placed = F.unfold(cells, window).transpose(1, 2)  # (V, P, C · rows · columns)
        vectors = self._fc7(placed.reshape(-1, channels, *window))
        return self.classifier[_CLASSES](vectors).unflatten(0, (views, -1))

    def _fc7(self, cells: Tensor) -> Tensor:
        """(N, C, rows, columns) -> (N, fc_channels)."""
        x = averaged(cells, BINS).flatten(1)
        for layer in self.classifier[:_CLASSES]:
            x = layer(x)
        return x

    # Its parts

    def stage_of(self, name: str) -> str:
        """features.0.weight -> c1, classifier.3.bias -> fc7, classifier.6.bias -> fc."""
        part, place = name.split(".")[:2]
        if part == "classifier":
            return "fc" if int(place) == _CLASSES else "fc7"
        # The places of a stage end with that of its last convolution or norm.
        return next(stage for stage, convs in self._convs.items() if int(place) <= max(p or 0 for p in convs[-1]))

    def modules_of(self, stage: str) -> tuple[nn.Module, ...]:
        if stage == "fc7":
            return self.classifier[_FC6], self.classifier[_FC7]
        return tuple(self.features[place] for pair in self._convs[stage] for place in pair if place is not None)

    def take_stage(self, name: str) -> FullyConnected:
        """Take fc6 and fc7 out of the backbone, to be applied elsewhere: C4 runs them on each region.

        The backbone then ends in c5. Raises ValueError where no output would remain, and for any other stage.
        """
        self.outputs, self.stages = self.outputs_without(name), self.stages[:-1]
        fc6, fc7 = (cast(nn.Linear, self.classifier[place]) for place in (_FC6, _FC7))
        del self.classifier
        return FullyConnected(fc6, fc7, dropout=self.architecture.dropout)

    def freeze_norms_of(self, stage: str) -> None:
        for _, place in self._convs[stage]:
            if place is not None:
                self.features[place] = frozen(self.features[place])

    # How it is built

    def _build_features(self) -> nn.Sequential:
        net, channels = self.architecture, 3
        layers: list[nn.Module] = []
        for level, (stage, depth, width) in enumerate(zip(net.stages, net.depths, net.widths, strict=True)):
            self._convs[stage] = []
            for _ in range(depth):
                self._convs[stage].append((len(layers), len(layers) + 1 if net.batch_norm else None))
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                if net.batch_norm:
                    layers.append(make_norm(self.norms[stage], width, self.norm_eps))
                layers.append(nn.ReLU())
                channels = width
            layers.append(nn.MaxPool2d(2))
            self._stage_specs[stage] = FeatureSpec(width, 2**level)
        return nn.Sequential(*layers)

    def _build_classifier(self, num_classes: int | None) -> nn.Sequential:
        net = self.architecture
        layers: list[nn.Module] = []
        for channels in (net.widths[-1] * BINS**2, net.fc_channels):
            layers += [nn.Linear(channels, net.fc_channels), nn.ReLU(), nn.Dropout(net.dropout)]
        if num_classes is not None:
            layers.append(nn.Linear(net.fc_channels, num_classes))
        return nn.Sequential(*layers)

    def _initialize(self) -> None:
        """He initialization (He et al. 2015b), with which 16 layers learn without norms; the rest as in the source."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)


class Vgg(NetworkBackbone, VggLayers):
    """A VGG net as a backbone: normalized images (N, 3, H, W) -> feature maps by name."""
