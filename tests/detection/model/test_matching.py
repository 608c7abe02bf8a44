import pytest
import torch
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from detres.detection.model.matching import NEGATIVE, NEITHER, flat_index, match, match_all, sample, sample_all
from detres.detection.model.padded_targets import PaddedTargets
from detres.draws import random_ranks
from detres.structures import DetectionTarget


def target_of(boxes: list[list[float]], ignore: list[bool] | None = None) -> DetectionTarget:
    count = len(boxes)
    flags = torch.tensor(ignore or [False] * count, dtype=torch.bool)
    return DetectionTarget(torch.tensor(boxes).view(-1, 4), torch.zeros(count, dtype=torch.int64), flags)


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


def random_target(count: int, generator: torch.Generator) -> DetectionTarget:
    corner = torch.rand(count, 2, generator=generator) * 50
    boxes = torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=generator) * 40], dim=1)
    return target_of(boxes.tolist(), (torch.rand(count, generator=generator) < 0.3).tolist())


@pytest.mark.parametrize("keep_best", [False, True])
def test_images_are_matched_together_as_each_alone(keep_best: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    targets = [random_target(count, generator) for count in (3, 0, 12, 1)]
    alike = torch.cat([random_target(200, generator).boxes for _ in targets]).view(4, 200, 4)
    options = {"positive_iou": 0.5, "negative_iou": 0.4, "negative_iou_low": 0.1, "keep_best": keep_best}
    for candidates in (alike, alike[0]):
        together = match_all(candidates, PaddedTargets.of(targets), **options)
        each = candidates if candidates.dim() == 3 else candidates.expand(4, -1, -1)
        apart = [match(rows, target, **options) for rows, target in zip(each, targets, strict=True)]
        assert torch.equal(together, torch.stack(apart))
    assert {NEGATIVE, NEITHER, 0} <= set(together.flatten().tolist())


def test_images_are_sampled_together_as_each_alone() -> None:
    matched = torch.randint(-2, 2, (5, 400), generator=torch.Generator().manual_seed(1))
    matched[3] = NEITHER
    matched[4, 3:] = NEGATIVE
    keys = torch.arange(5) * 7**20
    for together, row, key in zip(
        sample_all(matched, keys, count=64, positive_fraction=0.25), matched, keys, strict=True
    ):
        alone = sample(row, key, count=64, positive_fraction=0.25)
        assert torch.equal(together.index, alone.index)
        assert torch.equal(together.matched, alone.matched)
        assert together.positives == int(together.positive.sum()) == int((together.matched >= 0).sum())


def test_a_draw_heeds_the_places_that_are_stated_and_nothing_that_is_neither() -> None:
    matched = torch.tensor([NEITHER, *[NEGATIVE] * 30, NEITHER, NEITHER, *[NEGATIVE] * 30])
    real = matched == NEGATIVE
    (drawn,) = sample_all(
        matched[None], torch.tensor([9]), count=8, positive_fraction=0.5, places=real.cumsum(0)[None] - 1
    )
    among_the_real = sample(matched[real], torch.tensor(9), count=8, positive_fraction=0.5)
    assert torch.equal(drawn.index, real.nonzero().squeeze(1)[among_the_real.index])


def test_candidates_of_one_rank_stand_in_the_order_of_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detres.detection.model.matching.random_ranks", lambda key, places: places // 10)
    drawn = sample(torch.full((5000,), NEGATIVE), torch.tensor(1), count=25, positive_fraction=0.5)
    assert torch.equal(drawn.index, torch.arange(25))


def test_places_of_several_tables_become_places_of_one() -> None:
    assert flat_index([torch.tensor([2, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([1])], 3).tolist() == [
        2,
        0,
        7,
    ]
