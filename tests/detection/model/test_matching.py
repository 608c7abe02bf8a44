import pytest
import torch
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from detres.detection.model.matching import NEGATIVE, NEITHER, match, sample
from detres.draws import random_ranks
from detres.structures import DetectionTarget


def target_of(boxes: list[list[float]], ignore: list[bool] | None = None) -> DetectionTarget:
    count = len(boxes)
    return DetectionTarget(
        torch.tensor(boxes).view(-1, 4), torch.zeros(count, dtype=torch.int64), torch.tensor(ignore or [False] * count)
    )


RPN = {"positive_iou": 0.7, "negative_iou": 0.3, "keep_best": True}


def test_thresholds_by_hand() -> None:
    candidates = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 2], [50, 50, 60, 60]])  # IoU 1, .5, .2, 0
    assert match(candidates, target_of([[0, 0, 10, 10]]), **RPN).tolist() == [0, NEITHER, NEGATIVE, NEGATIVE]


def test_a_threshold_itself_is_positive_and_never_negative() -> None:
    half = torch.tensor([[0.0, 0, 10, 5]])
    for positive_iou, expected in ((0.5, 0), (0.6, NEITHER)):
        options = {"positive_iou": positive_iou, "negative_iou": 0.5, "keep_best": False}
        assert match(half, target_of([[0, 0, 10, 10]]), **options).tolist() == [expected]


def test_every_box_keeps_its_best_candidates_and_ties_all_count() -> None:
    candidates = torch.tensor([[0.0, 0, 10, 4], [0, 6, 10, 10], [50, 50, 60, 60]])
    assert match(candidates, target_of([[0, 0, 10, 10]]), **RPN).tolist() == [0, 0, NEGATIVE]


def test_a_box_that_nothing_touches_keeps_nothing() -> None:
    assert match(torch.tensor([[0.0, 0, 1, 1]]), target_of([[5, 5, 9, 9]]), **RPN).tolist() == [NEGATIVE]


def test_without_boxes_all_are_negative() -> None:
    assert match(torch.rand(3, 4), DetectionTarget.empty(), **RPN).tolist() == [NEGATIVE] * 3
    assert match(
        torch.zeros(0, 4), target_of([[0, 0, 1, 1]]), positive_iou=0.5, negative_iou=0.5, keep_best=False
    ).shape == (0,)


def test_ignored_boxes_match_nothing_and_shield_the_negatives_in_them() -> None:
    candidates = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [6, 0, 16, 10], [50, 50, 60, 60]])
    matched = match(candidates, target_of([[0, 0, 10, 10]], [True]), **RPN)
    assert matched.tolist() == [NEITHER, NEITHER, NEGATIVE, NEGATIVE]  # inside 1.0, 0.5, 0.4 and 0 of their own area


def test_low_bound_leaves_easy_negatives_out() -> None:
    candidates = torch.tensor([[0.0, 0, 10, 2], [50, 50, 60, 60]])
    matched = match(
        candidates,
        target_of([[0, 0, 10, 10]]),
        positive_iou=0.5,
        negative_iou=0.5,
        negative_iou_low=0.1,
        keep_best=False,
    )
    assert matched.tolist() == [NEGATIVE, NEITHER]


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_torchvisions_matcher(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Whole pixels, so that overlaps tie.
    corner, side = (torch.randint(0, 40, (2, 300, 2), generator=generator) + torch.tensor([[[0]], [[4]]])).float()
    candidates = torch.cat([corner, corner + side], dim=1)
    boxes = candidates[:12] + 3
    theirs = Matcher(0.7, 0.3, allow_low_quality_matches=True)(box_iou(boxes, candidates))
    assert torch.equal(match(candidates, target_of(boxes.tolist()), **RPN), theirs)


def test_sampling_keeps_the_share_and_fills_up_with_negatives() -> None:
    matched = torch.cat([torch.zeros(100, dtype=torch.int64), torch.full((900,), NEGATIVE), torch.full((50,), NEITHER)])
    drawn = sample(matched, torch.tensor(7), count=64, positive_fraction=0.25)
    assert len(drawn.index) == 64
    assert drawn.positive.sum() == 16
    assert drawn.positive[:16].all()
    assert len(drawn.index.unique()) == 64
    assert (drawn.index < 1000).all()
    few = sample(matched[:120], torch.tensor(7), count=64, positive_fraction=0.25)
    assert len(few.index) == 16 + 20


def test_a_draw_depends_on_its_key_alone() -> None:
    matched = torch.full((500,), NEGATIVE)
    first, again, other = (sample(matched, torch.tensor(k), count=50, positive_fraction=0.5) for k in (3, 3, 4))
    assert torch.equal(first.index, again.index)
    assert not torch.equal(first.index, other.index)


def test_the_lowest_ranks_are_drawn_in_their_order() -> None:
    """A run is repeated bit for bit on another device only if the order is fixed too."""
    drawn = sample(torch.full((500,), NEGATIVE), torch.tensor(3), count=50, positive_fraction=0.5)
    assert torch.equal(drawn.index, random_ranks(torch.tensor(3), 500).argsort()[:50])


def test_where_all_are_taken_none_is_drawn() -> None:
    drawn = sample(torch.full((50,), NEGATIVE), torch.tensor(3), count=50, positive_fraction=0.5)
    assert torch.equal(drawn.index, torch.arange(50))


@pytest.mark.slow
def test_every_candidate_is_drawn_equally_often() -> None:
    matched = torch.full((20,), NEGATIVE)
    drawn = torch.cat([sample(matched, torch.tensor(k), count=5, positive_fraction=0.5).index for k in range(4000)])
    counts = drawn.bincount(minlength=20).float()
    # 1000 expected each, standard deviation sqrt(4000 * 1/4 * 3/4) = 27.
    assert (counts - 1000).abs().max() < 5 * 27
