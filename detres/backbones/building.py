"""From a name and a few choices to a backbone, with its weights loaded and everything that was decided reported."""

from __future__ import annotations

import difflib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch.distributed as dist
from torch import nn

from detres.backbones.architectures import BACKBONES, Shortcut, StrideIn
from detres.backbones.metadata import WeightsMetadata
from detres.backbones.norms import Norm
from detres.backbones.pretrained import find_weights, load_weights, loaded_stages
from detres.backbones.resnet import ResNet
from detres.errors import ConfigError, WeightsError

R = TypeVar("R", bound=ResNet)


def list_backbones() -> list[str]:
    """Names that build_backbone takes; besides, timm/NAME for any of timm's, and module:callable for your own."""
    return list(BACKBONES)


def build_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    outputs: Sequence[str] | None = None,
    shortcut: Shortcut | None = None,
    stride_in: StrideIn | None = None,
    output_stride: Literal[8, 16, 32] = 32,
    norm: Norm | Mapping[str, Norm] | None = None,
    norm_eps: float | None = None,
    frozen_stages: int = 0,
    zero_init_last: bool = False,
    allow_mismatch: bool = False,
    metadata: WeightsMetadata | None = None,
) -> nn.Module:
    """A backbone: normalized images (N, 3, H, W) -> feature maps by name, with specs, pixel_stats and normalize.

    name: one of list_backbones(), timm/NAME, or module:callable, which is called with the choices that were made.
    weights: a file, a tag, or "pretrained". outputs: c1..c5; None: every stage but c1. shortcut: None is the
    architecture's own. stride_in: None is as the weights were trained, else "3x3". norm: of all stages or of each by
    name; None is frozen where statistics were loaded, and batch elsewhere. norm_eps: None is as the weights were
    trained, else 1e-5. frozen_stages: 1 is c1, 2 c1 and c2, ...; they must have been loaded. zero_init_last: blocks
    start as their shortcut. allow_mismatch: use weights with another stride placement or shortcut than their own.
    metadata: of weights that the caller loads later (a detector's file holds more than a backbone); None otherwise.
    backbone.load_report says what was loaded and decided; it is None without weights.
    Raises ConfigError for choices that contradict each other, WeightsError for weights that do not fit.
    """
    choices = Choices(
        weights=weights,
        outputs=outputs,
        shortcut=shortcut,
        stride_in=stride_in,
        output_stride=output_stride,
        norm=norm,
        norm_eps=norm_eps,
        frozen_stages=frozen_stages,
        zero_init_last=zero_init_last,
        allow_mismatch=allow_mismatch,
        metadata=metadata,
    )
    if name in BACKBONES:
        return build_resnet(ResNet, name, choices)
    if name.startswith("timm/"):
        return _build_timm(name, choices)
    if ":" in name:
        return _build_own(name, choices)
    close = difflib.get_close_matches(name, BACKBONES, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    known = ", ".join(BACKBONES)
    raise ConfigError(f"backbone {name!r} is unknown; {meant}There are {known}, timm/NAME and module:callable")


@dataclass(frozen=True)
class Choices:
    """The arguments of build_backbone, and what only a classifier's training asks of ResNet; they explain them."""

    weights: str | Path | None = None
    outputs: Sequence[str] | None = None
    shortcut: Shortcut | None = None
    stride_in: StrideIn | None = None
    output_stride: Literal[8, 16, 32] = 32
    norm: Norm | Mapping[str, Norm] | None = None
    norm_eps: float | None = None
    frozen_stages: int = 0
    zero_init_last: bool = False
    drop_path: float = 0.0
    checkpoint_blocks: bool = False
    allow_mismatch: bool = False
    metadata: WeightsMetadata | None = None

    def made(self) -> dict[str, Any]:
        """Those that differ from the default."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {field.name: values[field.name] for field in fields(self) if values[field.name] != field.default}


def build_resnet(kind: type[R], name: str, choices: Choices, *, num_classes: int | None = None) -> R:
    """The ResNet, or the subclass `kind`, that the choices describe; with fc where num_classes is given."""
    _check_choices(name, choices)
    file = find_weights(choices.weights, name) if choices.weights is not None else None
    own = BACKBONES[name]
    known = file.metadata if file else choices.metadata
    notes = _departures(name, choices, known) if known else ()
    known = known or WeightsMetadata(name, own.pixel_stats)
    try:
        net = kind(
            own,
            name,
            outputs=choices.outputs,
            shortcut=choices.shortcut or known.shortcut,
            stride_in=choices.stride_in or known.stride_in,
            output_stride=choices.output_stride,
            norm=choices.norm or "batch",
            norm_eps=known.norm_eps if choices.norm_eps is None else choices.norm_eps,
            zero_init_last=choices.zero_init_last,
            drop_path=choices.drop_path,
            checkpoint_blocks=choices.checkpoint_blocks,
            pool=known.pool,
            pixel_stats=known.pixel_stats,
            num_classes=num_classes,
        )
    except ValueError as error:
        raise ConfigError(f"backbone {name}: {error}") from error
    report = load_weights(net, file, notes=notes) if file else None
    _freeze(net, loaded_stages(net, report), choices)
    net.load_report = replace(report, norms=dict(net.norms)) if report else None
    return net


def _check_choices(name: str, choices: Choices) -> None:
    """What contradicts the architecture or the machine, whatever the weights."""
    own = BACKBONES[name]
    if choices.metadata is not None and (choices.weights is not None or choices.metadata.architecture != name):
        raise ConfigError(f"backbone {name}: metadata is of weights loaded later, and of {name}; leave one out")
    if own.shortcut == "plain" and choices.shortcut not in (None, "plain"):
        raise ConfigError(f"backbone {name} has no shortcuts, got shortcut={choices.shortcut!r}; use a resnet")
    if choices.stride_in == "1x1" and own.block != "bottleneck":
        raise ConfigError(f"backbone {name} has no 1x1 convolution to stride in; leave stride_in out")
    if choices.output_stride not in (8, 16, 32):
        raise ConfigError(f"backbone {name}: output_stride is {choices.output_stride}; it may be 32, 16 or 8")
    if not 0 <= choices.frozen_stages <= len(own.depths) + 1:
        raise ConfigError(f"backbone {name}: frozen_stages is {choices.frozen_stages} of {len(own.depths) + 1} stages")
    if isinstance(choices.norm, Mapping):
        stages = {f"c{level}" for level in range(1, len(own.depths) + 2)}
        if set(choices.norm) != stages:
            raise ConfigError(f"backbone {name}: norm names {sorted(choices.norm)}; its stages are {sorted(stages)}")
    kinds = choices.norm.values() if isinstance(choices.norm, Mapping) else [choices.norm]
    if "sync" in kinds and dist.is_initialized() and dist.get_backend() == "gloo":
        raise ConfigError("norm=sync is not to be had between CPU processes; use batch or group, or GPUs")


def _departures(name: str, choices: Choices, known: WeightsMetadata) -> tuple[str, ...]:
    """Where the choices leave the way the weights were trained; harmful ones only with allow_mismatch."""
    harmful = []
    if choices.stride_in not in (None, known.stride_in) and BACKBONES[name].block == "bottleneck":
        harmful.append(f"trained with the stride in the {known.stride_in}, asked to stride in the {choices.stride_in}")
    trained = known.shortcut or BACKBONES[name].shortcut
    if choices.shortcut not in (None, trained):
        harmful.append(f"trained with shortcut {trained}, asked for shortcut {choices.shortcut}")
    if harmful and not choices.allow_mismatch:
        where = choices.weights or known.architecture
        raise WeightsError(f"{where}: {'; '.join(harmful)}. Leave it to the weights, or say allow_mismatch=True")
    if choices.norm_eps not in (None, known.norm_eps):
        harmful.append(f"norm eps {choices.norm_eps:g} as asked, trained with {known.norm_eps:g}")
    return tuple(harmful)


def _freeze(net: ResNet, loaded: tuple[str, ...], choices: Choices) -> None:
    # Weights that the caller loads later are taken to be whole.
    absent = [] if choices.metadata is not None else [stage for stage in net.stages if stage not in loaded]
    if choices.norm is None:
        net.freeze_norms(loaded)
    if choices.norm == "frozen" and choices.weights is not None and absent:
        raise WeightsError(
            f"{choices.weights}: norm=frozen needs statistics, and {', '.join(absent)} were not loaded; leave norm "
            "out, and norms are frozen only where there are any"
        )
    missing = [stage for stage in net.stages[: choices.frozen_stages] if stage in absent]
    if missing:
        raise WeightsError(
            f"frozen_stages={choices.frozen_stages} freezes {', '.join(missing)} of {net.name}, not loaded from "
            f"{choices.weights or 'anywhere: there are no weights'}; it would stay random for good. "
            f"Load them, or freeze fewer stages, none by model.backbone.frozen_stages=0"
        )
    net.freeze_stages(choices.frozen_stages)


def _build_timm(name: str, choices: Choices) -> nn.Module:
    from detres.backbones.timm_features import build_timm_features  # importing timm takes a second

    made = choices.made()
    foreign = [key for key in made if key not in ("weights", "outputs", "norm", "metadata")]
    if foreign:
        unset = [f"{field.name}={json.dumps(field.default)}" for field in fields(Choices) if field.name in foreign]
        if choices.weights is not None:
            unset.append("weights=null (or weights of this model)")
        raise ConfigError(
            f"backbone {name}: {', '.join(foreign)} are choices of detres's own ResNets; leave them out, in a config "
            f"by {' '.join('model.backbone.' + each for each in unset)}"
        )
    return build_timm_features(name, **made)


def _build_own(name: str, choices: Choices) -> nn.Module:
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"backbone {name}: {error}; module:callable names something that can be imported") from error
    backbone = factory(**choices.made())
    lacking = [part for part in ("specs", "pixel_stats", "normalize") if not hasattr(backbone, part)]
    if lacking:
        raise ConfigError(f"backbone {name}: what it returns lacks {', '.join(lacking)}; see detres.backbones.resnet")
    if not hasattr(backbone, "load_report"):
        backbone.load_report = None
    return backbone
