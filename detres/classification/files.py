"""What a classifier's safetensors file says of itself, and the classifier rebuilt from it. Nothing in the file runs.

Beside the text of every model, the metadata hold the backbone's own under the key that build_backbone reads, so that a
detector takes the file as it is: its tensors have torchvision's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from detres.backbones.architectures import BACKBONES
from detres.backbones.building import Choices, build_network
from detres.backbones.weights import files as weight_files
from detres.backbones.weights.loading import metadata_of
from detres.backbones.weights.metadata import WeightsMetadata
from detres.backbones.weights.model_settings import ModelSettings
from detres.classification.classifier import Classifier, classifier_of
from detres.config.classification_schema import (
    ClassificationDataConfig,
    ClassificationTestConfig,
    ClassifierConfig,
)
from detres.errors import WeightsError
from detres.structures import PixelStats

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

    @property
    def described(self) -> str:
        return f"{self.backbone.architecture} with {len(self.class_names)} classes"

    def build(self, where: str, *, own_code: str | None = None) -> Classifier:
        """The model these settings describe, with random weights.

        Raises WeightsError where settings.model asks for another shortcut or stride than the file's own.
        """
        section, known = self.model.backbone, self.backbone
        if known.architecture != section.name:
            raise WeightsError(
                f"{where}: its backbone is {known.architecture}, and model.backbone.name={section.name} asks for "
                "another; leave the name to the file"
            )
        if known.architecture not in BACKBONES:
            raise WeightsError(f"{where}: its architecture {known.architecture!r} is none of {', '.join(BACKBONES)}")
        choices = Choices(
            shortcut=section.shortcut,
            shortcut_padding=section.shortcut_padding,
            stride_in=section.stride_in,
            norm=self.norms or None,
            norm_eps=section.norm_eps,
            frozen_stages=section.frozen_stages,
            drop_path=self.model.drop_path,
            checkpoint_blocks=self.model.checkpoint_blocks,
            allow_mismatch=section.allow_mismatch,
            metadata=replace(known, pixel_stats=stated_pixel_stats(self.model, known.pixel_stats)),
        )
        return build_network(section.name, choices, num_classes=len(self.class_names), kind=classifier_of)

    def with_model(self, model: ClassifierConfig, where: str) -> ClassifierSettings:
        """The same weights in the model that a config asks for: other classes, freezing, or pixel statistics.

        Raises WeightsError for norms of another kind; what else would be another function, build refuses.
        """
        if model.backbone.norm != self.model.backbone.norm:
            self.check_asked({"model.backbone.norm": model.backbone.norm}, self.backbone_as_trained(), where)
        return replace(self, model=model)


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


def stated_pixel_stats(config: ClassifierConfig, usual: PixelStats) -> PixelStats:
    """`usual`, with the mean and the std that the config states, which are in RGB."""
    mean = usual.mean if config.pixel_mean is None else _ordered(config.pixel_mean, usual)
    std = usual.std if config.pixel_std is None else _ordered(config.pixel_std, usual)
    return replace(usual, mean=mean, std=std)


def _ordered(rgb: tuple[float, float, float], like: PixelStats) -> tuple[float, float, float]:
    r, g, b = rgb
    return (r, g, b) if like.order == "rgb" else (b, g, r)
