"""A classifier as an object: pictures in, probabilities with names out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import detres
from detres.checkpoints.saving import save_checkpoint
from detres.classification.classifier import build_classifier
from detres.classification.files import ClassifierSettings, settings_of
from detres.config.classification_schema import ClassificationDataConfig, ClassificationTestConfig, ClassifierConfig
from detres.config.sections import BackboneConfig
from detres.errors import ConfigError, DataError, WeightsError

NAMES = ("cat", "dog", "owl")
NET = "cifar10_resnet20"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose `last` is a classifier tested on the middle 32 of 40 pixels."""
    torch.manual_seed(3)
    model = build_classifier(NET, num_classes=3)
    test = ClassificationTestConfig(scales=(40,))
    config = ClassifierConfig(backbone=BackboneConfig(name=NET, norm="batch"))
    settings = settings_of(model, config, ClassificationDataConfig(crop=32), test, class_names=NAMES)
    folder = tmp_path_factory.mktemp("run")
    save_checkpoint(folder / "checkpoints" / "last", model.state_dict(), settings.to_metadata(), {"step": 1})
    return folder


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)


def test_the_probabilities_are_the_networks_on_the_tested_crop(run: Path, pixels: np.ndarray) -> None:
    classifier = detres.Classifier.from_checkpoint(run, device="cpu")
    found = classifier.predict(pixels[0])
    crop = torch.from_numpy(pixels[:1, 4:36, 4:36].copy())
    expected = classifier.model.predict(crop).softmax(1)[0]
    np.testing.assert_allclose(found.probabilities, expected.numpy(), atol=1e-6)
    assert found.name == NAMES[int(expected.argmax())] == found.top(1)[0][0]
    assert [name for name, _ in found.top(9)] == [NAMES[i] for i in expected.argsort(descending=True)]
    assert found.to_dict()["names"] == list(NAMES)
    assert classifier.class_names == NAMES


def test_folded_norms_compute_what_the_rebuilt_network_computes(run: Path, pixels: np.ndarray) -> None:

    model, _ = ClassifierSettings.load(run / "checkpoints" / "last" / "model.safetensors")
    crop = torch.from_numpy(pixels[:, 4:36, 4:36].copy())
    folded = detres.Classifier.from_checkpoint(run, device="cpu").model
    torch.testing.assert_close(folded.predict(crop), model.predict(crop), rtol=1e-4, atol=1e-5)


def test_arrays_pil_images_paths_and_batches_are_the_same_pictures(
    run: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    classifier = detres.Classifier.from_checkpoint(run, device="cpu")
    cv2.imwrite(str(tmp_path / "a.png"), np.ascontiguousarray(pixels[0, ..., ::-1]))
    one = classifier(pixels[0]).probabilities
    for picture in (Image.fromarray(pixels[0]), tmp_path / "a.png", str(tmp_path / "a.png"), torch.tensor(pixels[0])):
        np.testing.assert_array_equal(classifier.predict(picture).probabilities, one)
    for batch in (pixels, torch.tensor(pixels)):
        many = list(classifier.predict_many(batch, batch=2))
        assert len(many) == 3
        np.testing.assert_allclose(many[0].probabilities, one, atol=1e-6)
    assert list(classifier.predict_many([])) == []


def test_what_is_no_picture_and_what_is_no_classifier_is_told(run: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    classifier = detres.Classifier.from_checkpoint(run, device="cpu")
    with pytest.raises(DataError, match="a picture must be uint8 RGB"):
        classifier.predict(pixels[0].astype(np.float32))
    with pytest.raises(DataError, match=r"absent\.png"):
        classifier.predict(tmp_path / "absent.png")
    with pytest.raises(WeightsError, match="no such file or folder"):
        detres.Classifier.from_checkpoint(tmp_path / "absent")


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_none_is_refused_at_once(run: Path, pixels: np.ndarray, batch: int) -> None:
    classifier = detres.Classifier.from_checkpoint(run, device="cpu")
    with pytest.raises(ConfigError, match=f"batch is {batch}, expected 1 or more"):
        classifier.predict_many(pixels, batch=batch)


def test_a_picture_of_more_pixels_is_refused_until_it_is_said(run: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"40x40 pixels are more than data\.max_pixels=1599"):
        detres.Classifier.from_checkpoint(run, device="cpu", max_pixels=1599).predict(tmp_path / "a.png")
    found = detres.Classifier.from_checkpoint(run, device="cpu", max_pixels=1600).predict(tmp_path / "a.png")
    assert found.probabilities.shape == (3,)
