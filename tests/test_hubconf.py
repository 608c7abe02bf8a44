"""torch.hub finds the backbones in a clone, without a network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from detres import build_backbone, list_backbones
from detres.backbones.weights.loading import save_backbone
from detres.errors import WeightsError

CLONE = str(Path(__file__).resolve().parents[1])


def load(name: str, *arguments: object, **options: object) -> torch.nn.Module:
    return torch.hub.load(CLONE, name, *arguments, source="local", **options)


def test_every_backbone_is_an_entry_with_a_word_of_help() -> None:
    assert load("list_backbones") == list_backbones()
    spec = importlib.util.spec_from_file_location("hubconf", f"{CLONE}/hubconf.py")
    hubconf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hubconf)
    for name in list_backbones():
        entry = getattr(hubconf, name)
        assert entry.__name__ == name
        assert f"build_backbone('{name}'" in entry.__doc__
    assert {*list_backbones(), "build_backbone", "build_classifier", "list_backbones"} == set(hubconf.__all__)
    listed = {name for name in dir(hubconf) if callable(getattr(hubconf, name)) and not name.startswith("_")}
    assert listed == set(hubconf.__all__), "torch.hub.list shows something else"


def test_a_backbone_comes_with_the_weights_of_a_file(tmp_path: Path) -> None:
    ours = build_backbone("cifar10_resnet20")
    save_backbone(tmp_path / "w.safetensors", ours)
    theirs = load("cifar10_resnet20", weights=str(tmp_path / "w.safetensors"), norm="batch", outputs=("c4",))
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(theirs.eval()(images)["c4"], ours.eval()(images)["c4"])
    with pytest.raises(WeightsError, match="no such weights file"):
        load("resnet18", weights=str(tmp_path / "absent.safetensors"))


def test_a_classifier_is_built_by_its_name() -> None:
    classifier = load("build_classifier", "cifar10_resnet20", num_classes=3)
    assert classifier.predict(torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).shape == (2, 3)
