"""What a classifier's safetensors file says of itself: all that rebuilds the model and feeds it. Nothing in it runs.

The metadata holds one JSON text under the key "detres", and the backbone's own under the key that build_backbone reads,
so that a detector takes the file as it is: its tensors have torchvision's names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from detres.backbones import weight_files
from detres.backbones.architectures import BACKBONES
from detres.backbones.building import Choices, build_network
from detres.backbones.metadata import WeightsMetadata
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
from detres.version import __version__

SCHEMA = 1
METADATA_KEY = "detres"
# Of the data section, what decides how an image reaches the model.
PREPROCESSING = ("crop", "cropping", "exif")


@dataclass(frozen=True)
class ClassifierSettings:
    """Everything beside the tensors.

    model: with class_names, without weights. preprocessing and test: how it was trained and tested. backbone: what its
    weights expect of pixels and strides. norms: of each stage. recipe: for people.
    """

    model: ClassifierConfig
    preprocessing: ClassificationDataConfig
    test: ClassificationTestConfig
    backbone: WeightsMetadata
    norms: dict[str, str]
    recipe: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.model.class_names or ()

    def to_metadata(self) -> dict[str, str]:
        """What safetensors keeps beside the tensors."""
        text = {
            "schema": SCHEMA,
            "detres_version": __version__,
            "task": "classification",
            "model": self.model.model_dump(mode="json"),
            "preprocessing": self.preprocessing.model_dump(mode="json", include=set(PREPROCESSING)),
            "test": self.test.model_dump(mode="json"),
            "backbone": asdict(self.backbone),
            "norms": self.norms,
            "class_names": list(self.class_names),
            "recipe": self.recipe,
        }
        return {METADATA_KEY: json.dumps(text), weight_files.METADATA_KEY: self.backbone.to_json(), "format": "pt"}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str] | None, where: str) -> ClassifierSettings:
        """Raises WeightsError for a file that is no classifier of detres's, or of a newer one."""
        if not metadata or METADATA_KEY not in metadata:
            raise WeightsError(f"{where}: no classifier of detres's: its metadata name neither a model nor classes")
        try:
            text: dict[str, Any] = dict(json.loads(metadata[METADATA_KEY]))
            if text.get("task") != "classification" or text["schema"] > SCHEMA:
                raise WeightsError(
                    f"{where}: a {text.get('task')} file of schema {text.get('schema')}, written by detres "
                    f"{text.get('detres_version')}; expected a classification file of schema {SCHEMA} at most"
                )
            settings = cls(
                model=ClassifierConfig.model_validate(text["model"]),
                preprocessing=ClassificationDataConfig.model_validate(text["preprocessing"]),
                test=ClassificationTestConfig.model_validate(text["test"]),
                backbone=WeightsMetadata.from_json(json.dumps(text["backbone"]), where=where),
                norms=dict(text["norms"]),
                recipe=text.get("recipe", ""),
            )
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise WeightsError(f"{where}: its metadata cannot be read ({error}); the file may be damaged") from None
        if not settings.class_names:
            raise WeightsError(f"{where}: its metadata name no classes; the file may be damaged")
        return settings


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
    return tensors, ClassifierSettings.from_metadata(metadata, str(path))


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
