"""What a localizer's safetensors file says of itself, and the localizer rebuilt from it. Nothing in the file runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from detres.backbones.building import Choices
from detres.backbones.class_rows import Transferred, matching_rows, rows_by_class
from detres.backbones.described import check_described
from detres.backbones.metadata import WeightsMetadata
from detres.backbones.model_settings import ModelSettings
from detres.backbones.pretrained import metadata_of
from detres.backbones.weight_formats import is_safetensors_file
from detres.config.localization_schema import LocalizationDataConfig, LocalizationTestConfig, LocalizerConfig
from detres.errors import WeightsError
from detres.localization.building import assemble, build_trunk
from detres.localization.localizers import ClassRpnLocalizer, Localizer
from detres.training.checkpoints import find_weights_file, read_safetensors

# Of the data section, what decides how an image reaches the model.
PREPROCESSING = ("crop", "proposals")
_PER_CLASS = tuple(f"{part}.{kind}" for part in ("logits", "deltas") for kind in ("weight", "bias"))


@dataclass(frozen=True)
class LocalizerSettings(ModelSettings[LocalizerConfig, LocalizationDataConfig, LocalizationTestConfig]):
    """Everything beside a localizer's tensors."""

    task = "localization"
    kind = "localizer"
    sections = (LocalizerConfig, LocalizationDataConfig, LocalizationTestConfig)
    preprocessing_keys = PREPROCESSING

    backbone: WeightsMetadata


def settings_of(
    model: Localizer,
    config: LocalizerConfig,
    preprocessing: LocalizationDataConfig,
    test: LocalizationTestConfig,
    recipe: str = "",
) -> LocalizerSettings:
    """The settings of a model that was built from this config."""
    section = config.backbone.model_copy(update={"weights": None})
    named = config.model_copy(update={"class_names": model.class_names, "backbone": section})
    trunk = model.trunk
    return LocalizerSettings(named, preprocessing, test, metadata_of(trunk, recipe=recipe), dict(trunk.norms), recipe)


def build_from_settings(settings: LocalizerSettings, class_names: Sequence[str] | None = None) -> Localizer:
    """The model these settings describe, with random weights; class_names: others than the settings'."""
    section = settings.model.backbone
    choices = Choices(
        norm=settings.norms,
        frozen_stages=section.frozen_stages,
        checkpoint_blocks=settings.model.checkpoint_blocks,
        metadata=settings.backbone,
    )
    return assemble(build_trunk(section.name, choices), settings.model, class_names or settings.class_names)


def locate_localizer(weights: str | Path) -> Path:
    """The safetensors file of a localizer's run, checkpoint or file. Raises WeightsError where there is none."""
    file = find_weights_file(weights)
    if not is_safetensors_file(file):
        raise WeightsError(
            f"--weights {weights}: localizers are safetensors of detres's own; a classifier's weights go to "
            f"model.backbone.weights={weights}"
        )
    return file


def read_localizer(path: Path) -> tuple[dict[str, Tensor], LocalizerSettings]:
    """The tensors of a localizer's file, on the CPU, and its settings. Raises WeightsError where it is none."""
    tensors, metadata = read_safetensors(path)
    settings = LocalizerSettings.from_metadata(metadata, str(path))
    what = f"a localizer of {len(settings.class_names)} classes"
    check_described(lambda: build_from_settings(settings), tensors, str(path), what)
    return tensors, settings


def load_localizer(path: Path) -> tuple[Localizer, LocalizerSettings]:
    """A localizer rebuilt from its file alone, in eval mode."""
    tensors, settings = read_localizer(path)
    model = build_from_settings(settings)
    load_strictly(model, tensors, str(path))
    return model.eval(), settings


def transfer_localizer(model: Localizer, path: Path) -> Transferred:
    """Copy every tensor of a localizer's file into the model, in place; the rows of classes by name."""
    tensors, settings = read_localizer(path)
    rows = matching_rows(model.class_names, settings.class_names)
    anchors = model.grid.per_cell if isinstance(model, ClassRpnLocalizer) else 1
    own, prefix = model.state_dict(), "rpn." if isinstance(model, ClassRpnLocalizer) else ""
    per_class = [prefix + name for name in _PER_CLASS]
    with torch.no_grad():
        tensors |= {n: rows_by_class(own[n], tensors[n], rows, width=anchors) for n in per_class if n in tensors}
    load_strictly(model, tensors, str(path))
    taken = len(tensors) - len(per_class)
    return Transferred.of_classes(str(path), taken, model.class_names, settings.class_names)


def load_strictly(model: Localizer, tensors: dict[str, Tensor], where: str) -> None:
    """Copy every tensor; WeightsError that names the first three that have no place, are missing or differ in shape."""
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = " ".join(map(str.strip, str(error).splitlines()[1:4]))
        raise WeightsError(f"{where}: does not fit a localizer of {len(model.class_names)} classes: {first}") from None
