"""The peers under our loop, and what is compared of them."""

import pytest
import torch
import torch.nn.functional as F

from detres.benchmarks.backbone import Pictures, peer_network
from detres.benchmarks.classification.imagenet_training import (
    ImagenetWork,
    Learner,
    batch_of,
    compare_logits,
    make_ours,
    same_logits,
)
from detres.benchmarks.suite import PARTS

CPU = torch.device("cpu")
PICTURES = Pictures("resnet18", images=2, side=64, classes=5)


def test_a_learner_gives_the_loss_of_its_network() -> None:
    network, batch = peer_network("timm", PICTURES), batch_of(PICTURES)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    images = ((batch.images - mean) / std).permute(0, 3, 1, 2)
    expected = F.cross_entropy(network(images), batch.labels)
    torch.testing.assert_close(Learner(network)(batch)["loss"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_call_takes_so_many_steps() -> None:
    reports = make_ours(ImagenetWork(PICTURES, steps=2), CPU, compile=False)()
    assert [report.step for report in reports] == [1, 2]


@pytest.mark.slow
def test_the_networks_compute_the_same() -> None:
    check = same_logits(PICTURES, CPU)
    assert check.passed, check.what


def test_other_logits_fail_the_check() -> None:
    logits = torch.tensor([[1.0, -4.0]])
    assert compare_logits(logits, [logits, logits + 1e-4]).passed
    assert not compare_logits(logits, [logits, logits + 0.1]).passed


def test_a_gpu_trains_what_the_issue_names() -> None:
    training = PARTS["train_cls"].on_gpu
    assert (training.imagenet.pictures.backbone, training.imagenet.pictures.images) == ("resnet50", 256)
    assert [work.recipe for work in training.cifar] == [f"cifar10_resnet{depth}" for depth in (20, 56, 110)]
    assert all(work.unit == "steps/s" and work.cuda_graphs and work.batch == 128 for work in training.cifar)
