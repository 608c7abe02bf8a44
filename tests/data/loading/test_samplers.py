from itertools import islice

import numpy as np
import pytest

from detres.data.loading.samplers import (
    Place,
    Share,
    TrainingSampler,
    batches_of_one_shape,
    evaluation_indices,
    grouped_batches,
    shuffled_batches,
)

RATIOS = np.random.default_rng(0).choice([0.6, 0.75, 1.0, 1.5], size=103)


def _sampler(ratios: np.ndarray, batch: int, seed: int = 0, **more) -> TrainingSampler:
    share = Share(batch, seed=seed, **more)
    return TrainingSampler(len(ratios), share, lambda epoch: grouped_batches(ratios, batch, seed, epoch))


def _take(sampler: TrainingSampler, count: int) -> list[list[Place]]:
    return list(islice(sampler, count))


def test_every_image_appears_once_an_epoch() -> None:
    ratios = RATIOS[:100]
    batches = grouped_batches(ratios, 10, seed=1, epoch=3)
    assert batches.shape == (10, 10)
    assert sorted(batches.ravel().tolist()) == list(range(100))


def test_an_incomplete_batch_is_filled_from_the_next_epochs_order() -> None:
    batches = grouped_batches(RATIOS, 10, seed=1, epoch=3)
    assert batches.shape == (11, 10)
    values, counts = np.unique(batches, return_counts=True)
    assert len(values) == 103
    assert (counts == 2).sum() == 7
    assert all(len(set(batch)) == 10 for batch in batches.tolist())


def test_a_set_smaller_than_a_batch_still_fills_it() -> None:
    assert sorted(grouped_batches(np.ones(3), 8, 0, 0)[0].tolist()).count(0) in (2, 3)
    assert grouped_batches(np.ones(1), 4, 0, 0).tolist() == [[0, 0, 0, 0]]


def test_only_the_left_over_batches_mix_wide_and_tall() -> None:
    batches = grouped_batches(RATIOS, 8, seed=0, epoch=0)
    mixed = [batch for batch in batches if len(set((RATIOS[batch] >= 1).tolist())) == 2]
    assert len(mixed) <= 2


def test_grouping_is_stable_within_the_permutation() -> None:
    # All wide: the batches, put back in order, are the permutation cut into pieces.
    batches = grouped_batches(np.ones(12), 3, seed=5, epoch=0)
    again = grouped_batches(np.full(12, 2.0), 3, seed=5, epoch=0)
    np.testing.assert_array_equal(batches, again)


def test_epochs_and_seeds_differ() -> None:
    first = grouped_batches(RATIOS, 8, 0, 0)
    assert not np.array_equal(first, grouped_batches(RATIOS, 8, 0, 1))
    assert not np.array_equal(first, grouped_batches(RATIOS, 8, 1, 0))
    np.testing.assert_array_equal(first, grouped_batches(RATIOS, 8, 0, 0))


@pytest.mark.parametrize("start", [0, 1, 12, 13, 40])
def test_any_step_can_be_the_first(start: int) -> None:
    whole = _take(_sampler(RATIOS, 8, seed=2), start + 5)
    assert _take(_sampler(RATIOS, 8, seed=2, start_step=start), 5) == whole[start:]


@pytest.mark.parametrize(("world", "micro"), [(1, 2), (2, 2), (4, 1), (2, None)])
def test_ranks_and_micro_batches_share_out_the_global_batch_in_order(world: int, micro: int | None) -> None:
    whole = _take(_sampler(RATIOS, 8, seed=2), 20)
    samplers = [_sampler(RATIOS, 8, seed=2, rank=r, world=world, per_device_batch=micro) for r in range(world)]
    count = samplers[0].share // samplers[0].micro
    parts = [_take(sampler, 20 * count) for sampler in samplers]
    for step, expected in enumerate(whole):
        assert [p for part in parts for m in part[step * count : (step + 1) * count] for p in m] == expected
    assert [place.position for place in whole[3]] == list(range(8))
    assert {place.step for place in whole[3]} == {3}


