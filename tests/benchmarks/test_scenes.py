"""Random weights that behave like trained ones, the same on both sides and every time."""

import pytest
import torch

from detres.benchmarks.scenes import Scene, detres_detector, smooth_picture, their_images, torchvision_detector

SCENE = Scene("resnet18", 128, 160, classes=11)


@pytest.mark.slow
def test_a_scene_is_the_same_every_time_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two = (torchvision_detector(SCENE).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert (smooth_picture(32, 48, seed=1) == smooth_picture(32, 48, seed=1)).all()
    assert (smooth_picture(32, 48, seed=1) != smooth_picture(32, 48, seed=2)).any()


@pytest.mark.slow
def test_a_picture_has_many_detections() -> None:
    with torch.no_grad():
        found = torchvision_detector(SCENE)(their_images(SCENE.pictures()))[0]
    assert len(found["boxes"]) >= 50
    assert 0.05 < float(found["scores"].max()) < 1.0


@pytest.mark.slow
def test_both_train_the_same_parameters() -> None:
    theirs = torchvision_detector(SCENE)
    ours, _ = detres_detector(theirs, SCENE)
    frozen = {name for name, p in ours.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(name.startswith(("backbone.conv1", "backbone.layer1")) for name in frozen)
    # One row less on our side: the box of the background, which torchvision predicts and never uses.
    trained = [sum(p.numel() for p in model.parameters() if p.requires_grad) for model in (ours, theirs)]
    assert trained[1] - trained[0] == 4 * (1024 + 1)


def test_targets_lie_inside_the_picture() -> None:
    for target in SCENE.targets():
        assert len(target) == SCENE.objects
        assert (target.boxes[:, :2] >= 0).all()
        assert (target.boxes[:, 2:] <= torch.tensor([SCENE.width, SCENE.height])).all()
        assert (target.boxes[:, 2:] > target.boxes[:, :2]).all()
        assert int(target.labels.max()) < SCENE.classes - 1
