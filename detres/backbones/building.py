"""From a name and a few choices to a backbone, with its weights loaded and everything that was decided reported."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, overload

import torch.distributed as dist

from detres.backbones.architectures import BACKBONES, Architecture, Shortcut, ShortcutPadding, StrideIn, VggArchitecture
from detres.backbones.network import Backbone, Network, NetworkBackbone
from detres.backbones.norms import Norm
from detres.backbones.weights.metadata import LoadReport, WeightsMetadata
from detres.errors import ConfigError, WeightsError
from detres.lookup import find, heeded, heeds
from detres.own_code import call_own, find_own_function

AnyNetwork = TypeVar("AnyNetwork", bound=Network)

_AS_TRAINED = ("shortcut", "shortcut_padding", "stride_in")
"""Choices that make another function of the same weights."""
_OF_SOME = (*_AS_TRAINED, "output_stride", "zero_init_last", "drop_path", "checkpoint_blocks")
"""Choices that some networks have: those whose constructors have a parameter of the name."""


def list_backbones() -> list[str]:
    """Names that build_backbone takes; besides, timm/NAME for any of timm's, and module:callable for your own."""
    return list(BACKBONES)


def build_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    outputs: Sequence[str] | None = None,
    shortcut: Shortcut | None = None,
    shortcut_padding: ShortcutPadding | None = None,
    stride_in: StrideIn | None = None,
    output_stride: Literal[8, 16, 32] = 32,
    norm: Norm | Mapping[str, Norm] | None = None,
    norm_eps: float | None = None,
    frozen_stages: int = 0,
    zero_init_last: bool = False,
    allow_mismatch: bool = False,
    checkpoint_blocks: bool = False,
    metadata: WeightsMetadata | None = None,
) -> Backbone:
    """A backbone: normalized images (N, 3, H, W) -> feature maps by name, with specs, pixel_stats and normalize.

    name: one of list_backbones(), timm/NAME, or module:callable, which is called with the choices that were made.
    weights: a file, a tag, or "pretrained". outputs: c1..c5, and fc7 of VGG; None: every map but c1. shortcut: None is
    the architecture's own. shortcut_padding: where shortcuts A have their zeros, "end" or "both"; None is as the
    weights were trained, else "end". stride_in: None is as the weights were trained, else "3x3". norm: of all stages or
    of each by name; None is frozen where statistics were loaded, and batch elsewhere. norm_eps: None is as the weights
    were trained, else 1e-5. frozen_stages: 1 is c1, 2 c1 and c2, ...; they must have been loaded. zero_init_last:
    blocks start as their shortcut. allow_mismatch: use weights with another stride placement or shortcut than their
    own. checkpoint_blocks: compute blocks anew in the backward pass instead of keeping their maps. metadata: of weights
    that the caller loads later (a detector's file holds more than a backbone); None otherwise.
    backbone.load_report says what was loaded and decided; it is None without weights.
    Raises ConfigError for choices that contradict each other, WeightsError for weights that do not fit.
    """
    choices = Choices(
        weights=weights,
        outputs=outputs,
        shortcut=shortcut,
        shortcut_padding=shortcut_padding,
        stride_in=stride_in,
        output_stride=output_stride,
        norm=norm,
        norm_eps=norm_eps,
        frozen_stages=frozen_stages,
        zero_init_last=zero_init_last,
        allow_mismatch=allow_mismatch,
        checkpoint_blocks=checkpoint_blocks,
        metadata=metadata,
    )
    if name in BACKBONES:
        return build_network(name, choices)
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
    """The arguments of build_backbone, and what only a classifier's training asks of a net; they explain them."""

    weights: str | Path | None = None
    outputs: Sequence[str] | None = None
    shortcut: Shortcut | None = None
    shortcut_padding: ShortcutPadding | None = None
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


@overload
def build_network(name: str, choices: Choices, *, num_classes: int | None = None) -> NetworkBackbone: ...


@overload
def build_network(
    name: str,
    choices: Choices,
    *,
    num_classes: int | None = None,
    kind: Callable[[type[NetworkBackbone]], type[AnyNetwork]],
) -> AnyNetwork: ...


