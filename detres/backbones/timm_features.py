"""Any of timm's models with a feature pyramid, behind the face of detres's own backbones.

Levels are chosen by their stride (2 to 32 make c1 to c5), never by their position: models differ in what comes first.
N images, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import timm
from timm.models import FeatureInfo
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from detres.backbones.network import Backbone
from detres.backbones.pixels import normalize_pixels, stats_of_shares
from detres.backbones.weights.files import WeightsFile, read_weights, write_weights
from detres.backbones.weights.metadata import LoadReport, WeightsMetadata
from detres.backbones.weights.tags import fetch, find_published, is_tag
from detres.errors import ConfigError, WeightsError
from detres.structures import FeatureSpec, PixelStats

_STRIDES = {"c1": 2, "c2": 4, "c3": 8, "c4": 16, "c5": 32}
# float32 values in the widest register of a CPU.
_REGISTER = 16


def build_timm_features(
    name: str,
    *,
    weights: str | Path | None = None,
    outputs: Sequence[str] = ("c2", "c3", "c4", "c5"),
    norm: Literal["batch", "frozen"] | None = None,
    metadata: WeightsMetadata | None = None,
) -> TimmFeatures:
    """The backbone timm/NAME, as build_backbone describes it.

    norm: None freezes batch norms where weights were loaded. metadata: of weights that the caller loads later.
    Raises ConfigError where timm has no such model, or the model no such levels.
    """
    model = name.removeprefix("timm/")
    if not timm.is_model(model):
        close = timm.list_models(f"*{model.split('_')[0]}*")[:5]
        raise ConfigError(f"backbone {name}: timm has no model {model!r}; it has {', '.join(close) or 'others'}")
    if norm not in (None, "batch", "frozen"):
        raise ConfigError(f"backbone {name}: norm is {norm!r}; for timm's models it may be batch or frozen")
    if norm == "frozen" and weights is None and metadata is None:
        raise ConfigError(f"backbone {name}: norm=frozen needs weights with statistics, and weights is null")
    file = _find_weights(weights, name) if weights is not None else None
    backbone = _create(name, outputs, file)
    if metadata is not None:
        backbone.pixel_stats = metadata.pixel_stats
    if norm == "frozen" or (norm is None and file is not None):
        backbone.freeze_norms()
    if file is not None:
        backbone.load_report = _report(backbone, file)
    return backbone


class TimmFeatures(Backbone):
    """Normalized images (N, 3, H, W) -> feature maps by name, (N, channels, H / stride, W / stride)."""

    def __init__(self, net: nn.Module, name: str, levels: Mapping[str, int], *, pixel_stats: PixelStats) -> None:
        """levels: of the maps that `net` returns, the position of each output."""
        super().__init__()
        _thin_before_strided_points(net)
        self.net, self.name, self.levels, self.pixel_stats = net, name, dict(levels), pixel_stats
        channels, strides = _pyramid(net).channels(), _pyramid(net).reduction()
        self._specs = {stage: FeatureSpec(channels[level], strides[level]) for stage, level in levels.items()}
        self.outputs = tuple(levels)
        self.norms_frozen = False
        # Transformers with windows keep their maps as (N, H, W, C).
        self._channels_last_axis = str(getattr(net, "output_fmt", "NCHW")).endswith("NHWC")

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        return self._specs

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.net(images)
        chosen = {stage: maps[level] for stage, level in self.levels.items()}
        return {k: v.permute(0, 3, 1, 2) for k, v in chosen.items()} if self._channels_last_axis else chosen

    def normalize(self, rgb: Tensor) -> Tensor:
        """uint8 RGB (N, H, W, 3) -> what forward takes, (N, 3, H, W), channels_last."""
        return normalize_pixels(rgb, self.pixel_stats, next(self.parameters()).dtype)

    def freeze_norms(self) -> None:
        """Make batch norms constants for good; timm's hold an activation too, so they stay what they are."""
        self.norms_frozen = True
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> TimmFeatures:
        super().train(mode)
        if self.norms_frozen:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def save_timm_features(path: Path | str, backbone: TimmFeatures, *, recipe: str = "") -> None:
    """Write the weights as safetensors that build_backbone(name, weights=path) takes."""
    metadata = WeightsMetadata(backbone.name, backbone.pixel_stats, recipe=recipe)
    write_weights(Path(path), backbone.state_dict(), metadata)


