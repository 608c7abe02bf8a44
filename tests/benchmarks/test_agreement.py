"""The checks of the same work fail where the work is another."""

from dataclasses import replace

import pytest
import torch

from detres.benchmarks.agreement import same_detections, same_losses, similar_detections
from detres.benchmarks.scenes import Scene, detres_detector, their_images, their_targets, torchvision_detector
from detres.structures import Detections

CPU = torch.device("cpu")
SCENE = Scene("resnet18", 96, 128, classes=7, objects=3)
FOUND = Detections(
    torch.tensor([[0.0, 0, 10, 10], [5, 5, 30, 40], [50, 50, 60, 60]]),
    torch.tensor([0.9, 0.8, 0.7]),
    torch.tensor([0, 3, 1]),
    (96, 128),
)


def theirs(found: Detections) -> list[dict[str, torch.Tensor]]:
    return [{"boxes": found.boxes, "scores": found.scores, "labels": found.labels + 1}]


def test_equal_detections_are_the_same_work() -> None:
    assert same_detections([FOUND], theirs(FOUND)).passed
    assert similar_detections([FOUND], theirs(FOUND)).passed


@pytest.mark.parametrize(
    "other",
    [
        replace(FOUND, boxes=FOUND.boxes + 0.1),
        replace(FOUND, scores=FOUND.scores + 0.001),
        replace(FOUND, labels=FOUND.labels + 1),
    ],
)
def test_other_boxes_scores_or_labels_are_not(other: Detections) -> None:
    assert not same_detections([FOUND], theirs(other)).passed


def test_detecting_nothing_is_no_agreement() -> None:
    nothing = FOUND.select(torch.zeros(3, dtype=torch.bool))
    assert not same_detections([nothing], theirs(nothing)).passed
    assert not similar_detections([nothing], theirs(nothing)).passed


def test_far_fewer_detections_are_not_similar() -> None:
    assert not similar_detections([FOUND.above(0.75)], theirs(FOUND)).passed


@pytest.mark.slow
def test_losses_agree_with_the_same_weights_and_only_with_them() -> None:
    peer = torchvision_detector(SCENE)
    ours, _ = detres_detector(peer, SCENE)
    given = (SCENE.batch(), their_images(SCENE.pictures()), their_targets(SCENE.targets(), CPU))
    limits = ours.rpn.batch_per_image, ours.roi.batch_per_image
    assert same_losses(ours, peer, *given).passed
    assert (ours.rpn.batch_per_image, ours.roi.batch_per_image) == limits
    assert peer.rpn.fg_bg_sampler.batch_size_per_image == 256
    with torch.no_grad():
        ours.roi.class_logits.bias[0] += 0.5
    check = same_losses(ours, peer, *given)
    assert not check.passed
    assert "loss_roi_class" in check.what
