"""What a classifier's safetensors file says of itself, and the classifier rebuilt from it. Nothing in the file runs.

Beside the text of every model, the metadata hold the backbone's own under the key that build_backbone reads, so that a
detector takes the file as it is: its tensors have torchvision's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from detres.backbones import weight_files
from detres.backbones.architectures import BACKBONES
from detres.backbones.building import Choices, build_network
from detres.backbones.described import check_described
from detres.backbones.metadata import WeightsMetadata
from detres.backbones.model_settings import ModelSettings
from detres.backbones.pretrained import metadata_of
from detres.classification.classifier import CLASSIFIERS, Classifier
from detres.config.classification_schema import (
    ClassificationDataConfig,
    ClassificationTestConfig,
    ClassifierConfig,
)
from detres.errors import WeightsError
from detres.structures import PixelStats
from detres.training.checkpoints import read_safetensors

# Of the data section, what decides how an image reaches the model.
PREPROCESSING = ("crop", "cropping", "exif")


@dataclass(frozen=True)
class ClassifierSettings(ModelSettings[ClassifierConfig, ClassificationDataConfig, ClassificationTestConfig]):
    """Everything beside a classifier's tensors."""

    task = "classification"
    kind = "classifier"
    sections = (ClassifierConfig, ClassificationDataConfig, ClassificationTestConfig)
    preprocessing_keys = PREPROCESSING

    backbone: WeightsMetadata

    def to_metadata(self) -> dict[str, str]:
        """As every model's, and the backbone's own."""
        return {**super().to_metadata(), weight_files.METADATA_KEY: self.backbone.to_json()}


def settings_of(
    model: Classifier,
    config: ClassifierConfig,
    preprocessing: ClassificationDataConfig,
    test: ClassificationTestConfig,
    *,
    class_names: Sequence[str],
    recipe: str = "",
) -> ClassifierSettings:
    """The settings of a model that was built from this config; class_names: as many as it tells apart."""
    if len(class_names) != model.num_classes:
        raise ValueError(f"{len(class_names)} class names for the {model.num_classes} rows of {model.class_layer}")
    section = config.backbone.model_copy(update={"weights": None})
    named = config.model_copy(update={"class_names": tuple(class_names), "backbone": section})
    return ClassifierSettings(named, preprocessing, test, metadata_of(model, recipe=recipe), dict(model.norms), recipe)


def build_from_settings(settings: ClassifierSettings, where: str) -> Classifier:
    """The model these settings describe, with random weights.

    Raises WeightsError where settings.model asks for another shortcut or stride than the file's own.
    """
    section, known = settings.model.backbone, settings.backbone
    if known.architecture != section.name:
        raise WeightsError(
            f"{where}: its backbone is {known.architecture}, and model.backbone.name={section.name} asks for another; "
            "leave the name to the file"
        )
    if known.architecture not in BACKBONES:
        raise WeightsError(f"{where}: its architecture {known.architecture!r} is none of {', '.join(BACKBONES)}")
    choices = Choices(
        shortcut=section.shortcut,
        shortcut_padding=section.shortcut_padding,
        stride_in=section.stride_in,
        norm=settings.norms or None,
        norm_eps=section.norm_eps,
        frozen_stages=section.frozen_stages,
        drop_path=settings.model.drop_path,
        checkpoint_blocks=settings.model.checkpoint_blocks,
        allow_mismatch=section.allow_mismatch,
        metadata=replace(known, pixel_stats=stated_pixel_stats(settings.model, known.pixel_stats)),
    )
    return build_network(section.name, choices, num_classes=len(settings.class_names), kinds=CLASSIFIERS)


def stated_pixel_stats(config: ClassifierConfig, usual: PixelStats) -> PixelStats:
    """`usual`, with the mean and the std that the config states, which are in RGB."""
    turned = slice(None) if usual.order == "rgb" else slice(None, None, -1)
    mean = usual.mean if config.pixel_mean is None else config.pixel_mean[turned]
    std = usual.std if config.pixel_std is None else config.pixel_std[turned]
    return replace(usual, mean=mean, std=std)


def read_classifier(path: Path) -> tuple[dict[str, Tensor], ClassifierSettings]:
    """The tensors of a classifier's file, on the CPU, and its settings. Raises WeightsError where it is none."""
    tensors, metadata = read_safetensors(path)
    settings = ClassifierSettings.from_metadata(metadata, str(path))
    what = f"{settings.backbone.architecture} with {len(settings.class_names)} classes"
    check_described(lambda: build_from_settings(settings, str(path)), tensors, str(path), what)
    return tensors, settings


def load_classifier(path: Path) -> tuple[Classifier, ClassifierSettings]:
    """A classifier rebuilt from its file alone, in eval mode."""
    tensors, settings = read_classifier(path)
    model = build_from_settings(settings, str(path))
    load_strictly(model, tensors, str(path))
    return model.eval(), settings


def load_strictly(model: Classifier, tensors: dict[str, Tensor], where: str) -> None:
    """Copy every tensor; WeightsError that names the first three that have no place, are missing or differ in shape."""
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1:4]
        raise WeightsError(
            f"{where}: does not fit {model.name} with {model.num_classes} classes: "
            f"{' '.join(map(str.strip, first))[:600]}"
        ) from None
