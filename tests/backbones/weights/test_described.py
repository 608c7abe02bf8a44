"""What a file says of its model is compared with its tensors before memory is taken for either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from detres.backbones.weights.described import check_described, check_extents
from detres.backbones.weights.metadata import WeightsMetadata
from detres.classification.classifier import build_classifier
from detres.classification.files import ClassifierSettings
from detres.classification.published import foreign_settings
from detres.detection.files import DetectorSettings
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS


def test_a_model_is_compared_without_being_made() -> None:
    tensors = {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}
    check_described(lambda: nn.Linear(2, 3), tensors, "w")
    for build, said in (
        (lambda: nn.Linear(10**6, 10**6), r"w: does not fit the model it describes: 2 shapes differ: .*1000000"),
        (lambda: nn.Linear(10**10, 10**10), r"w: describes a model that cannot be built \("),
        (lambda: nn.Linear(2, 3, bias=False), "1 have no place, such as bias"),
        (lambda: nn.Sequential(nn.Linear(2, 3)), "2 tensors are missing, such as 0.weight"),
    ):
        with pytest.raises(WeightsError, match=said):
            check_described(build, tensors, "w")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rpn": {"convs": 10**9}}, "rpn.convs is 1e"),
        ({"test": {"refine": 10**6}}, r"test\.refine"),
        ({"shortest_side": [10**9]}, "shortest_side is"),
        ({"anchors": {"ratios": [1.0] * 1001}}, r"anchors\.ratios has 1001 entries"),
        ({"anything": -1e18}, "anything is -1e"),
    ],
)
def test_numbers_that_no_model_has_are_told(values: Any, said: str) -> None:
    check_extents({"class_names": ["x"] * 5000, "rpn": {"convs": 2}, "scales": None, "name": "y"})
    with pytest.raises(ValueError, match=said):
        check_extents(values)


@pytest.fixture(scope="module")
def sound() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    model = build_classifier("cifar10_resnet20", num_classes=2)
    settings = foreign_settings(WeightsMetadata("cifar10_resnet20", IMAGENET_STATS), ("a", "b"))
    return dict(model.state_dict()), json.loads(settings.to_metadata()["detres"])


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": ["c"] * 50_000, "model": {"class_names": ["c"] * 50_000}},
        {"model": {"backbone": {"name": "cifar10_resnet1202"}}},
        {"model": {"backbone": {"name": "os:system"}}},
        {"model": {"backbone": {"norm_eps": -1}}, "backbone": {"norm_eps": -1}},
        {"model": {"drop_path": 1e400}},
        {"model": {"pixel_std": [0, 0, 0]}},
        {"preprocessing": {"crop": 10**18}},
        {"preprocessing": {"crop": -3}},
        {"test": {"scales": [10**12]}},
        {"test": {"crops": "many"}},
        {"test": {"batch": 10**400}},
        {"norms": {"c1": "a" * 5000}},
        {"norms": {"c1": 3}},
        {"norms": {"c9": "batch"}},
        {"norms": []},
        {"backbone": {"pixel_stats": {"mean": [1, 2, 3], "std": [0, 1, 1], "order": "rgb"}}},
        {"backbone": {"pixel_stats": {"mean": ["a", 2, 3], "std": [1, 1, 1], "order": "rgb"}}},
        {"backbone": {"architecture": ["resnet18"]}},
        {"backbone": {"measured": {"top1": 10**400}}},
        {"backbone": {"norm_eps": "small"}},
        {"backbone": {"shortcut_padding": "left"}},
        {"schema": -1.5, "task": ["classification"]},
        {"recipe": {"a": 1}, "model": 3},
    ],
)
def test_a_file_that_lies_about_itself_is_one_message(
    sound: tuple[dict[str, torch.Tensor], dict[str, Any]], tmp_path: Path, change: dict[str, Any]
) -> None:
    tensors, text = sound

    def changed(old: Any, new: Any) -> Any:
        if isinstance(old, dict) and isinstance(new, dict):
            return old | {key: changed(old.get(key), value) for key, value in new.items()}
        return new

    file = tmp_path / "w.safetensors"
    save_file(tensors, file, {"detres": json.dumps(text)})
    ClassifierSettings.load(file)
    save_file(tensors, file, {"detres": json.dumps(changed(text, change))})
    with pytest.raises(WeightsError, match=r"w\.safetensors: ") as told:
        ClassifierSettings.load(file)
    assert len(str(told.value)) < 2000


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 30, "9" * 10_000, "NaN", '"x"', "1e999"])
def test_json_that_is_none_is_one_message(tmp_path: Path, text: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", {"detres": text, "backbone": text})
    for load in (DetectorSettings.load, ClassifierSettings.load):
        with pytest.raises(WeightsError, match="the file may be damaged"):
            load(tmp_path / "w.safetensors")


def test_weights_that_a_file_says_it_began_with_are_not_the_readers() -> None:
    settings = foreign_settings(WeightsMetadata("cifar10_resnet20", IMAGENET_STATS), ("a", "b"))
    text = json.loads(settings.to_metadata()["detres"])
    text["model"]["backbone"]["weights"] = "/etc/passwd"
    read = type(settings).from_metadata({"detres": json.dumps(text)}, "w")
    assert read.model.backbone.weights is None
