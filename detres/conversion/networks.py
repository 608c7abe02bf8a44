"""Classification networks of other projects become files of detres's, checked against what they are said to be.

A whole one becomes a classifier, which a detector's backbone can be loaded from as well; one without its last layer a
backbone alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from detres.backbones import build_backbone
from detres.backbones.architectures import BACKBONES
from detres.backbones.weights.files import WeightsFile, not_finite, read_weights, write_tensors, write_weights
from detres.backbones.weights.fitting import Fitting, fit
from detres.backbones.weights.formats import form_of
from detres.backbones.weights.metadata import WeightsMetadata
from detres.backbones.weights.model_settings import METADATA_KEY
from detres.classification.published import foreign_settings
from detres.conversion.options import Options
from detres.data.classes import CIFAR10_CLASSES
from detres.data.formats.imagenet_classes import imagenet_synsets
from detres.errors import WeightsError
from detres.files.safetensors import read_metadata
from detres.structures import IMAGENET_STATS

_OWN_OPTIONS = frozenset({"--architecture", "--bn-eps", "--classes", "--shortcut-padding"})


def convert_network(
    source: str, path: Path, out: Path, options: Options, class_names: Sequence[str] | None
) -> list[str]:
    """Write `out`; returns what there is to tell. class_names: as stated; None: they are not.

    Raises WeightsError where the file is not what it is said to be; nothing is written then.
    """
    _check_options(source, path, options)
    stated = _stated_metadata(source, path, options)
    if stated is None:
        _refuse_own(path)
    file = read_weights(path, metadata=stated)
    assumed = _assumed(file.metadata) if stated is not None else []
    if file.metadata.architecture.startswith("timm/"):
        return [*file.notes, *_convert_timm(file, out)]
    fitting, file = _fit(file)
    told = [*file.notes, *_described(fitting), *assumed]
    if source == "msra" or fitting.num_classes is None:
        refuse(options.given() & {"--classes"}, "a backbone")
        write_weights(out, fitting.tensors, file.metadata)
        return [*told, _summary(path, out, file, len(fitting.tensors))]
    names, whose = _class_names(fitting.num_classes, class_names)
    _write_classifier(fitting, file, names, out)
    return [
        *told,
        f"class names: {whose}",
        f"{_summary(path, out, file, len(fitting.tensors))}, a classifier of {fitting.num_classes} classes: "
        f"eval_cls --weights {out}, or a detector with model.backbone.weights={out}",
    ]


def refuse(options: Collection[str], what: str) -> None:
    """An option that would do nothing is a misunderstanding."""
    if options:
        raise WeightsError(f"{', '.join(sorted(options))}: of no use with {what}; leave it out")


def _refuse_own(path: Path) -> None:
    """A file of detres's would lose the names of its classes and how it is tested."""
    try:
        own = form_of(path) == "safetensors" and METADATA_KEY in read_metadata(path)
    except ValueError as error:
        raise WeightsError(f"{path}: not a safetensors file that can be read ({error})") from None
    if own:
        raise WeightsError(
            f"{path}: already a file of detres's, which every command takes; --architecture NAME makes one of its trunk"
        )


def _check_options(source: str, path: Path, options: Options) -> None:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    architecture = options.architecture
    if (source == "msra") != (form_of(path) == "pickle"):
        raise WeightsError(f"--from {source} {path}: of backbones, the MSRA weights are .pkl files, and nobody else's")
    if source == "msra":
        refuse(options.given(), "a backbone from msra")
    elif architecture is None:
        refuse(options.given() - {"--classes"}, f"a backbone from {source} that says what it is")
    else:
        refuse(options.given() - _OWN_OPTIONS, f"a backbone from {source}")
    if source == "timm" and architecture is not None and not architecture.startswith("timm/"):
        raise WeightsError(f"--architecture {architecture}: pixel statistics differ; say which of timm's: timm/NAME")
    if architecture is not None and architecture not in BACKBONES and not architecture.startswith("timm/"):
        close = [name for name in BACKBONES if name.endswith(architecture)]
        meant = f"did you mean {close[0]}? " if close else ""
        raise WeightsError(
            f"--architecture {architecture}: no architecture that is converted; {meant}There are "
            f"{', '.join(BACKBONES)} and timm/NAME"
        )


