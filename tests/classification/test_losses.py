import math

import pytest
import torch
import torch.nn.functional as F

from detres.classification.losses import build_loss, top1_error

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 1.0]])
LABELS = torch.tensor([0, 1])
SHARES = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.9, 0.0]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs_for_labels(smoothing):
    loss = build_loss("cross_entropy", smoothing=smoothing)(LOGITS, LABELS)
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing))


def test_smoothed_cross_entropy_by_hand():
    """Two classes, logits ln 3 and 0: probabilities 3/4 and 1/4; smoothed by 0.2 the targets are 0.9 and 0.1."""
    loss = build_loss("cross_entropy", smoothing=0.2)(torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([0]))
    assert loss.item() == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))


def test_shares_are_not_smoothed_once_more():
    for smoothing in (0.0, 0.1):
        loss = build_loss("cross_entropy", smoothing=smoothing)(LOGITS, SHARES)
        torch.testing.assert_close(loss, F.cross_entropy(LOGITS, SHARES))
        loss = build_loss("bce", smoothing=smoothing)(LOGITS, SHARES)
        torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(LOGITS, SHARES))


def test_binary_cross_entropy_asks_for_each_class_by_itself():
    """One image, logits 0 and ln 3 of classes 0 (right) and 1: -(ln 1/2 + ln 1/4) over two classes."""
    logits = torch.tensor([[0.0, math.log(3.0)]])
    loss = build_loss("bce")(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_a_class_above_the_threshold_is_present():
    loss = build_loss("bce", target_threshold=0.2)(LOGITS, SHARES)
    present = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(LOGITS, present))


def test_what_is_present_is_smoothed_as_labels_are():
    """Of three classes smoothed by 0.3 the present have 0.8, the others 0.1; a label is the class that is present."""
    loss = build_loss("bce", smoothing=0.3, target_threshold=0.2)
    targets = torch.tensor([[0.8, 0.8, 0.1], [0.1, 0.8, 0.1]])
    torch.testing.assert_close(loss(LOGITS, SHARES), F.binary_cross_entropy_with_logits(LOGITS, targets))
    torch.testing.assert_close(loss(LOGITS, LABELS), loss(LOGITS, F.one_hot(LABELS, 3).float()))


def test_a_threshold_is_no_choice_of_cross_entropy():
    with pytest.raises(ValueError, match="choice of bce"):
        build_loss("cross_entropy", target_threshold=0.2)


def test_losses_hold_no_tensors_that_a_state_dict_would_list():
    assert not build_loss("bce", smoothing=0.1, target_threshold=0.2).state_dict()
    assert not build_loss("cross_entropy", smoothing=0.1).state_dict()


def test_the_right_class_of_a_mixture_is_the_larger_one():
    assert top1_error(LOGITS, LABELS).item() == 0.5
    assert top1_error(LOGITS, SHARES).item() == 0.5
    assert top1_error(LOGITS, SHARES.flip(0)).item() == 1.0