def check_timm_weights(file: WeightsFile) -> None:
    """Raise WeightsError where a file's names or shapes are not those of the model that its metadata name."""
    name = file.metadata.architecture
    backbone = build_timm_features(name)
    outputs = backbone.outputs
    loaded = _create(name, outputs, file)
    if missing := [n for n in _report(loaded, file).missing if not n.endswith("num_batches_tracked")]:
        raise WeightsError(
            f"{file.source}: no weights of {name}: {len(missing)} of its {len(loaded.state_dict())} names are missing, "
            f"such as {missing[0].removeprefix('net.')}"
        )


def _create(name: str, outputs: Sequence[str], file: WeightsFile | None) -> TimmFeatures:
    own = file if file is not None and all(tensor.startswith("net.") for tensor in file.tensors) else None
    options: dict[str, Any] = {}
    if file is not None and own is None:
        # timm renames what older files name differently, and drops the classifier.
        options = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": file.tensors}}
    net, any_size = _features(name, options)
    levels = _levels(name, _pyramid(net).reduction(), outputs)
    if not any_size:
        size = "×".join(map(str, _published_cfg(net)["input_size"][1:]))
        raise ConfigError(f"backbone {name} takes images of {size} pixels only; a detector needs any size")
    if max(levels.values()) < len(_pyramid(net).reduction()) - 1:
        # Without the stages behind the last output: nothing is computed in vain, and every parameter is used.
        net, _ = _features(name, {**options, "out_indices": tuple(range(max(levels.values()) + 1))})
    backbone = TimmFeatures(net, name, levels, pixel_stats=file.metadata.pixel_stats if file else _pixel_stats(net))
    if own is not None:
        try:
            backbone.load_state_dict(own.tensors)
        except RuntimeError as error:
            raise WeightsError(f"{own.source}: does not fit {name} with outputs {backbone.outputs}: {error}") from error
    return backbone


def _features(name: str, options: Mapping[str, Any]) -> tuple[nn.Module, bool]:
    """The model as a pyramid, and whether it takes images of any size."""
    model = name.removeprefix("timm/")
    try:
        try:
            # Some transformers with windows are made for one size of image unless told otherwise.
            return timm.create_model(model, features_only=True, strict_img_size=False, **options), True
        except TypeError:
            net = timm.create_model(model, features_only=True, **options)
            return net, not _published_cfg(net).get("fixed_input_size")
    except (RuntimeError, AttributeError, AssertionError, NotImplementedError) as error:
        kind = WeightsError if options.get("pretrained") else ConfigError
        raise kind(f"backbone {name}: timm cannot make a feature pyramid of it: {error}") from error


def _pyramid(net: nn.Module) -> FeatureInfo:
    """Channels and strides of the maps that a pyramid of timm's returns."""
    return cast(FeatureInfo, net.feature_info)  # torch takes every attribute of a module for a tensor or a module.


def _published_cfg(net: nn.Module) -> Mapping[str, Any]:
    """What timm says of a model's weights."""
    return cast(Mapping[str, Any], net.pretrained_cfg)