def build_network(
    name: str,
    choices: Choices,
    *,
    num_classes: int | None = None,
    kind: Callable[[type[NetworkBackbone]], type[Any]] | None = None,
) -> Any:
    """The network of list_backbones() that the choices describe; with the last layer where num_classes is given.

    kind: from the architecture's network, a backbone, to the subclass of it that is built instead.
    """
    _check_choices(name, choices)
    file = None
    if choices.weights is not None:
        # The readers of every project's weights, which a backbone without any does not need.
        from detres.backbones.weights.loading import find_weights, load_weights

        file = find_weights(choices.weights, name)
    own = BACKBONES[name]
    known = file.metadata if file else choices.metadata
    notes = _departures(name, choices, known) if known else ()
    known = known or WeightsMetadata(name, own.pixel_stats)
    network = find(own.network)
    try:
        net = (network if kind is None else kind(network))(
            own,
            name,
            outputs=choices.outputs,
            norm=choices.norm or "batch",
            norm_eps=known.norm_eps if choices.norm_eps is None else choices.norm_eps,
            pixel_stats=known.pixel_stats,
            num_classes=num_classes,
            **heeded(network, _offered(choices, known)),
        )
    except ValueError as error:
        raise ConfigError(f"backbone {name}: {error}") from error
    report = load_weights(net, file, notes=notes) if file else None
    _freeze(net, _loaded_stages(net, report), choices)
    net.load_report = replace(report, norms=dict(net.norms)) if report else None
    return net


def _offered(choices: Choices, known: WeightsMetadata) -> dict[str, Any]:
    """What some networks heed; whatever the choices leave open is as the weights were trained."""
    return {key: getattr(choices, key) for key in _OF_SOME} | {
        "shortcut": choices.shortcut or known.shortcut,
        "shortcut_padding": choices.shortcut_padding or known.shortcut_padding or "end",
        "stride_in": choices.stride_in or known.stride_in,
        "pool": known.pool,
    }


def _check_choices(name: str, choices: Choices) -> None:
    """What contradicts the architecture or the machine, whatever the weights."""
    own = BACKBONES[name]
    _check_heeded(name, own, choices)
    if isinstance(own, Architecture):
        _check_residual(name, own, choices)
    if choices.metadata is not None and (choices.weights is not None or choices.metadata.architecture != name):
        raise ConfigError(f"backbone {name}: metadata is of weights loaded later, and of {name}; leave one out")
    if not 0 <= choices.frozen_stages <= len(own.stages):
        raise ConfigError(f"backbone {name}: frozen_stages is {choices.frozen_stages} of {len(own.stages)} stages")
    if isinstance(choices.norm, Mapping) and set(choices.norm) != set(own.normed_stages):
        stages = sorted(own.normed_stages)
        raise ConfigError(f"backbone {name}: norm names {sorted(choices.norm)}; its stages are {stages}")
    kinds = choices.norm.values() if isinstance(choices.norm, Mapping) else [choices.norm]
    if "sync" in kinds and dist.is_initialized() and dist.get_backend() == "gloo":
        raise ConfigError("norm=sync is not to be had between CPU processes; use batch or group, or GPUs")


def _check_residual(name: str, own: Architecture, choices: Choices) -> None:
    if own.shortcut == "plain" and choices.shortcut not in (None, "plain"):
        raise ConfigError(f"backbone {name} has no shortcuts, got shortcut={choices.shortcut!r}; use a resnet")
    known = choices.metadata.shortcut if choices.metadata else None
    shortcut = choices.shortcut or known or own.shortcut
    if choices.shortcut_padding is not None and shortcut != "A" and choices.weights is None:
        raise ConfigError(
            f"backbone {name}: shortcut_padding is of shortcuts A, and its are {shortcut}; leave it out, or set "
            "shortcut=A"
        )
    if choices.stride_in == "1x1" and own.block != "bottleneck":
        raise ConfigError(f"backbone {name} has no 1x1 convolution to stride in; leave stride_in out")
    if choices.output_stride not in (8, 16, 32):
        raise ConfigError(f"backbone {name}: output_stride is {choices.output_stride}; it may be 32, 16 or 8")


def _check_heeded(name: str, own: Architecture | VggArchitecture, choices: Choices) -> None:
    """What the architecture's network has no parameter for, and norms where it has none."""
    network, made = find(own.network), choices.made()
    taken = {key for key in _OF_SOME if heeds(network, key)}
    taken |= {"allow_mismatch"} if taken & {*_AS_TRAINED} else set()
    foreign = [key for key in (*_OF_SOME, "allow_mismatch") if key in made and key not in taken]
    if foreign:
        raise ConfigError(
            f"backbone {name} has {network.lacks}, got {_listed(made, foreign)}; leave them out, in a config by "
            f"{_unset(foreign)}"
        )
    normless = [] if own.normed_stages else [key for key in ("norm", "norm_eps") if key in made]
    if normless:
        normed = f", or use {name}_bn" if f"{name}_bn" in BACKBONES else ""
        raise ConfigError(
            f"backbone {name} has no norms, got {_listed(made, normless)}; leave them out, in a config by "
            f"{_unset(normless)}{normed}"
        )


