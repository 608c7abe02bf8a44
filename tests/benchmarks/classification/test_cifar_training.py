"""The plain form trains the same net on the same images, and a recipe that differs is told from it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from detres.benchmarks.classification import cifar_training
from detres.benchmarks.classification.cifar_training import (
    CifarWork,
    compare_losses,
    config_of,
    make_ours,
    same_losses,
    write_cifar10,
)
from detres.benchmarks.classification.plain_cifar import PlainResNet, plain_loader
from detres.classification.classifier import build_classifier
from detres.config.difference import config_difference
from detres.config.loading import load_config
from detres.data.formats.cifar10 import load_cifar10

CPU = torch.device("cpu")
WORK = CifarWork(batch=16, steps=2, workers=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_cifar10(tmp_path, WORK)
    return tmp_path


def test_the_plain_net_is_ours_in_another_form() -> None:
    ours = build_classifier("cifar10_resnet20", num_classes=10).double().train()
    plain = PlainResNet(WORK.blocks).double()
    plain.load_state_dict(ours.state_dict())
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain(images), ours.logits(images), rtol=1e-10, atol=1e-10)


def test_both_read_the_same_images(folder: Path) -> None:
    images = load_cifar10(folder, "train")
    assert (images.pixels == WORK.pixels()).all()
    assert (images.labels == WORK.labels()).all()
    assert images.pixels.std() > 50


def test_the_plain_loader_gives_normalized_crops_of_an_epoch() -> None:
    black = np.zeros((5, 32, 32, 3), np.uint8)
    batches = list(plain_loader(black, np.arange(5), batch=2, workers=0, pin_memory=False))
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == list(range(5))
    # (0 - mean) / std of CIFAR-10's red.
    assert float(batches[0][0][0, 0, 0, 0]) == pytest.approx(-125.307 / 62.993, abs=1e-5)


def test_ours_is_the_recipe_on_other_images(folder: Path) -> None:
    config = config_of(folder, CifarWork(), "bf16", compile=False)
    changed = {difference.key for difference in config_difference(load_config(WORK.recipe), config)}
    assert changed == {"data.root", "data.test", "training.precision"}


def test_a_call_of_ours_is_an_epoch(folder: Path) -> None:
    ours = make_ours(folder, WORK, CPU, "float32", compile=False)
    assert [report.step for report in ours()] == [1, 2]
    assert [report.step for report in ours()] == [3, 4]


def test_losses_agree_step_by_step_or_not() -> None:
    assert compare_losses([2.0, 1.0], [2.0, 1.0], 1e-6).passed
    check = compare_losses([2.0, 1.01], [2.0, 1.0], 1e-3)
    assert not check.passed
    assert "1.0e-02" in check.what
    assert not compare_losses([2.0, float("nan")], [2.0, 1.0], 1e-3).passed


@pytest.mark.slow
def test_another_momentum_fails_the_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = same_losses(folder, WORK, CPU, "float32", compile=False)
    assert check.passed, check.what
    monkeypatch.setattr(
        cifar_training,
        "plain_optimizer",
        lambda model, lr: torch.optim.SGD(model.parameters(), lr=lr, momentum=0.8, weight_decay=1e-4),
    )
    assert not same_losses(folder, WORK, CPU, "float32", compile=False).passed


def test_the_targets_are_the_issues() -> None:
    assert cifar_training.TARGETS == {"float32": 1.6, "bf16": 2.0}
