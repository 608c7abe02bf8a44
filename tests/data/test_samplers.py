from itertools import islice

import numpy as np
import pytest

from detres.data.samplers import Place, TrainingSampler, epoch_batches, evaluation_indices

RATIOS = np.random.default_rng(0).choice([0.6, 0.75, 1.0, 1.5], size=103)


def _take(sampler: TrainingSampler, count: int) -> list[list[Place]]:
    return list(islice(sampler, count))


def test_every_image_appears_once_an_epoch() -> None:
    ratios = RATIOS[:100]
    batches = epoch_batches(ratios, 10, seed=1, epoch=3)
    assert batches.shape == (10, 10)
    assert sorted(batches.ravel().tolist()) == list(range(100))


def test_an_incomplete_batch_is_filled_from_the_next_epochs_order() -> None:
    batches = epoch_batches(RATIOS, 10, seed=1, epoch=3)
    assert batches.shape == (11, 10)
    values, counts = np.unique(batches, return_counts=True)
    assert len(values) == 103
    assert (counts == 2).sum() == 7
    assert all(len(set(batch)) == 10 for batch in batches.tolist())


def test_a_set_smaller_than_a_batch_still_fills_it() -> None:
    assert sorted(epoch_batches(np.ones(3), 8, 0, 0)[0].tolist()).count(0) in (2, 3)
    assert epoch_batches(np.ones(1), 4, 0, 0).tolist() == [[0, 0, 0, 0]]


def test_only_the_left_over_batches_mix_wide_and_tall() -> None:
    batches = epoch_batches(RATIOS, 8, seed=0, epoch=0)
    mixed = [batch for batch in batches if len(set((RATIOS[batch] >= 1).tolist())) == 2]
    assert len(mixed) <= 2


def test_grouping_is_stable_within_the_permutation() -> None:
    # All wide: the batches, put back in order, are the permutation cut into pieces.
    batches = epoch_batches(np.ones(12), 3, seed=5, epoch=0)
    again = epoch_batches(np.full(12, 2.0), 3, seed=5, epoch=0)
    np.testing.assert_array_equal(batches, again)


def test_epochs_and_seeds_differ() -> None:
    first = epoch_batches(RATIOS, 8, 0, 0)
    assert not np.array_equal(first, epoch_batches(RATIOS, 8, 0, 1))
    assert not np.array_equal(first, epoch_batches(RATIOS, 8, 1, 0))
    np.testing.assert_array_equal(first, epoch_batches(RATIOS, 8, 0, 0))


@pytest.mark.parametrize("start", [0, 1, 12, 13, 40])
def test_any_step_can_be_the_first(start: int) -> None:
    whole = _take(TrainingSampler(RATIOS, 8, seed=2), start + 5)
    assert _take(TrainingSampler(RATIOS, 8, seed=2, start_step=start), 5) == whole[start:]


@pytest.mark.parametrize(("world", "micro"), [(1, 2), (2, 2), (4, 1), (2, None)])
def test_ranks_and_micro_batches_share_out_the_global_batch_in_order(world: int, micro: int | None) -> None:
    whole = _take(TrainingSampler(RATIOS, 8, seed=2), 20)
    samplers = [TrainingSampler(RATIOS, 8, seed=2, rank=r, world=world, per_device_batch=micro) for r in range(world)]
    parts = [_take(sampler, 20 * sampler.micro_batches) for sampler in samplers]
    count = samplers[0].micro_batches
    for step, expected in enumerate(whole):
        assert [p for part in parts for m in part[step * count : (step + 1) * count] for p in m] == expected
    assert [place.position for place in whole[3]] == list(range(8))
    assert {place.step for place in whole[3]} == {3}


def test_a_batch_that_does_not_split_evenly_is_refused() -> None:
    for arguments in ({"world": 3}, {"per_device_batch": 3}, {"world": 16}):
        with pytest.raises(ValueError, match="does not split evenly"):
            TrainingSampler(RATIOS, 8, **arguments)
    with pytest.raises(ValueError, match="no images"):
        TrainingSampler(np.zeros(0), 8)


@pytest.mark.parametrize(("count", "world"), [(10, 1), (10, 3), (2, 4), (0, 2)])
def test_every_image_is_evaluated_exactly_once(count: int, world: int) -> None:
    shares = [list(evaluation_indices(count, rank, world)) for rank in range(world)]
    assert sorted(i for share in shares for i in share) == list(range(count))
