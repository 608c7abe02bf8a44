"""A classifier comes from its config, other weights or its checkpoint, and is prepared as the config says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import Layer, resolve
from detres.data.classification.datasets import load_classified
from detres.errors import ConfigError
from detres.tables import CLASSIFICATION_FORMATS
from detres.tasks.classification.data import device_set
from detres.tasks.classification.models import (
    classifier_from_weights,
    classifier_of_checkpoint,
    classifier_of_config,
    lessons_of,
    prepare_classifier,
)
from detres.tasks.runs.class_names import agreed_class_names

CPU = torch.device("cpu")


def config_of(**sections: Any) -> ClassificationConfig:
    model = {"backbone": {"name": "cifar10_resnet20"}} | sections.pop("model", {})
    return resolve([Layer("test", {"task": "classification", "model": model, **sections})])


def test_the_first_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = classifier_of_config(config_of(), ["a", "b"])
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    again = classifier_of_config(config_of(), ["a", "b"])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_stated_pixels_are_the_models() -> None:
    stated = config_of(model={"pixel_mean": [1.0, 2.0, 3.0], "pixel_std": [4.0, 5.0, 6.0]})
    stats = classifier_of_config(stated, ["a"]).pixel_stats
    assert (stats.mean, stats.std, stats.order) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "rgb")


def test_a_checkpoint_brings_the_model_back_with_how_it_is_trained(trained_classifier: Path) -> None:
    model = classifier_of_checkpoint(trained_classifier / "checkpoints/last/model.safetensors")
    assert model.name == "cifar10_resnet20"
    assert model.fc.out_features == 2


def test_new_classes_on_old_weights_depend_on_the_seed_alone(trained_classifier: Path) -> None:
    config = config_of()
    first, again = (classifier_from_weights(config, ["green", "red"], trained_classifier) for _ in range(2))
    old = classifier_from_weights(config, ["blue", "red"], trained_classifier)
    assert torch.equal(first.fc.weight, again.fc.weight)
    assert torch.equal(first.fc.weight[1], old.fc.weight[1])
    assert not torch.equal(first.fc.weight[0], old.fc.weight[0])


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_and_weights_lie_in_memory_as_the_config_says(channels_last: bool) -> None:
    config = config_of(training={"channels_last": channels_last})
    model = prepare_classifier(classifier_of_config(config, ["a"]), config, CPU)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = model.normalize(torch.zeros(2, 8, 8, 3, dtype=torch.uint8))
    assert images.is_contiguous(memory_format=layout)
    assert model.conv1.weight.is_contiguous(memory_format=layout)


def test_lessons_are_those_of_the_config() -> None:
    plain = lessons_of(config_of(), 3)
    assert plain.colours is None
    assert plain.mixing is None
    full = lessons_of(config_of(loss={"mixup": 0.2, "smoothing": 0.1}, data={"pca_lighting": 0.1}), 3)
    logits = torch.tensor([[2.0, 0.0, 1.0]])
    smoothed = torch.tensor([[0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]])
    expected = -(smoothed * logits.log_softmax(dim=1)).sum()
    torch.testing.assert_close(full.loss(logits, torch.tensor([0])), expected)
    _, shares = full.mixing(torch.zeros(2, 3, 4, 4), torch.tensor([0, 2]), 5)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
    assert full.colours(torch.zeros(1, 4, 4, 3), torch.tensor([7])).abs().sum() > 0


def test_small_sets_live_on_the_device_unless_told_otherwise(tiny_classes: Any) -> None:
    data = {"format": "folder", "root": str(tiny_classes.root), "crop": 16, "cropping": "pad"}
    config = config_of(data=data)
    images = load_classified(config.data, "train")
    assert len(device_set(config.data, images, CPU)) == 10
    for change in ({"in_memory": False}, {"cropping": "area"}, {"randaugment": "rand-m7-mstd0.5-inc1"}):
        assert device_set(config_of(data=data | change).data, images, CPU) is None, change


def test_class_names_come_from_the_data_the_config_or_the_format() -> None:
    def agreed(class_names: list[str] | None, **stated: Any) -> tuple[str, ...]:
        return agreed_class_names(config_of(**stated), class_names, CLASSIFICATION_FORMATS)

    assert agreed(["x"]) == ("x",)
    assert agreed(None, data={"format": "cifar10"})[:2] == ("airplane", "automobile")
    assert agreed(None, model={"class_names": ["y"]}) == ("y",)
    with pytest.raises(ConfigError, match="nothing names the classes"):
        agreed(None, data={"format": "folder"})
    with pytest.raises(ConfigError, match=r"model\.class_names are y, but the data's classes are x"):
        agreed(["x"], model={"class_names": ["y"]})


def test_cuda_graphs_are_a_way_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str | None] = []

    def compiled(function: Any, mode: str | None = None) -> Any:
        modes.append(mode)
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    for training in ({"compile": True}, {"compile": True, "cuda_graphs": True}):
        config = config_of(training=training)
        prepare_classifier(classifier_of_config(config, ["a", "b"]), config, CPU)
    assert modes == [None, "reduce-overhead"]


@pytest.mark.parametrize(
    "training", [{"cuda_graphs": True}, {"cuda_graphs": True, "compile": True, "per_device_batch": 8}]
)
def test_cuda_graphs_of_what_is_not_compiled_or_accumulated_are_refused(training: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"cuda_graphs=true needs .* and no per_device_batch"):
        config_of(training=training)
