"""What every backbone shows of itself, and what detres's own networks have in common.

These are stages in a row, each of which can be read, frozen and named.

N images, H×W pixels, P placements of a window, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from detres.backbones.architectures import Architecture, VggArchitecture
from detres.backbones.norms import Norm
from detres.backbones.pixels import normalize_pixels
from detres.backbones.weights.metadata import LoadReport
from detres.structures import FeatureSpec, PixelStats


class Backbone(nn.Module, ABC):
    """Normalized images (N, 3, H, W) -> feature maps by name: what build_backbone returns, whoever made its layers.

    name: as build_backbone took it. pixel_stats: what images are normalized by. load_report: what became of weights;
    None without them.
    """

    name: str
    pixel_stats: PixelStats
    load_report: LoadReport | None = None

    @property
    @abstractmethod
    def specs(self) -> Mapping[str, FeatureSpec]:
        """Channels and stride of each map that forward returns."""

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The maps by name, (N, channels, H / stride, W / stride)."""

    @abstractmethod
    def normalize(self, rgb: Tensor) -> Tensor:
        """uint8 RGB (N, H, W, 3) -> what forward takes, (N, 3, H, W) in pixel_stats.order, channels_last."""

    if TYPE_CHECKING:  # What torch leaves open: a backbone that is called gives what forward gives.

        def __call__(self, images: Tensor) -> dict[str, Tensor]: ...


class Network(nn.Module, ABC):
    """Stages, and what is read from them. What it is called with is its use's: NetworkBackbone's, or a classifier's.

    A subclass builds its layers, sets `outputs`, and says what its stages are made of. stages: names of all maps, in
    their order. norms: the kind of norm of each stage that has any. class_layer: the name of the last linear layer,
    which is there where classes are told apart. anchors: names of tensors by which a state dict is known to be such a
    network's; the first of them is where its names begin. load_report: what became of weights; None without them.

    Its constructor takes, of build_backbone's choices, those that it has as parameters; others are refused where they
    are made, in words: `lacks` is what the network has not, for people.
    """

    load_report: LoadReport | None = None
    class_layer: str
    anchors: tuple[str, ...]
    lacks: str = "no such choice"
    outputs: tuple[str, ...]

    def __init__(
        self,
        architecture: Architecture | VggArchitecture,
        name: str,
        *,
        norm: Norm | Mapping[str, Norm],
        norm_eps: float,
        pixel_stats: PixelStats | None,
    ) -> None:
        super().__init__()
        self.architecture, self.name, self.norm_eps = architecture, name, norm_eps
        self.pixel_stats = pixel_stats or architecture.pixel_stats
        self.stages = architecture.stages
        self.norms: dict[str, Norm] = {
            stage: norm if isinstance(norm, str) else norm[stage] for stage in architecture.normed_stages
        }
        self._stage_specs: dict[str, FeatureSpec] = {}

    # What it computes

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """The maps named in `outputs` by name; nothing behind the last of them is computed.

        images: normalized, (N, 3, H, W).
        """
        x, features = images, {}
        for stage in self.stages[: self.stages.index(self.outputs[-1]) + 1]:
            x = self.run(stage, x)
            if stage in self.outputs:
                features[stage] = x
        return features

    @abstractmethod
    def run(self, stage: str, x: Tensor) -> Tensor:
        """The map of one stage from that of the stage before; the first one's is from the images."""

    def last_map(self, images: Tensor) -> Tensor:
        """The map that classes are told from, (N, C, H / stride, W / stride), without keeping the others."""
        x = images
        for stage in self.stages:
            x = self.run(stage, x)
        return x

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Class scores before the softmax, (N, K)."""

    @abstractmethod
    def placed_logits(self, cells: Tensor, window: tuple[int, int]) -> Tensor:
        """Class scores under every placement of a window of rows and columns on last_map's cells, (N, P, K)."""

    def normalize(self, rgb: Tensor) -> Tensor:
        """uint8 RGB (N, H, W, 3) -> what maps takes, (N, 3, H, W) in pixel_stats.order, channels_last."""
        return normalize_pixels(rgb, self.pixel_stats, next(self.parameters()).dtype)

    # Its parts

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """Channels and stride of each map that `maps` returns."""
        return {stage: self._stage_specs[stage] for stage in self.outputs if stage in self._stage_specs}

    @property
    def num_classes(self) -> int | None:
        """None where it has no layer that tells classes apart."""
        layer = dict(self.named_modules()).get(self.class_layer)
        return layer.out_features if isinstance(layer, nn.Linear) else None

    @property
    def form(self) -> dict[str, Any]:
        """What else makes another function of the same weights, by the names of WeightsMetadata."""
        return {}

    @abstractmethod
    def stage_of(self, name: str) -> str:
        """The stage that a parameter or a module belongs to, by its name; "fc" for the layer that tells classes."""

    @abstractmethod
    def modules_of(self, stage: str) -> Sequence[nn.Module]:
        """The modules that hold the parameters of a stage."""

    def checked_outputs(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """In the order of the stages. Raises ValueError for what is no stage."""
        unknown = [output for output in outputs if output not in self.stages]
        if unknown:
            raise ValueError(f"{self.name} has no {', '.join(unknown)}; its stages are {', '.join(self.stages)}")
        return tuple(stage for stage in self.stages if stage in outputs)

    def outputs_without(self, name: str) -> tuple[str, ...]:
        """What is left when the last stage is taken. Raises ValueError for any other stage, and where nothing is."""
        left = tuple(output for output in self.outputs if output != name)
        if name != self.stages[-1] or not left:
            raise ValueError(f"cannot take {name} from stages {self.stages} with outputs {self.outputs}")
        return left

    # What it does not learn

    def freeze_norms(self, stages: Sequence[str]) -> None:
        """Make the batch norms of these stages constants; group norms have no statistics and stay."""
        for stage in stages:
            if stage in self.norms:
                self.freeze_norms_of(stage)
                if self.norms[stage] != "group":
                    self.norms[stage] = "frozen"

    @abstractmethod
    def freeze_norms_of(self, stage: str) -> None:
        """Replace the batch norms of one stage by constants."""

    def freeze_stages(self, count: int) -> None:
        """Learn nothing in the first `count` stages: 1 is c1, 2 c1 and c2, and so on.

        Their batch norms become constants, so .train() has nothing to wake up.
        """
        names = self.stages[:count]
        self.freeze_norms(names)
        for name in names:
            for module in self.modules_of(name):
                module.requires_grad_(False)


class NetworkBackbone(Network, Backbone):
    """A network as a backbone: normalized images (N, 3, H, W) -> feature maps by name."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The maps named in `outputs`; nothing behind the last of them is computed."""
        return self.maps(images)
