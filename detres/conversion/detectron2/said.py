"""What is said of detectron2's weights beside their tensors, and what is assumed where nothing is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detres.backbones.architectures import StrideIn
from detres.config.detection_schema import ModelConfig
from detres.config.loading import Layer, layer_of
from detres.conversion.converted import Stated
from detres.conversion.detectron2.configs import Detectron2Config, is_detectron2s
from detres.conversion.detectron2.held import BGR_STATS
from detres.conversion.keys import asked, has_bottlenecks, override
from detres.errors import ConfigError, WeightsError
from detres.structures import IMAGENET_STATS, PixelStats

# What the tensors' buffers may hold as well as a config.
_TWICE = (
    *("model.anchors.sizes", "model.anchors.ratios"),
    *(f"model.backbone.pixel_stats.{part}" for part in ("mean", "std", "order")),
)


@dataclass(frozen=True)
class Beside:
    """What lies beside the tensors. config: detectron2's. inside: what the file says in keys of detres's."""

    config: Detectron2Config | None = None
    inside: tuple[Layer, ...] = ()

    def by_config(self, model: ModelConfig, stated: Stated) -> list[Layer]:
        """Raises ConfigError where the config is of other weights, or of what detres does not compute."""
        config = self.config
        if config is None:
            return []
        if wrong := config.contradictions(_by_weights(model)):
            raise ConfigError(f"{config.where}: not the config of these weights: {'; '.join(wrong)}")
        return config.layers(model.layout, has_bottlenecks=has_bottlenecks(model), over=stated.layers)

    @property
    def is_whole(self) -> bool:
        """Whether what the config leaves out is detectron2's default."""
        return self.config is not None and self.config.stands_alone


NOTHING_BESIDE = Beside()


def config_beside(path: Path, stated: Path | None) -> tuple[Detectron2Config | None, tuple[str, ...]]:
    """The config that goes with a file, and what there is to tell of it."""
    if stated is not None:
        return Detectron2Config.from_file(stated), ()
    own, usual = path.with_suffix(".yaml"), path.with_name("config.yaml")
    if is_detectron2s(own):
        try:
            config = Detectron2Config.from_file(own)
        except ConfigError as error:
            return None, (f"warning: not read, though it lies beside the weights: {error}",)
        return config, (f"{own}: read, which lies beside it; --config FILE reads another",)
    if is_detectron2s(usual):
        return None, (f"{usual}: lies beside it and is not read; if it is its own, add --config {usual}",)
    return None, ()


def by_user(stated: Stated) -> list[Layer]:
    layers = list(stated.layers)
    if stated.stride_in and asked(layers, "model.backbone.stride_in") is None:
        layers.append(layer_of("--stride-in", ("model", "backbone", "stride_in"), stated.stride_in))
    return layers


def check_agreement(held: Sequence[Layer], beside: Sequence[Layer], over: Sequence[Layer]) -> None:
    """Raise WeightsError where a file's buffers and its config contradict each other, and `over` does not decide."""
    for key in _TWICE:
        inside, stated = asked(held, key), asked(beside, key)
        if inside is None or stated is None or asked(over, key) is not None or _alike(inside, stated):
            continue
        raise WeightsError(
            f"it holds {override(key, inside)}, and its config says {override(key, stated)}; say which counts, with "
            f"{key}=…"
        )


def usual_stats(stride_in: StrideIn) -> PixelStats:
    """MSRA's weights stride in the 1x1 and want no deviations; torchvision's stride in the 3x3 and take RGB."""
    return BGR_STATS if stride_in == "1x1" else IMAGENET_STATS


def usual_stride(said: Sequence[Layer], model: ModelConfig, beside: Beside) -> StrideIn:
    """detectron2's default is 1x1; but weights that want deviations are torchvision's, or were trained as those are."""
    std = asked(said, "model.backbone.pixel_stats.std")
    deviates = std is not None and tuple(std) != BGR_STATS.std and not beside.is_whole
    return "3x3" if deviates or not has_bottlenecks(model) else "1x1"


def _by_weights(model: ModelConfig) -> dict[str, Any]:
    """What the tensors give away, by detectron2's keys."""
    roi, head = model.roi, "MODEL.ROI_BOX_HEAD."
    known: dict[str, Any] = {
        "MODEL.RESNETS.DEPTH": int(model.backbone.name.removeprefix("resnet")),
        "MODEL.ROI_HEADS.NUM_CLASSES": len(model.class_names or ()),
    }
    if len(model.class_names or ()) > 1:
        known[f"{head}CLS_AGNOSTIC_BBOX_REG"] = roi.class_agnostic
    if model.layout == "c4":
        return known
    known |= {
        f"{head}POOLER_RESOLUTION": roi.pool,
        f"{head}NUM_FC": roi.head_fcs,
        f"{head}FC_DIM": roi.head_fc_channels,
    }
    known[f"{head}NUM_CONV"] = roi.head_convs
    if roi.head_convs:
        known[f"{head}CONV_DIM"] = roi.head_conv_channels
    return known | ({"MODEL.FPN.OUT_CHANNELS": model.fpn.channels} if model.layout == "fpn" else {})


def _alike(one: Any, other: Any) -> bool:
    """Numbers in lists, of which one side was rounded."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_alike(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= 0.01
    return bool(one == other)