def _thin_before_strided_points(net: nn.Module) -> None:
    """Have 1×1 convolutions that stride over few channels given every stride-th cell instead, which is the same.

    In channels_last their weights' gradient writes past its memory on CPUs, mostly a segmentation fault, where channels
    are fewer than a vector register holds (oneDNN issue 6035, in torch 2.15). RepVGG and FastViT have such a layer on
    the image. A contiguous input would not do: the layer follows its weight, whose layout is the whole model's.
    """
    for conv in net.modules():
        if not isinstance(conv, nn.Conv2d) or conv.kernel_size != (1, 1) or conv.padding != (0, 0):
            continue
        if conv.stride != (1, 1) and conv.in_channels < _REGISTER:
            # A hook, since some of timm's convolutions have a forward of their own.
            down, along = conv.stride
            conv.register_forward_pre_hook(partial(_thin, (down, along)))
            conv.stride = (1, 1)


def _thin(stride: tuple[int, int], conv: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    return inputs[0][:, :, :: stride[0], :: stride[1]]


def _levels(name: str, reductions: Sequence[int], outputs: Sequence[str]) -> dict[str, int]:
    """The last level of each output's stride, by stage."""
    deepest = {reduction: level for level, reduction in enumerate(reductions)}
    unknown = [stage for stage in outputs if stage not in _STRIDES]
    if unknown:
        raise ConfigError(f"backbone {name}: outputs may be {', '.join(_STRIDES)}, not {', '.join(unknown)}")
    absent = [f"{stage} (stride {_STRIDES[stage]})" for stage in outputs if _STRIDES[stage] not in deepest]
    if absent:
        raise ConfigError(
            f"backbone {name} has maps of stride {', '.join(map(str, reductions))}, so no {', '.join(absent)}; a "
            "detector needs a pyramid of strides 4 to 32, as convolutional nets and Swin have and plain ViTs lack"
        )
    return {stage: deepest[stride] for stage, stride in _STRIDES.items() if stage in outputs}


def _pixel_stats(net: nn.Module) -> PixelStats:
    return stats_of_shares(_published_cfg(net)["mean"], _published_cfg(net)["std"])


def _find_weights(weights: str | Path, name: str) -> WeightsFile:
    model, _, tag = name.removeprefix("timm/").partition(".")
    if isinstance(weights, str) and is_tag(weights):
        published = find_published(f"timm/{tag or _usual_tag(model)}" if weights == "pretrained" else weights, model)
        assert published.metadata is not None, "a backbone's file states them"
        _check_form(published.tag, published.metadata, name)
        return read_weights(fetch(published), metadata=published.metadata)
    file = read_weights(Path(weights).expanduser())
    if file.metadata.architecture.removeprefix("timm/").partition(".")[0] != model:
        raise WeightsError(f"{file.source}: weights of {file.metadata.architecture}, not of {name}")
    _check_form(file.source, file.metadata, name)
    return file


def _usual_tag(model: str) -> str | None:
    stated = timm.get_pretrained_cfg(model)
    return stated.tag if stated else None


def _check_form(source: str, known: WeightsMetadata, name: str) -> None:
    """Names alone may fit a ResNet of another form than timm's, and give other features without a word."""
    if (known.stride_in, known.pool, known.norm_eps) != ("3x3", "torch", 1e-5):
        raise WeightsError(
            f"{source}: trained with the stride in the {known.stride_in}, {known.pool}'s first pool and norm eps "
            f"{known.norm_eps:g}; {name} has the 3x3, torch's and 1e-05. Use the backbone {known.architecture}"
        )


def _report(backbone: TimmFeatures, file: WeightsFile) -> LoadReport:
    # Wrapping a model for its features joins some names with underscores: stages.0.conv becomes stages_0.conv.
    wanted = {key.removeprefix("net.").replace(".", "_"): key for key in backbone.state_dict()}
    given = {key.removeprefix("net.").replace(".", "_"): key for key in file.tensors}
    return LoadReport(
        source=file.source,
        loaded=tuple(key for joined, key in wanted.items() if joined in given),
        missing=tuple(key for joined, key in wanted.items() if joined not in given),
        left_over=tuple(key for joined, key in given.items() if joined not in wanted),
        metadata=file.metadata,
        norms=dict.fromkeys(backbone.outputs, "frozen" if backbone.norms_frozen else "batch"),
    )
