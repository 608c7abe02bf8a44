"""Augmentations that fail on every picture are refused where they are built, and what is drawn stays the same."""

from __future__ import annotations

import random
import sys
import types
from typing import Any

import albumentations
import numpy as np
import pytest
import torch

from detres.data.detection.transforms import DetectionTransform
from detres.errors import ConfigError, DataError
from detres.structures import DetectionTarget

FLIP = {"HorizontalFlip": {"p": 0.5}}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"Mosaic": {"grid_yx": [100, 100], "target_size": [64, 64], "p": 1}},
            r"data.augment.1: Mosaic fails on a picture: ValueError: Mosaic requires \['mosaic_metadata'\]",
        ),
        ({"Lambda": {"image": "x"}}, "data.augment.1: Lambda fails on a picture: TypeError: 'str' object is not"),
        ({"Lambda": {"image": "x", "p": 0.01}}, "data.augment.1: Lambda fails"),
        (
            {"OneOf": {"transforms": [FLIP, {"Lambda": {"image": "x"}}]}},
            r"data.augment.1.OneOf.transforms.1: Lambda fails",
        ),
        ({"Normalize": {}}, "data.augment: gives ndarray of float32 in 3 dimensions, expected an array of uint8"),
        ({"albumentations.pytorch:ToTensorV2": {}}, "data.augment: gives Tensor of torch.uint8"),
    ],
)
def test_what_fails_at_its_first_use_is_refused_where_it_is_built(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        DetectionTransform([FLIP, entry], training=True)
    assert "\n" not in str(caught.value)
    DetectionTransform([FLIP, entry])  # Of tests it is no part.


@pytest.mark.parametrize(
    "augment",
    [
        [{"RandomCrop": {"height": 1000, "width": 1000}}],
        [{"Crop": {"x_max": 700, "y_max": 700}}],
        [{"ToFloat": {"p": 1}}, {"FromFloat": {"dtype": "uint8", "p": 1}}],
        [{"RandomSizedBBoxSafeCrop": {"height": 50, "width": 60}}],
        [{"SomeOf": {"transforms": [FLIP, {"Blur": {}}], "n": 1}}, {"GaussNoise": {}}],
        [{"Sequential": {"transforms": [FLIP, {"ToGray": {}}]}}],
    ],
)
def test_what_real_pictures_are_large_enough_for_is_taken(augment: list[dict[str, Any]]) -> None:
    DetectionTransform(augment, training=True)


class Drawing(albumentations.ImageOnlyTransform):
    """One's own, which draws from every generator and counts its uses."""

    uses = 0

    def apply(self, img: np.ndarray, **_: Any) -> np.ndarray:
        self.uses += 1
        random.random(), np.random.random(), torch.rand(1)  # noqa: NPY002
        return img


def states() -> tuple[Any, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002


def test_the_trial_changes_no_draws_and_no_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    own = types.ModuleType("own_augmentations")
    shared = Drawing(p=0.25)
    own.shared = lambda: shared
    monkeypatch.setitem(sys.modules, "own_augmentations", own)
    before = states()
    DetectionTransform([FLIP, {"own_augmentations:shared": {}}], training=True)
    assert before == states()
    assert (shared.uses, shared.p) == (0, 0.25)


def test_what_fails_on_some_pictures_alone_names_their_size() -> None:
    crop = {"RandomCrop": {"height": 50, "width": 50, "p": 1.0}}
    transform = DetectionTransform([crop], shortest_side=[20], training=True)
    with pytest.raises(DataError, match=r"data.augment fails on this image of 60x40 pixels: CropSizeError: Crop size"):
        transform(np.zeros((40, 60, 3), np.uint8), DetectionTarget.empty(), 3)