def _departures(name: str, choices: Choices, known: WeightsMetadata) -> tuple[str, ...]:
    """Where the choices leave the way the weights were trained; harmful ones only with allow_mismatch."""
    own = BACKBONES[name]
    harmful = _harmful_departures(own, choices, known) if isinstance(own, Architecture) else []
    if harmful and not choices.allow_mismatch:
        where = choices.weights or known.architecture
        raise WeightsError(f"{where}: {'; '.join(harmful)}. Leave it to the weights, or say allow_mismatch=True")
    if choices.norm_eps not in (None, known.norm_eps):
        harmful.append(f"norm eps {choices.norm_eps:g} as asked, trained with {known.norm_eps:g}")
    return tuple(harmful)


def _harmful_departures(own: Architecture, choices: Choices, known: WeightsMetadata) -> list[str]:
    found = []
    if choices.stride_in not in (None, known.stride_in) and own.block == "bottleneck":
        found.append(f"trained with the stride in the {known.stride_in}, asked to stride in the {choices.stride_in}")
    trained = known.shortcut or own.shortcut
    if choices.shortcut not in (None, trained):
        found.append(f"trained with shortcut {trained}, asked for shortcut {choices.shortcut}")
    padded = known.shortcut_padding  # None: nobody said, so the choice is free
    if padded is not None and choices.shortcut_padding not in (None, padded):
        found.append(f"trained with shortcuts padded at {padded}, asked for {choices.shortcut_padding}")
    return found


def _loaded_stages(net: Network, report: LoadReport | None) -> tuple[str, ...]:
    """The stages of which nothing is missing."""
    if report is None:
        return ()
    incomplete = {net.stage_of(name) for name in report.missing}
    return tuple(stage for stage in net.stages if stage not in incomplete)


def _freeze(net: Network, loaded: tuple[str, ...], choices: Choices) -> None:
    # Weights that the caller loads later are taken to be whole.
    absent = [] if choices.metadata is not None else [stage for stage in net.stages if stage not in loaded]
    if choices.norm is None:
        net.freeze_norms(loaded)
    unknown = [stage for stage in absent if stage in net.norms]
    if choices.norm == "frozen" and choices.weights is not None and unknown:
        raise WeightsError(
            f"{choices.weights}: norm=frozen needs statistics, and {', '.join(unknown)} were not loaded; leave norm "
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


def _build_timm(name: str, choices: Choices) -> Backbone:
    from detres.backbones.timm_features import build_timm_features  # importing timm takes a second

    made = choices.made()
    foreign = [key for key in made if key not in ("weights", "outputs", "norm", "metadata")]
    if foreign:
        weights = "" if choices.weights is None else " model.backbone.weights=null (or weights of this model)"
        raise ConfigError(
            f"backbone {name}: {', '.join(foreign)} are choices of detres's own networks; leave them out, in a config "
            f"by {_unset(foreign)}{weights}"
        )
    return build_timm_features(name, **made)


def _build_own(name: str, choices: Choices) -> Backbone:
    made = choices.made()
    called = f"backbone {name}: called with {', '.join(made) or 'nothing'}, it"
    backbone = call_own(find_own_function(name, "backbone"), called, **made)
    lacking = [part for part in ("specs", "pixel_stats", "normalize") if not hasattr(backbone, part)]
    if lacking:
        raise ConfigError(f"backbone {name}: what it returns lacks {', '.join(lacking)}; see detres.backbones.resnet")
    if not hasattr(backbone, "load_report"):
        backbone.load_report = None
    return cast(Backbone, backbone)  # It has the parts, which is all that is asked of code that is not ours.


def _unset(foreign: Sequence[str]) -> str:
    """What to say on the command line so that these choices are not made."""
    defaults = {field.name: json.dumps(field.default) for field in fields(Choices)}
    # Two are choices of a classifier, whatever its backbone.
    sections = {"drop_path": "model", "checkpoint_blocks": "model"}
    return " ".join(f"{sections.get(key, 'model.backbone')}.{key}={defaults[key]}" for key in foreign)


def _listed(made: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key}={made[key]!r}" for key in keys)
