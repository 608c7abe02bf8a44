import math

import pytest
import torch
from torch import Tensor

from detres.boxes import decode_boxes, encode_boxes
from detres.detection.model.anchors import AnchorGrid
from detres.detection.model.losses import BoxLoss
from detres.detection.model.matching import NEGATIVE, Sample
from detres.detection.model.rpn import RPN, RpnOutput
from detres.structures import DetectionTarget


def output_of(logits: list[float], deltas: Tensor) -> RpnOutput:
    return RpnOutput([torch.tensor([logits])], [deltas[None]])


def target_of(*boxes: list[float]) -> DetectionTarget:
    return DetectionTarget(
        torch.tensor(boxes).view(-1, 4), torch.zeros(len(boxes), dtype=torch.int64), torch.zeros(len(boxes), dtype=bool)
    )


ANCHORS = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [40, 40, 40.5, 50]])


def test_proposals_by_hand_are_suppressed_clipped_and_sorted() -> None:
    rpn = RPN(8, 1, nms=0.7, min_size=1.0)
    proposals = rpn.proposals(output_of([1.0, 3.0, 2.0, 9.0], torch.zeros(4, 4)), [ANCHORS], torch.tensor([[25, 100]]))
    # The last is under a pixel wide, the first overlaps the better second by 0.9, the third is cut at the bottom.
    assert proposals[0].tolist() == [[0, 0, 10, 9], [20, 20, 30, 25]]


def test_a_proposal_has_sides_of_at_least_the_minimum_and_always_an_area() -> None:
    sides = torch.tensor([[0.5, 4.0], [4.0, 0.5], [1.0, 4.0], [4.0, 1.0], [0.0, 4.0], [4.0, 0.0]])
    corner = torch.tensor([[60.0, 0.0]]) + 5 * torch.arange(6)[:, None]
    anchors = torch.cat([corner, corner + sides], dim=1)
    output = output_of([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], torch.zeros(6, 4))
    for min_size, expected in ((0.0, anchors[:4]), (1.0, anchors[2:4])):
        (found,) = RPN(8, 1, min_size=min_size).proposals(output, [anchors], torch.tensor([[100, 100]]))
        assert torch.equal(found, expected)


def test_each_image_keeps_its_own_best_predictions_decoded_from_their_own_anchors() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, deltas = torch.randn(3, 4, generator=generator), torch.randn(3, 4, 4, generator=generator) / 4
    codec, size = (10.0, 10.0, 5.0, 5.0), (200, 300)
    rpn = RPN(8, 1, nms=1.0, pre_nms_train=3, codec_weights=codec)
    anchors = ANCHORS + 50
    found = rpn.proposals(RpnOutput([logits], [deltas]), [anchors], torch.tensor([size] * 3))
    for boxes, row, of_image in zip(found, logits, deltas, strict=True):
        best = row.argsort(descending=True)[:3]
        torch.testing.assert_close(boxes, decode_boxes(of_image[best], anchors[best], codec))


def test_levels_do_not_suppress_each_other() -> None:
    rpn = RPN(8, 1)
    output = RpnOutput([torch.tensor([[1.0]]), torch.tensor([[2.0]])], [torch.zeros(1, 1, 4)] * 2)
    assert len(rpn.proposals(output, [ANCHORS[:1], ANCHORS[:1]], torch.tensor([[100, 100]]))[0]) == 2


def test_counts_before_and_after_nms_follow_the_mode() -> None:
    rpn = RPN(8, 1, pre_nms_train=3, post_nms_train=2, pre_nms_test=1, post_nms_test=1, nms=1.0)
    output = output_of([4.0, 3.0, 2.0, 1.0], torch.zeros(4, 4))
    assert len(rpn.proposals(output, [ANCHORS], torch.tensor([[100, 100]]))[0]) == 2
    assert len(rpn.eval().proposals(output, [ANCHORS], torch.tensor([[100, 100]]))[0]) == 1


def test_overflowed_predictions_propose_nothing() -> None:
    deltas = torch.full((4, 4), float("nan"))
    proposals = RPN(8, 1).proposals(output_of([1.0, 2.0, 3.0, 4.0], deltas), [ANCHORS], torch.tensor([[50, 50]]))
    assert proposals[0].shape == (0, 4)


def test_losses_by_hand() -> None:
    rpn = RPN(8, 1, batch_per_image=4, box_loss=BoxLoss("smooth_l1", beta=0.0))
    deltas = torch.zeros(4, 4)
    deltas[0] = torch.tensor([0.1, 0.0, 0.0, 0.0])
    sample = Sample(torch.tensor([0, 2]), torch.tensor([0, NEGATIVE]))
    losses = rpn.losses(output_of([0.0, 0.0, 2.0, 0.0], deltas), [ANCHORS], [target_of([0, 0, 10, 10])], [sample])
    # -log(sigmoid(0)) for the positive, -log(1 - sigmoid(2)) for the negative, over 4 anchors; |0.1| over 4.
    assert losses["loss_rpn_objectness"].item() == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 4)
    assert losses["loss_rpn_box"].item() == pytest.approx(0.1 / 4)


