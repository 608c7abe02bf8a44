import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou as torchvision_iou

from detres.boxes import box_area, box_iou, clip_boxes, covered_share, decode_boxes, encode_boxes, intersection_area


def random_boxes(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner, side = torch.rand(count, 2, generator=generator) * 80, torch.rand(count, 2, generator=generator) * 60 + 1
    return torch.cat([corner, corner + side], dim=1)


def test_half_overlapping_squares_by_hand() -> None:
    boxes, others = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 15, 10], [20, 20, 30, 30]])
    assert intersection_area(boxes, others).tolist() == [[50.0, 0.0]]
    assert box_iou(boxes, others).tolist() == [[pytest.approx(50 / 150), 0.0]]
    assert covered_share(boxes, others).tolist() == [[0.5, 0.0]]


def test_boxes_without_area_overlap_nothing() -> None:
    point = torch.tensor([[5.0, 5, 5, 5], [9, 9, 3, 3]])
    assert box_area(point).tolist() == [0.0, 0.0]
    assert box_iou(point, point).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert covered_share(point, torch.tensor([[0.0, 0, 10, 10]])).tolist() == [[0.0], [0.0]]


def test_a_box_turned_inside_out_one_way_only_has_no_area() -> None:
    assert box_area(torch.tensor([[6.0, 0, 4, 8], [0, 9, 8, 3]])).tolist() == [0.0, 0.0]


def test_boxes_smaller_than_a_pixel_have_their_own_area() -> None:
    box, half = torch.tensor([[0.0, 0, 0.5, 0.25]]), torch.tensor([[0.25, 0, 0.5, 0.25]])
    assert box_area(box).tolist() == [0.125]
    assert box_iou(box, half).tolist() == [[0.5]]
    assert covered_share(box, half).tolist() == [[0.5]]


def test_no_boxes_give_an_empty_matrix() -> None:
    assert box_iou(torch.zeros(0, 4), random_boxes(3)).shape == (0, 3)
    assert decode_boxes(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)
    assert encode_boxes(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)


def test_iou_agrees_with_torchvision() -> None:
    boxes, others = random_boxes(50), random_boxes(70, seed=1)
    torch.testing.assert_close(box_iou(boxes, others), torchvision_iou(boxes, others))


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_codec_agrees_with_torchvision_and_inverts(weights: tuple[float, float, float, float]) -> None:
    boxes, anchors = random_boxes(40), random_boxes(40, seed=2)
    coder = BoxCoder(weights)
    deltas = encode_boxes(boxes, anchors, weights)
    torch.testing.assert_close(deltas, coder.encode_single(boxes, anchors))
    torch.testing.assert_close(decode_boxes(deltas, anchors, weights), boxes, atol=1e-4, rtol=1e-5)
    noise = torch.randn(40, 4, generator=torch.Generator().manual_seed(3)) * 3
    torch.testing.assert_close(decode_boxes(noise, anchors, weights), coder.decode_single(noise, anchors))


def test_offsets_are_not_weighted_unless_asked() -> None:
    boxes, anchors = random_boxes(3), random_boxes(3, seed=1)
    deltas = encode_boxes(boxes, anchors)
    assert torch.equal(deltas, encode_boxes(boxes, anchors, (1.0, 1.0, 1.0, 1.0)))
    torch.testing.assert_close(decode_boxes(deltas, anchors), boxes, atol=1e-4, rtol=1e-5)


def test_leading_dimensions_are_kept_and_broadcast() -> None:
    """Of RoIs (R, 1) and their deltas (R, K): each pair is what it is alone."""
    anchors = random_boxes(5)[:, None]
    deltas = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(1))
    boxes = decode_boxes(deltas, anchors)
    assert torch.equal(boxes[4, 2], decode_boxes(deltas[4, 2], anchors[4, 0]))
    assert torch.equal(clip_boxes(boxes, (20, 30))[4, 2], clip_boxes(boxes[4, 2], (20, 30)))
    assert torch.equal(box_area(boxes)[4, 2], box_area(boxes[4, 2]))
    assert encode_boxes(boxes[:, 0], anchors[:, 0]).shape == (5, 4)


def test_the_codec_takes_four_weights() -> None:
    for codec in (encode_boxes, decode_boxes):
        with pytest.raises(ValueError, match="zip"):
            codec(random_boxes(2), random_boxes(2), (1.0, 1.0, 1.0))


def test_log_ratios_are_bounded() -> None:
    box = decode_boxes(torch.tensor([[0.0, 0, 50, 50]]), torch.tensor([[0.0, 0, 16, 16]]))
    assert (box[0, 2] - box[0, 0]).item() == pytest.approx(1000.0)
    assert math.isfinite(box.sum().item())


def test_encoding_a_flat_box_names_it() -> None:
    with pytest.raises(ValueError, match="box 1 has no area"):
        encode_boxes(torch.tensor([[0.0, 0, 5, 5], [3, 3, 3, 9]]), random_boxes(2))


def test_clipping_cuts_at_the_edges_of_height_and_width() -> None:
    clipped = clip_boxes(torch.tensor([[-5.0, -5, 50, 50]]), (20, 30))
    assert clipped.tolist() == [[0.0, 0.0, 30.0, 20.0]]
    assert torch.equal(clipped, clip_boxes(torch.tensor([[-5.0, -5, 50, 50]]), torch.tensor([20, 30])))


def test_a_box_without_a_number_for_a_corner_overlaps_nothing_and_spoils_no_other() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, float("nan"), 10]])
    assert box_iou(boxes, boxes[:1]).flatten().tolist() == [1.0, 0.0]
    assert covered_share(boxes, boxes[:1]).flatten().tolist() == [1.0, 0.0]