def _stated_metadata(source: str, path: Path, options: Options) -> WeightsMetadata | None:
    """What the options say of the weights, and how such a project's networks are usually fed; None where none does."""
    architecture = options.architecture
    if architecture is None:
        return None
    eps = 1e-5 if options.bn_eps is None else options.bn_eps
    stats = build_backbone(architecture).pixel_stats if source == "timm" else IMAGENET_STATS
    return WeightsMetadata(
        architecture,
        stats,
        norm_eps=eps,
        recipe=f"{source} {path.name}",
        shortcut_padding=options.shortcut_padding,
    )


def _assumed(known: WeightsMetadata) -> list[str]:
    """What no file says, and how to say it."""
    stats = known.pixel_stats
    return [
        f"assumed: {stats.order} pixels minus {stats.mean} over {stats.std}, as torchvision's (eval_cls takes "
        "model.pixel_mean=[…] and model.pixel_std=[…] on the 0..255 scale); norm eps "
        f"{known.norm_eps:g} (--bn-eps)"
    ]


def _fit(file: WeightsFile) -> tuple[Fitting, WeightsFile]:
    known = file.metadata
    if known.architecture not in BACKBONES:
        raise WeightsError(f"{file.source}: its architecture {known.architecture!r} is none of {', '.join(BACKBONES)}")
    try:
        fitting = fit(file.tensors, known.architecture, known.shortcut)
    except WeightsError as error:
        raise WeightsError(f"{file.source}: {error}") from None
    if known.shortcut_padding is not None and fitting.shortcut != "A":
        raise WeightsError(
            f"{file.source}: --shortcut-padding is of shortcuts without weights, and these are {fitting.shortcut}"
        )
    _check_finite(fitting.tensors, file.source)
    return fitting, replace(file, metadata=replace(known, shortcut=fitting.shortcut))


def _check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    if broken := not_finite(tensors):
        raise WeightsError(
            f"{where}: not finite in {len(broken)} tensors, in 32 bits: {', '.join(broken[:3])}; its training may have "
            "diverged: convert an earlier checkpoint"
        )


def _described(fitting: Fitting) -> list[str]:
    told = []
    if fitting.shortcut == "A":
        told.append(
            "its shortcuts have no weights: their zeros are where --shortcut-padding says, at the end if it does not; "
            "ports that pad both sides (by planes//4) need --shortcut-padding both"
        )
    if fitting.missing:
        stages = ", ".join(f"{stage} (from {name})" for stage, name in fitting.missing.items())
        told.append(f"missing, as a whole: {stages}; a network that is made of the file has them from scratch")
    if fitting.left_over:
        told.append(f"left over, {len(fitting.left_over)} tensors of other layers, from {fitting.left_over[0][:100]}")
    return told


def _summary(path: Path, out: Path, file: WeightsFile, count: int) -> str:
    known = file.metadata
    return f"{path}: {known.architecture}{known.form()}, {known.pixel_stats.order} pixels, {count} tensors -> {out}"


def _class_names(count: int, stated: Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    """Names of so many classes, and where they are from."""
    if stated is not None:
        if len(stated) != count:
            raise WeightsError(f"--classes: {len(stated)} class names for weights with {count} classes")
        return tuple(stated), "as stated"
    for names, whose in (
        (tuple(synset.name for synset in imagenet_synsets()), "ImageNet's"),
        (CIFAR10_CLASSES, "CIFAR-10's"),
    ):
        if len(names) == count:
            return names, f"{whose}, since there are {count} (--classes names others)"
    return tuple(f"class {i}" for i in range(count)), "numbered (--classes names them)"


def _write_classifier(fitting: Fitting, file: WeightsFile, names: Sequence[str], out: Path) -> None:
    settings = foreign_settings(file.metadata, class_names=tuple(names))
    model = settings.filled(fitting.tensors, file.source)
    write_tensors(out, model.state_dict(), settings.to_metadata())


def _convert_timm(file: WeightsFile, out: Path) -> list[str]:
    from detres.backbones.timm_features import check_timm_weights  # importing timm takes a second

    check_timm_weights(file)
    _check_finite(file.tensors, file.source)
    write_weights(out, file.tensors, file.metadata)
    return [_summary(Path(file.source), out, file, len(file.tensors))]
