"""What --weights names: a run, a checkpoint, a file, or the tag of an ImageNet classifier that others publish.

A tag is torchvision/resnet50.IMAGENET1K_V2 or timm/resnet50.a1_in1k; without what follows the dot it is the usual
one of the architecture's. Its file is downloaded once into the cache (backbones/weights/tags.py) and turned into a
classifier of detres's there, which is tested as its publisher tests it, but for timm's bicubic
resize, which is bilinear here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from detres.backbones.architectures import BACKBONES
from detres.backbones.norms import Norm
from detres.backbones.weights.files import not_finite, read_weights, write_tensors
from detres.backbones.weights.formats import is_safetensors_file
from detres.backbones.weights.metadata import WeightsMetadata
from detres.backbones.weights.tags import PRETRAINED, fetch, find_published, weights_cache
from detres.checkpoints.reading import find_weights_file
from detres.classification.files import ClassifierSettings
from detres.config.classification_schema import (
    ClassificationDataConfig,
    ClassificationTestConfig,
    ClassifierConfig,
)
from detres.config.sections import BackboneConfig
from detres.data.formats.imagenet_classes import imagenet_synsets
from detres.errors import WeightsError

_PUBLISHERS = ("torchvision", "timm")


def locate_classifier(weights: str | Path) -> Path:
    """The safetensors file of a classifier. Raises WeightsError where there is none."""
    publisher, _, name = str(weights).partition("/")
    if publisher not in _PUBLISHERS or Path(weights).exists():
        file = find_weights_file(weights)
        if not is_safetensors_file(file):
            made = f"{file.name.split('.')[0]}.safetensors"
            raise WeightsError(
                f"--weights {weights}: classifiers are safetensors of detres's own; convert_weights --from torchvision "
                f"--architecture NAME {file} {made} makes one of another's ResNet or VGG net, and there are tags such "
                "as torchvision/resnet50 and timm/resnet50.a1_in1k"
            )
        return file
    architecture, _, tag = name.partition(".")
    if architecture not in BACKBONES:
        raise WeightsError(
            f"--weights {weights}: a tag is torchvision/ or timm/, one of {', '.join(BACKBONES)}, and after a dot "
            "which of its weights, such as torchvision/resnet50.IMAGENET1K_V2"
        )
    tag = tag or _usual_tag(publisher, architecture)
    converted = weights_cache() / publisher / f"{architecture}.{tag}.classifier.safetensors"
    if not converted.is_file():
        _convert(publisher, architecture, tag, converted)
    return converted


def _convert(publisher: str, architecture: str, tag: str, out: Path) -> None:
    published = find_published(f"{publisher}/{tag}", architecture)
    file = read_weights(fetch(published), metadata=published.metadata)
    if missing := not_finite(file.tensors):
        raise WeightsError(
            f"{file.source}: no classifier's, since {', '.join(missing[:3])} hold no numbers; its other layers are a "
            f"backbone's, model.backbone.weights={publisher}/{tag}"
        )
    crop, test = (_torchvision_test if publisher == "torchvision" else _timm_test)(architecture, tag)
    class_names = tuple(synset.name for synset in imagenet_synsets())
    settings = _settings(file.metadata, class_names, crop, test)
    model = settings.filled(file.tensors, file.source)
    write_tensors(out, model.state_dict(), settings.to_metadata())


def foreign_settings(known: WeightsMetadata, class_names: Sequence[str]) -> ClassifierSettings:
    """Of a classifier that nobody published for detres: its architecture's usual crop, CIFAR's images as they are."""
    crop = BACKBONES[known.architecture].crop
    test = ClassificationTestConfig(scales=(256,) if crop == 224 else (crop,))
    return _settings(known, class_names, crop, test)


def _settings(
    known: WeightsMetadata, class_names: Sequence[str], crop: int, test: ClassificationTestConfig
) -> ClassifierSettings:
    model = ClassifierConfig(
        backbone=BackboneConfig(name=known.architecture, norm="batch"), class_names=tuple(class_names)
    )
    norms: dict[str, Norm] = dict.fromkeys(BACKBONES[known.architecture].normed_stages, "batch")
    return ClassifierSettings(model, ClassificationDataConfig(crop=crop), test, known, norms, known.recipe)


def _usual_tag(publisher: str, architecture: str) -> str:
    if publisher == "torchvision":
        return PRETRAINED.partition("/")[2]
    import timm  # a second, and only tags need it

    stated = timm.get_pretrained_cfg(architecture) if timm.is_model(architecture) else None
    return (stated.tag or "") if stated else ""


def _torchvision_test(architecture: str, tag: str) -> tuple[int, ClassificationTestConfig]:
    """The side of the crop, and how the weights' publisher tests them."""
    from torchvision.models import get_model_weights  # half a second, and only tags need it

    stated = get_model_weights(architecture)[tag].transforms.keywords
    return stated["crop_size"], ClassificationTestConfig(scales=(stated.get("resize_size", 256),))


def _timm_test(architecture: str, tag: str) -> tuple[int, ClassificationTestConfig]:
    import timm

    stated = timm.get_pretrained_cfg(f"{architecture}.{tag}")
    assert stated is not None, "the weights were found by this name"
    crop = (stated.test_input_size or stated.input_size)[-1]
    scale = math.floor(crop / (stated.test_crop_pct or stated.crop_pct))
    return stated.input_size[-1], ClassificationTestConfig(scales=(scale,), crop=crop)
