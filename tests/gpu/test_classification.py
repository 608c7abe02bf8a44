"""Classifiers on a device: a step with all that is done to a batch there, the set that lives there, and evaluation."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from detres.benchmarks.scenes import smooth_picture
from detres.classification.classifier import Classifier
from detres.classification.testing import member_of, predict_views
from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import load_config
from detres.data.classification.device_set import DeviceSet
from detres.data.classification.views import ImageViews, collate_views
from detres.data.loading.samplers import Share
from detres.structures import ClassificationBatch
from detres.tasks.classification.models import classifier_of_config, lessons_of
from tests.gpu.conftest import WaitsAtMost
from tests.gpu.steps import repeated, same_losses_within

pytestmark = pytest.mark.gpu

NAMES = tuple("abcdef")
CPU = torch.device("cpu")
# What a step may do to its batch: alone and together.
LESSONS = {
    "plain": (),
    "mixup": ("loss.mixup=0.4",),
    "cutmix": ("loss.cutmix=1.0",),
    "colours": ("data.pca_lighting=0.1",),
    "all, bce": (
        *("loss.name=bce", "loss.mixup=0.1", "loss.cutmix=1.0", "loss.smoothing=0.1", "loss.target_threshold=0.2"),
        *("data.pca_lighting=0.1",),
    ),
}


def taught(*overrides: str) -> tuple[Classifier, ClassificationConfig]:
    config = load_config("cifar10_resnet20", [f"data.classes=[{','.join(NAMES)}]", *overrides])
    assert isinstance(config, ClassificationConfig)
    model = classifier_of_config(config, NAMES)
    model.lessons = lessons_of(config, len(NAMES))
    return model, config


def pictures(count: int, side: int = 32) -> torch.Tensor:
    return torch.stack([torch.from_numpy(smooth_picture(side, side, place)) for place in range(count)])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "all, bce" else [pytest.mark.slow]) for name in LESSONS]
)
def test_a_step_waits_for_nothing(name: str, device: torch.device, waits_at_most: WaitsAtMost) -> None:
    batch = ClassificationBatch(
        pictures(8), torch.arange(8) % len(NAMES), tuple(range(8)), sample_keys=torch.arange(8), key=12345
    )
    same_losses_within(waits_at_most(0), taught(*LESSONS[name])[0], batch, device)


def set_on(device: torch.device) -> DeviceSet:
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    return DeviceSet(pixels, np.arange(20) % len(NAMES), tuple(range(20)), device=device)


def batches_on(device: torch.device, repeats: int) -> list[ClassificationBatch]:
    drawn = set_on(device).training_batches(Share(batch=6, seed=3), crop=32, padding=4, flip=0.5, repeats=repeats)
    return list(islice(drawn, 5))


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_set_on_the_device_gives_the_batches_of_a_cpu(repeats: int, device: torch.device) -> None:
    for here, there in zip(batches_on(CPU, repeats), batches_on(device, repeats), strict=True):
        assert there.images.device == device
        assert (here.image_ids, here.key) == (there.image_ids, there.key)
        assert torch.equal(here.images, there.images.cpu())
        assert torch.equal(here.labels, there.labels.cpu())
        assert here.sample_keys is not None
        assert there.sample_keys is not None
        assert torch.equal(here.sample_keys, there.sample_keys.cpu())


def test_a_set_on_the_device_gives_batches_without_a_wait(device: torch.device, waits_at_most: WaitsAtMost) -> None:
    drawn = set_on(device).training_batches(Share(batch=6, seed=3), crop=32, padding=4, flip=0.5)
    repeated(lambda: next(drawn), waits_at_most(0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "tested", [("test.crops=1",), ("test.crops=10",), ("test.crops=dense", "test.scales=[32,40]", "test.flip=true")]
)
def test_probabilities_are_those_of_a_cpu(
    tested: tuple[str, ...], device: torch.device, waits_at_most: WaitsAtMost
) -> None:
    model, config = taught("test.scales=[40]", *tested)
    member = member_of(model, config.data, config.test)
    views = [
        ImageViews(place, (member.plan.views(rgb.numpy()),), (48, 48)) for place, rgb in enumerate(pictures(3, 48))
    ]
    batch = collate_views(views)
    ((_, expected),) = predict_views([member], [batch], CPU)
    model.to(device)
    ((_, found),) = predict_views([member], [batch], device)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    repeated(lambda: list(predict_views([member], [batch], device)), waits_at_most(4))
