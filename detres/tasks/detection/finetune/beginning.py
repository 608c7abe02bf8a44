"""What weights a set of one's own begins with: the best that can be had.

A detector of COCO is best, and needs the fewest steps; a backbone that learned ImageNet comes next; random weights are
the last resort.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from detres.backbones.weights.tags import PRETRAINED, PublishedWeights, fetch, find_published
from detres.config.detection_schema import BackboneConfig
from detres.config.loading import KeyPath
from detres.config.model_keys import MODEL_KEYS
from detres.conversion.published import is_at_hand, locate_detector, published_detector
from detres.errors import WeightsError
from detres.reporter import Reporter

DETECTOR = "torchvision/fasterrcnn_resnet50_fpn_v2"
_ANSWER = 5.0
"""Seconds in which a server has to answer; a network that swallows everything would take minutes to say so."""


@dataclass(frozen=True)
class Beginning:
    """weights: of a whole detector, for --weights. backbone: for model.backbone.weights, where recipe chooses it.

    patience: how many times as many steps it is given as a detector of COCO. rate: SGD's for 16 images a step.
    """

    in_words: str
    patience: float
    rate: float
    has_trunk: bool
    weights: str | None = None
    backbone: str | None = None


def of_detector(weights: str | None = None) -> Beginning:
    """weights: where the recipe chooses them; None where the user has."""
    return Beginning("from a detector", 1.0, 0.01, has_trunk=True, weights=weights)


def of_backbone(weights: str | None = None) -> Beginning:
    return Beginning("from a trained backbone", 3.0, 0.014, has_trunk=True, backbone=weights)


def of_nothing() -> Beginning:
    return Beginning("from random weights", 8.0, 0.02, has_trunk=False)


def choose_beginning(
    backbone: BackboneConfig, stated: Collection[KeyPath], *, may_download: bool, reporter: Reporter
) -> Beginning:
    """The best there is for a backbone where the user names no detector to begin with.

    stated: keys that the user set; a model of another architecture than the published detector's, or weights of a
    backbone, are what the user wants. may_download: a dry run may not. What cannot be had is told, with what it costs.
    """
    if ("model", "backbone", "weights") in stated:
        return of_backbone() if backbone.weights is not None else of_nothing()
    architecture = MODEL_KEYS["detection"].is_architecture
    if not any(path[0] == "model" and architecture(".".join(path[1:])) for path in stated):
        if (why_not := _detector_is_missing(may_download)) is None:
            return of_detector(DETECTOR)
        reporter.say(f"{DETECTOR}: {why_not}")
    if (why_not := _backbone_is_missing(backbone.name, may_download)) is None:
        return of_backbone(PRETRAINED)
    reporter.say(f"{PRETRAINED} of {backbone.name}: {why_not}")
    reporter.say(
        "warning: it begins with random weights, which are given eight times as many steps as a detector's, and find "
        f"less on few photos; weights of any detector help: --weights W, or {DETECTOR} once it can be had"
    )
    return of_nothing()


def _detector_is_missing(may_download: bool) -> str | None:
    if is_at_hand(DETECTOR):
        return None
    try:
        if (why_not := _unreachable(published_detector(DETECTOR), may_download)) is None:
            locate_detector(DETECTOR)
        return why_not
    except WeightsError as error:
        return str(error).removeprefix(f"{DETECTOR}: ")


def _backbone_is_missing(name: str, may_download: bool) -> str | None:
    if name.startswith("timm/") or ":" in name:
        return "nobody publishes them under this tag; name some by model.backbone.weights"
    try:
        published = find_published(PRETRAINED, name)
        if (why_not := _unreachable(published, may_download)) is None:
            fetch(published)
        return why_not
    except WeightsError as error:
        return str(error).removeprefix(f"{PRETRAINED}: ")


def _unreachable(published: PublishedWeights, may_download: bool) -> str | None:
    """Why a file that is not in the cache cannot be fetched; None where it is there, or its server answers."""
    if published.file.is_file():
        return None
    if not may_download:
        return "not in the cache, and a dry run downloads nothing"
    host = urlsplit(published.url).hostname or ""
    try:
        socket.create_connection((host, 443), timeout=_ANSWER).close()
    except OSError as error:
        return f"{host} does not answer ({error}); by hand, {published.url} goes to {_shown(published.file)}"
    return None


def _shown(file: Path) -> str:
    home = str(Path.home())
    return f"~{str(file)[len(home) :]}" if str(file).startswith(f"{home}/") else str(file)
