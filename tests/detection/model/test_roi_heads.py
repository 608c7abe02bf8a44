import math

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops.poolers import LevelMapper, MultiScaleRoIAlign

from detres.detection.model.matching import NEGATIVE, Sample, sample
from detres.detection.model.region_sources import BatchPyramid
from detres.detection.model.roi_heads import RoIHeads, RoIPooler
from detres.errors import ConfigError
from detres.structures import DetectionTarget


class MeanHead(nn.Module):
    out_channels = 4

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=(2, 3))


def heads(**options: object) -> RoIHeads:
    torch.manual_seed(0)
    return RoIHeads(RoIPooler((8,), 2, sampling_ratio=1), MeanHead(), 3, **options)


def target_of(boxes: list[list[float]], labels: list[int], ignore: list[bool] | None = None) -> DetectionTarget:
    flags = torch.tensor(ignore or [False] * len(boxes))
    return DetectionTarget(torch.tensor(boxes).view(-1, 4), torch.tensor(labels, dtype=torch.int64), flags)


def rois(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 300
    return torch.cat([corner, corner + torch.rand(count, 2, generator=generator) ** 3 * 900 + 2], dim=1)


def test_an_roi_of_the_canonical_size_reads_the_canonical_level() -> None:
    pooler = RoIPooler((4, 8, 16, 32), 7)
    sides = torch.tensor([10.0, 111, 112, 223, 224, 447, 448, 5000])
    boxes = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], dim=1)
    assert pooler.levels(boxes).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert torch.equal(pooler.levels(rois(500)), LevelMapper(2, 5)([rois(500)]))


