"""Published weights by tag: torchvision/IMAGENET1K_V2, timm/a1_in1k, msra/R-50, downloaded once into a cache.

The cache is the folder DETRES_WEIGHTS, else ~/.cache/detres; a machine without network is given the file by hand.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch

from detres.backbones.pixels import VGG_FEATURES_STATS, stats_of_shares
from detres.backbones.weights.metadata import WeightsMetadata, msra_metadata
from detres.errors import WeightsError
from detres.files.checksums import sha256
from detres.files.whole import write_whole
from detres.structures import IMAGENET_STATS

PRETRAINED = "torchvision/IMAGENET1K_V1"
"""The usual weights of the ImageNet nets: of the two published recipes, the one detectors are compared with."""

_MSRA_URL = "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA"
_MSRA_FILES = {"R-50": "resnet50", "R-101": "resnet101"}


@dataclass(frozen=True)
class PublishedWeights:
    """A file of the cache and where it is from. digest: the head of its SHA-256, where the publisher states it.
    metadata: of a backbone; a detector's file is converted instead.
    """

    tag: str
    file: Path
    url: str
    digest: str | None
    metadata: WeightsMetadata | None


def weights_cache() -> Path:
    return Path(os.environ.get("DETRES_WEIGHTS") or Path.home() / ".cache" / "detres")


def is_tag(weights: str) -> bool:
    return weights == "pretrained" or weights.split("/")[0] in ("torchvision", "timm", "msra")


def find_published(tag: str, architecture: str) -> PublishedWeights:
    """What a tag means for an architecture. Raises WeightsError where it means nothing."""
    publisher, _, name = (PRETRAINED if tag == "pretrained" else tag).partition("/")
    finders = {"torchvision": _find_torchvision, "timm": _find_timm, "msra": _find_msra}
    return finders[publisher](name, architecture)


def fetch(published: PublishedWeights) -> Path:
    """The file in the cache, downloaded where it is not there yet, with its checksum verified."""
    path = published.file
    if not path.is_file():
        _download(published)
    stated = path.with_name(path.name + ".sha256")
    digest = sha256(path)
    # Where the publisher states no checksum, the first download's is kept, and holds from then on.
    expected = published.digest or (stated.read_text().strip() if stated.is_file() else digest)
    if not digest.startswith(expected):
        raise WeightsError(
            f"{path}: its SHA-256 is {digest}, expected {expected}…; the file is damaged or another. Delete it, and it "
            f"is downloaded again from {published.url}"
        )
    return path


def _download(published: PublishedWeights) -> None:
    path = published.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Writes to a temporary name first, so that a broken download leaves nothing behind.
        torch.hub.download_url_to_file(published.url, str(path), published.digest, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{published.tag}: cannot download {published.url} ({error}). On a machine without network, put that file "
            f"at {path} (the environment variable DETRES_WEIGHTS moves the folder)"
        ) from error
    write_whole(path.with_name(path.name + ".sha256"), sha256(path) + "\n")


def _find_torchvision(name: str, architecture: str) -> PublishedWeights:
    from torchvision.models import get_model_weights  # half a second, and only tags need it

    try:
        entry = get_model_weights(architecture)[name]
    except (ValueError, KeyError) as error:
        try:
            known = ", ".join(f"torchvision/{member.name}" for member in get_model_weights(architecture))
        except ValueError:
            known = "none at all"
        raise WeightsError(f"torchvision/{name}: no weights of {architecture}; it publishes {known}") from error
    file = entry.url.rsplit("/", 1)[-1]
    digest = Path(file).stem.rsplit("-", 1)[-1]
    stats = VGG_FEATURES_STATS if entry.name == "IMAGENET1K_FEATURES" else IMAGENET_STATS
    metadata = WeightsMetadata(architecture, stats, recipe=f"torchvision {architecture} {entry.name}")
    return PublishedWeights(f"torchvision/{name}", weights_cache() / "torchvision" / file, entry.url, digest, metadata)


def _find_timm(name: str, architecture: str) -> PublishedWeights:
    import timm  # a second, and only tags need it

    known = [model.partition(".")[2] for model in timm.list_pretrained(f"{architecture}.*")]
    if name not in known:
        tags = ", ".join(f"timm/{tag}" for tag in known) or "none at all"
        raise WeightsError(f"timm/{name}: no weights of {architecture}; timm publishes {tags}")
    config = timm.get_pretrained_cfg(f"{architecture}.{name}")
    assert config is not None, "timm lists it as published"
    url = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/{config.hf_hub_filename or 'model.safetensors'}"
    file = weights_cache() / "timm" / f"{architecture}.{name}.safetensors"
    stats = stats_of_shares(config.mean, config.std)
    metadata = WeightsMetadata(architecture, stats, recipe=f"timm {architecture}.{name}")
    return PublishedWeights(f"timm/{name}", file, url, None, metadata)


def _find_msra(name: str, architecture: str) -> PublishedWeights:
    if _MSRA_FILES.get(name) != architecture:
        raise WeightsError(
            f"msra/{name}: no weights of {architecture}; there are msra/R-50 of resnet50 and msra/R-101 of resnet101. "
            "Name others, or none: model.backbone.weights=null model.backbone.frozen_stages=0"
        )
    file = weights_cache() / "msra" / f"{name}.pkl"
    return PublishedWeights(f"msra/{name}", file, f"{_MSRA_URL}/{name}.pkl", None, msra_metadata(architecture))