def test_normalizing_by_samples_divides_by_what_there_was() -> None:
    sample = Sample(torch.tensor([0, 2]), torch.tensor([0, NEGATIVE]))
    output, target = output_of([0.0] * 4, torch.zeros(4, 4)), [target_of([0, 0, 10, 10])]
    loss = RPN(8, 1, normalizer="samples").losses(output, [ANCHORS], target, [sample])["loss_rpn_objectness"]
    assert loss.item() == pytest.approx(math.log(2))


def test_giou_is_zero_for_a_perfect_box_and_its_weight_scales_it() -> None:
    goal = torch.tensor([[1.0, 2, 9, 12]])
    deltas = encode_boxes(goal, ANCHORS[:1])
    assert BoxLoss("giou")(deltas, ANCHORS[:1], goal, (1, 1, 1, 1)).item() == pytest.approx(0.0, abs=1e-5)
    apart = torch.tensor([[10.0, 0, 20, 10]])  # GIoU of two squares side by side is 0 - 0, its loss 1.
    loss = BoxLoss("giou", weight=3.0)(torch.zeros(1, 4), ANCHORS[:1], apart, (1, 1, 1, 1))
    assert loss.item() == pytest.approx(3.0, abs=1e-5)


def test_an_image_without_objects_learns_negatives_and_touches_every_parameter() -> None:
    rpn = RPN(8, 3)
    pyramid = [torch.randn(1, 8, 6, 6), torch.randn(1, 8, 3, 3)]
    anchors = AnchorGrid([[8], [16]], (4, 8))(pyramid, (24, 24))
    output, empty = rpn(pyramid), [DetectionTarget.empty()]
    samples = rpn.sample(anchors, empty, torch.tensor([1]))
    assert len(samples[0].index) == (36 + 9) * 3
    losses = rpn.losses(output, anchors, empty, samples)
    assert losses["loss_rpn_box"].item() == 0.0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in rpn.parameters())


def test_an_anchor_is_sampled_for_a_box_that_no_anchor_fits() -> None:
    drawn = RPN(8, 1).sample([ANCHORS[:1], ANCHORS[2:3]], [target_of([20, 20, 25, 30])], torch.tensor([1]))
    # Half of it is the box: under positive_iou, and the best there is.
    assert dict(zip(drawn[0].index.tolist(), drawn[0].matched.tolist(), strict=True)) == {0: NEGATIVE, 1: 0}


@pytest.mark.parametrize(
    ("given", "expected"),
    [(torch.float64, torch.float64), (torch.float32, torch.float32), (torch.bfloat16, torch.float32)],
)
def test_predictions_are_float32_at_least(given: torch.dtype, expected: torch.dtype) -> None:
    output = RPN(2, 1).to(given)([torch.zeros(1, 2, 2, 2, dtype=given)])
    assert {tensor.dtype for tensor in (*output.objectness_logits, *output.deltas)} == {expected}


def test_its_layers_start_small_and_without_a_bias() -> None:
    """Ren et al. 2015, section 3.1.3: a deviation of 0.01."""
    rpn = RPN(64, 16, convs=2)
    assert [tuple(layer.weight.shape) for layer in (*rpn.convs, rpn.objectness, rpn.deltas)] == [
        (64, 64, 3, 3),
        (64, 64, 3, 3),
        (16, 64, 1, 1),
        (64, 64, 1, 1),
    ]
    for layer in (*rpn.convs, rpn.objectness, rpn.deltas):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.1)
        assert not layer.bias.any()


def test_every_level_needs_its_anchors_and_every_image_its_target_and_key() -> None:
    rpn, target = RPN(8, 1), target_of([0, 0, 10, 10])
    output = output_of([0.0] * 4, torch.zeros(4, 4))
    sample = Sample(torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(ValueError, match="zip"):
        rpn.proposals(output, [ANCHORS, ANCHORS], torch.tensor([[50, 50]]))
    with pytest.raises(ValueError, match="1 targets for 2 keys"):
        rpn.sample([ANCHORS], [target], torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="zip"):
        rpn.losses(output, [ANCHORS], [target, target], [sample])
    with pytest.raises(ValueError, match="2 samples for 1 images"):
        rpn.losses(output, [ANCHORS], [target, target], [sample, sample])


def test_rows_stand_in_the_order_of_the_anchors() -> None:
    rpn = RPN(2, 3)
    features = torch.randn(1, 2, 4, 5)
    output = rpn([features])
    hidden = torch.relu(rpn.convs[0](features))
    expected = rpn.objectness(hidden)[0, 1, 2, 3]  # anchor 1 of the cell in row 2, column 3
    assert output.objectness_logits[0][0, (2 * 5 + 3) * 3 + 1] == expected
    assert torch.equal(output.deltas[0][0, (2 * 5 + 3) * 3 + 1], rpn.deltas(hidden)[0, 4:8, 2, 3])
