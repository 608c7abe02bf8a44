"""What a localizer's safetensors file says of itself, and the localizer rebuilt from it. Nothing in the file runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from detres.backbones.building import Choices
from detres.backbones.weights.class_rows import Transferred, matching_rows, rows_by_class
from detres.backbones.weights.formats import is_safetensors_file
from detres.backbones.weights.loading import metadata_of
from detres.backbones.weights.metadata import WeightsMetadata
from detres.backbones.weights.model_settings import ModelSettings, load_strictly
from detres.checkpoints.reading import find_weights_file
from detres.config.localization_schema import LocalizationDataConfig, LocalizationTestConfig, LocalizerConfig
from detres.config.losses import without_own_losses
from detres.errors import WeightsError
from detres.localization.building import assemble, build_trunk
from detres.localization.localizers import ClassRpnLocalizer, Localizer

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

    @property
    def described(self) -> str:
        return f"a localizer of {len(self.class_names)} classes"

    def build(self, where: str, *, own_code: str | None = None) -> Localizer:
        section = self.model.backbone
        choices = Choices(
            norm=self.norms,
            frozen_stages=section.frozen_stages,
            checkpoint_blocks=self.model.checkpoint_blocks,
            metadata=self.backbone,
        )
        return assemble(build_trunk(section.name, choices), without_own_losses(self.model), self.class_names)

    def with_model(self, model: LocalizerConfig, where: str) -> LocalizerSettings:
        """The same weights in the model that a config asks for: other classes, lessons or freezing.

        Raises WeightsError where it asks for another function than the one the weights were trained in.
        """
        trained = self.backbone_as_trained() | {"model.backbone.name": self.model.backbone.name}
        trained["model.stage"] = self.model.stage
        asked = {f"model.backbone.{key}": value for key, value in model.backbone.model_dump().items()}
        asked["model.stage"] = model.stage
        self.check_asked({key: asked[key] for key in trained}, trained, where)
        self.check_shapes(model, where)
        return replace(self, model=model)


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


def locate_localizer(weights: str | Path) -> Path:
    """The safetensors file of a localizer's run, checkpoint or file. Raises WeightsError where there is none."""
    file = find_weights_file(weights)
    if not is_safetensors_file(file):
        raise WeightsError(
            f"--weights {weights}: localizers are safetensors of detres's own; a classifier's weights go to "
            f"model.backbone.weights={weights}"
        )
    return file


def transfer_localizer(
    model: Localizer, tensors: Mapping[str, Tensor], settings: LocalizerSettings, where: str
) -> Transferred:
    """Copy every tensor of a localizer's file into the model, in place; the rows of classes by name.

    tensors, settings: of the file, as LocalizerSettings.read gives them; where: names it.
    """
    tensors = dict(tensors)
    rows = matching_rows(model.class_names, settings.class_names)
    anchors = model.grid.per_cell if isinstance(model, ClassRpnLocalizer) else 1
    own, prefix = model.state_dict(), "rpn." if isinstance(model, ClassRpnLocalizer) else ""
    per_class = [prefix + name for name in _PER_CLASS]
    with torch.no_grad():
        tensors |= {n: rows_by_class(own[n], tensors[n], rows, width=anchors) for n in per_class if n in tensors}
    load_strictly(model, tensors, where, f"a localizer of {len(model.class_names)} classes")
    taken = len(tensors) - len(per_class)
    return Transferred.of_classes(where, taken, model.class_names, settings.class_names)