def test_a_batch_that_does_not_split_evenly_is_refused() -> None:
    for arguments in ({"world": 3}, {"per_device_batch": 3}, {"world": 16}):
        with pytest.raises(ValueError, match="does not split evenly"):
            _sampler(RATIOS, 8, **arguments)
    with pytest.raises(ValueError, match="no images"):
        _sampler(np.zeros(0), 8)


@pytest.mark.parametrize(("count", "world"), [(10, 1), (10, 3), (2, 4), (0, 2)])
def test_every_image_is_evaluated_exactly_once(count: int, world: int) -> None:
    shares = [list(evaluation_indices(count, rank, world)) for rank in range(world)]
    assert sorted(i for share in shares for i in share) == list(range(count))


def test_batches_of_one_shape_hold_every_image_once_and_nothing_of_another_shape() -> None:
    shapes = np.array([[1, 2], [2, 1], [1, 2], [1, 2], [2, 1], [3, 3], [1, 2]])
    assert batches_of_one_shape(shapes, 3) == [[0, 2, 3], [1, 4], [5], [6]]
    assert batches_of_one_shape(shapes, 1) == [[i] for i in range(7)]
    assert batches_of_one_shape(np.zeros((0, 2), int), 4) == []


def test_shuffled_batches_take_every_image_once_and_fill_the_last() -> None:
    assert sorted(shuffled_batches(100, 10, seed=1, epoch=3).ravel().tolist()) == list(range(100))
    batches = shuffled_batches(103, 10, seed=1, epoch=3)
    assert batches.shape == (11, 10)
    values, counts = np.unique(batches, return_counts=True)
    assert (len(values), (counts == 2).sum()) == (103, 7)
    assert all(len(set(batch)) == 10 for batch in batches.tolist())
    assert shuffled_batches(1, 4, 0, 0).tolist() == [[0, 0, 0, 0]]


def test_shuffled_batches_ignore_shapes() -> None:
    """The permutation itself, cut: what grouped batches of equal shapes are before these are shuffled."""
    order = shuffled_batches(12, 12, 5, 0)[0]
    np.testing.assert_array_equal(shuffled_batches(12, 3, 5, 0), order.reshape(4, 3))
    grouped = {tuple(batch) for batch in grouped_batches(np.ones(12), 3, 5, 0).tolist()}
    assert grouped == {tuple(batch) for batch in shuffled_batches(12, 3, 5, 0).tolist()}
    assert not np.array_equal(order, shuffled_batches(12, 12, 5, 1)[0])
    assert not np.array_equal(order, shuffled_batches(12, 12, 6, 0)[0])


@pytest.mark.parametrize(("count", "batch", "repeats"), [(60, 12, 3), (61, 12, 3), (5, 12, 3), (60, 10, 3), (7, 8, 4)])
def test_repeated_images_stand_together_and_an_epoch_holds_fewer(count: int, batch: int, repeats: int) -> None:
    batches = shuffled_batches(count, batch, 2, 0, repeats)
    steps = -(-count // batch)
    assert batches.shape == (steps, batch)
    _, counts = np.unique(batches, return_counts=True)
    if count > batch:
        # The images of one epoch are the first of its order; the last one may lack some of its repeats.
        distinct = -(-steps * batch // repeats)
        assert set(batches.ravel().tolist()) == set(shuffled_batches(count, count, 2, 0)[0, :distinct].tolist())
        assert (counts == repeats).sum() >= distinct - 1
    if batch % repeats == 0:
        rounds = batches.reshape(steps, repeats, batch // repeats)
        assert (rounds == rounds[:, :1]).all(), "every round of repeats holds the same images, in the same order"


def test_repeats_are_shared_out_over_ranks() -> None:
    def batches(epoch: int) -> np.ndarray:
        return shuffled_batches(60, 12, 2, epoch, repeats=3)

    ranks = [Share(12, rank=rank, world=3) for rank in range(3)]
    shares = [next(TrainingSampler(60, rank, batches).index_batches()).indices for rank in ranks]
    for share in shares:
        np.testing.assert_array_equal(share, shares[0])
        assert len(set(share.tolist())) == 4