@pytest.mark.parametrize("aligned", [False, True])
def test_pooling_over_levels_agrees_with_torchvision(aligned: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    pyramid = [torch.randn(2, 6, 512 // s, 512 // s, generator=generator) for s in (4, 8, 16, 32)]
    boxes = [rois(40).clamp(max=512), rois(30, seed=2).clamp(max=512)]
    pooler = RoIPooler((4, 8, 16, 32), 7, sampling_ratio=2, aligned=aligned)
    index = torch.tensor([0] * 40 + [1] * 30)
    ours = pooler(pyramid, torch.cat(boxes), index)
    if aligned:  # theirs has no such switch: shift the boxes by half a cell of their level instead, where none is small
        strides = torch.tensor([4.0, 8, 16, 32])[pooler.levels(torch.cat(boxes))]
        shifted = torch.cat(boxes) - strides[:, None] / 2
        for level, stride in enumerate((4, 8, 16, 32)):
            rows = (pooler.levels(torch.cat(boxes)) == level) & (
                torch.cat(boxes)[:, 2:] - torch.cat(boxes)[:, :2] >= stride
            ).all(1)
            alone = RoIPooler((stride,), 7, sampling_ratio=2, aligned=False)
            torch.testing.assert_close(
                ours[rows], alone([pyramid[level]], shifted[rows], index[rows]), atol=1e-5, rtol=1e-4
            )
        return
    named = {str(i): features for i, features in enumerate(pyramid)}
    theirs = MultiScaleRoIAlign(list(named), 7, 2)(named, boxes, [(512, 512)] * 2)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_maps_beyond_the_levels_are_left_to_the_rpn() -> None:
    strides = (8, 16)
    pooler = RoIPooler(strides, 2, sampling_ratio=1)
    pyramid = [torch.randn(1, 4, side, side) for side in (64, 32, 16)]
    boxes, index = rois(40).clamp(max=512), torch.zeros(40, dtype=torch.int64)
    pooled, levels = pooler(pyramid, boxes, index), pooler.levels(boxes)
    assert levels.unique().tolist() == [0, 1]
    for level, stride in enumerate(strides):
        rows = levels == level
        alone = RoIPooler((stride,), 2, sampling_ratio=1)(pyramid[level:], boxes[rows], index[rows])
        torch.testing.assert_close(pooled[rows], alone)


def test_a_cell_of_the_only_level_is_as_wide_as_its_stride() -> None:
    """A map that grows by one a cell to the right: a bin reads where its middle lies, half a cell from the edge."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    pooled = RoIPooler((16,), 2, sampling_ratio=1)([ramp], torch.tensor([[32.0, 32, 96, 96]]), torch.tensor([0]))
    assert pooled[0, 0, 0].tolist() == [3 - 0.5, 5 - 0.5]


def test_ground_truth_joins_the_proposals_but_ignored_boxes_do_not() -> None:
    target = target_of([[0, 0, 10, 10], [50, 50, 70, 70]], [2, 1], [False, True])
    proposals = torch.tensor([[0.0, 0, 9, 10], [52, 52, 60, 60], [80, 80, 90, 90]])
    boxes, samples = heads(batch_per_image=8).sample([proposals], [target], torch.tensor([3]))
    found = {tuple(box): matched for box, matched in zip(boxes[0].tolist(), samples[0].matched.tolist(), strict=True)}
    # The proposal inside the ignored box is neither a hit nor background.
    assert found == {(0, 0, 10, 10): 0, (0, 0, 9, 10): 0, (80, 80, 90, 90): NEGATIVE}


def test_proposals_are_drawn_apart_from_the_anchors_of_the_same_key() -> None:
    model, target = heads(batch_per_image=8, positive_fraction=0.5), target_of([[0, 0, 10, 10]], [0])
    proposals = torch.cat([torch.tensor([[0.0, 0, 10, 9]] * 20), torch.tensor([[50.0, 50, 60, 60]] * 20)])
    ((boxes,), (drawn,)) = model.sample([proposals], [target], torch.tensor([3]))
    matched = torch.tensor([0] * 21 + [NEGATIVE] * 20)
    expected = sample(matched, torch.tensor(~3), count=8, positive_fraction=0.5)
    assert torch.equal(drawn.index, expected.index)
    assert torch.equal(boxes, torch.cat([target.boxes, proposals])[drawn.index])


def test_a_proposal_that_fits_no_box_is_background_though_it_be_the_best() -> None:
    proposals = torch.tensor([[0.0, 0, 10, 4], [0, 0, 10, 1]])
    target = target_of([[0, 0, 10, 10]], [0])
    model = heads(negative_iou_low=0.1)
    (matched,) = (drawn.matched for drawn in model.sample([proposals], [target], torch.tensor([3]))[1])
    assert sorted(matched.tolist()) == [NEGATIVE, NEGATIVE, 0]
    far = torch.tensor([[50.0, 50, 60, 60]])
    (drawn,) = model.sample([far], [target], torch.tensor([3]))[1]
    assert drawn.matched.tolist() == [0]  # What overlaps less than negative_iou_low is no negative.


def test_losses_by_hand() -> None:
    model = heads(batch_per_image=2)
    target = target_of([[0, 0, 10, 10]], [1])
    boxes = [torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])]
    deltas = torch.zeros(2, 3, 4)
    deltas[0, 1] = torch.tensor([0.5, 0, 0, 0])
    deltas[0, 2] = 99.0  # Another class's box is not asked.
    losses = model.losses(
        torch.zeros(2, 4), deltas, boxes, [target], [Sample(torch.arange(2), torch.tensor([0, NEGATIVE]))]
    )
    assert losses["loss_roi_class"].item() == pytest.approx(math.log(4))
    assert losses["loss_roi_box"].item() == pytest.approx(0.5 / 2)


def test_the_label_of_each_box_is_asked_of_its_own_rois() -> None:
    model = heads(batch_per_image=3)
    targets = [target_of([[0, 0, 10, 10], [0, 0, 20, 20]], [1, 2]), DetectionTarget.empty()]
    samples = [Sample(torch.arange(2), torch.tensor([0, 1])), Sample(torch.arange(1), torch.tensor([NEGATIVE]))]
    boxes = [targets[0].boxes, torch.tensor([[5.0, 5, 9, 9]])]
    logits = torch.full((3, 4), -50.0)
    logits[[0, 1, 2], [1, 2, 3]] = 50.0
    deltas = torch.full((3, 3, 4), 99.0)
    deltas[[0, 1], [1, 2]] = 0.0
    losses = model.losses(logits, deltas, boxes, targets, samples)
    assert {name: loss.item() for name, loss in losses.items()} == {"loss_roi_class": 0.0, "loss_roi_box": 0.0}


def test_every_image_needs_its_target_its_key_and_its_size() -> None:
    model, target, boxes = heads(), target_of([[0, 0, 10, 10]], [1]), torch.tensor([[0.0, 0, 9, 9]])
    drawn = Sample(torch.arange(1), torch.tensor([0]))
    with pytest.raises(ValueError, match="1 proposals, 1 targets and 2 keys"):
        model.sample([boxes], [target], torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="zip"):
        model.losses(torch.zeros(1, 4), torch.zeros(1, 3, 4), [boxes], [target, target], [drawn])
    with pytest.raises(ValueError, match="zip"):
        model.detections(BatchPyramid([torch.zeros(1, 4, 8, 8)], torch.tensor([[64, 64]] * 2)), [boxes])


def test_images_without_objects_or_proposals_give_finite_losses_that_touch_every_parameter() -> None:
    model = heads()
    pyramid = [torch.randn(2, 4, 8, 8)]
    targets = [DetectionTarget.empty(), DetectionTarget.empty()]
    boxes, samples = model.sample([torch.zeros(0, 4), torch.tensor([[0.0, 0, 9, 9]])], targets, torch.tensor([1, 2]))
    losses = model.losses(*model(pyramid, boxes, torch.tensor([[64, 64], [64, 64]])), boxes, targets, samples)
    assert losses["loss_roi_box"].item() == 0.0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_detections_by_hand() -> None:
    model = heads(score=0.3, nms=0.5, max_detections=2)
    proposals = [torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 40, 30], [60, 0, 70, 10]])]
    probability = torch.tensor([[0.8, 0.1, 0.0, 0.1], [0.5, 0.4, 0.0, 0.1], [0.0, 0.0, 0.6, 0.4], [0.1, 0.1, 0.1, 0.7]])
    model.read = lambda source, regions: (probability.log(), torch.zeros(4, 1, 4))
    ((boxes, scores, labels),) = model.detections(BatchPyramid([], torch.tensor([[25, 100]])), proposals)
    # The second RoI loses class 0 to the first by NMS and class 1 to the limit of two; the third is clipped.
    assert boxes.tolist() == [[0, 0, 10, 10], [20, 20, 40, 25]]
    assert scores.tolist() == pytest.approx([0.8, 0.6])
    assert labels.tolist() == [0, 2]


def test_class_agnostic_boxes_have_one_column() -> None:
    model = heads(class_agnostic=True)
    logits, deltas = model([torch.randn(1, 4, 8, 8)], [rois(5)], torch.tensor([[64, 64]]))
    assert (logits.shape, deltas.shape) == ((5, 4), (5, 1, 4))
    target = target_of([[0, 0, 10, 10]], [2])
    model.losses(logits, deltas, [rois(5)], [target], [Sample(torch.arange(5), torch.tensor([0, -1, -1, -1, -1]))])


def test_its_layers_start_small_and_without_a_bias() -> None:
    """Girshick 2015, section 3.1: deviations of 0.01 and 0.001."""
    head = MeanHead()
    head.out_channels = 200
    for agnostic, columns in ((False, 80), (True, 1)):
        model = RoIHeads(RoIPooler((8,), 2), head, 80, class_agnostic=agnostic)
        assert model.class_logits.weight.shape == (81, 200)
        assert model.deltas.weight.shape == (4 * columns, 200)
        assert model.class_logits.weight.std().item() == pytest.approx(0.01, rel=0.1)
        assert model.deltas.weight.std().item() == pytest.approx(0.001, rel=0.1)
        assert not model.class_logits.bias.any()
        assert not model.deltas.bias.any()


@pytest.mark.parametrize(
    ("given", "expected"),
    [(torch.float64, torch.float64), (torch.float32, torch.float32), (torch.bfloat16, torch.float32)],
)
def test_predictions_are_float32_at_least(given: torch.dtype, expected: torch.dtype) -> None:
    logits, deltas = heads().to(given).classify(torch.zeros(2, 4, dtype=given))
    assert (logits.dtype, deltas.dtype) == (expected, expected)


def test_with_global_context_the_whole_image_joins_each_of_its_regions() -> None:
    model = heads(global_context=True)
    pyramid, sizes = [torch.randn(2, 4, 8, 8)], torch.tensor([[40, 64], [64, 48]])
    regions = [rois(3).clamp(max=40), rois(2, seed=1).clamp(max=40)]
    whole = model.features(pyramid, [torch.tensor([[0.0, 0, 64, 40]]), torch.tensor([[0.0, 0, 48, 64]])])
    expected = model.class_logits(torch.cat([model.features(pyramid, regions), whole[[0, 0, 0, 1, 1]]], dim=1))
    torch.testing.assert_close(model(pyramid, regions, sizes)[0], expected)


def test_a_head_without_global_context_refuses_it_and_nothing_else() -> None:
    class Alone(RoIHeads):
        unfit_for = dict.fromkeys(["global context"], "it looks at regions alone")

    Alone(RoIPooler((8,), 2), MeanHead(), 3)
    with pytest.raises(ConfigError, match="it looks at regions alone"):
        Alone(RoIPooler((8,), 2), MeanHead(), 3, global_context=True)


def test_a_subclass_overrides_read_and_not_its_short_way() -> None:
    type("Reading", (RoIHeads,), {"read": RoIHeads.read})
    with pytest.raises(TypeError, match="Forwarding: override read"):
        type("Forwarding", (RoIHeads,), {"forward": RoIHeads.forward})


def test_scores_are_of_the_classes_without_background_and_boxes_of_each() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]).log()
    for agnostic, deltas in ((True, torch.zeros(2, 1, 4)), (False, torch.zeros(2, 3, 4))):
        boxes, scores = heads(class_agnostic=agnostic).decode(logits, deltas, rois(2))
        torch.testing.assert_close(scores, torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.3, 0.2]]))
        torch.testing.assert_close(boxes, rois(2)[:, None].expand(2, 3, 4))
