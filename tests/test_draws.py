import numpy as np
import pytest
import torch

from detres.draws import Purpose, key, numpy_generator, random_normals, random_ranks, torch_generator


def murmur3_finalizer(h: int) -> int:
    """In Python's integers, straight from its definition."""
    h ^= h >> 16
    h = h * 0x85EBCA6B % 2**32
    h ^= h >> 13
    h = h * 0xC2B2AE35 % 2**32
    return h ^ (h >> 16)


def test_a_place_has_one_key_and_no_other_has_it():
    places = [(seed, purpose, a, b) for seed in (0, 1) for purpose in Purpose for a in range(20) for b in range(20)]
    keys = {key(*place) for place in places}
    assert len(keys) == len(places)
    assert keys == {key(*place) for place in places}
    assert all(0 <= k < 2**63 for k in keys)


def test_digits_of_neighbouring_places_do_not_run_together():
    assert key(0, Purpose.ORDER, 1, 23) != key(0, Purpose.ORDER, 12, 3)
    assert key(0, Purpose.ORDER, 1) != key(0, Purpose.ORDER, 1, 0)


def test_a_key_never_changes_between_versions():
    """Old checkpoints go on with the draws they would have had."""
    assert key(0, Purpose.ORDER, 0) == 6800740342394023656


def test_generators_draw_the_same_at_the_same_place_whatever_was_drawn_before():
    first = torch.rand(5, generator=torch_generator(1, Purpose.SAMPLING, 7))
    torch.rand(100)
    assert torch.equal(first, torch.rand(5, generator=torch_generator(1, Purpose.SAMPLING, 7)))
    assert not torch.equal(first, torch.rand(5, generator=torch_generator(1, Purpose.SAMPLING, 8)))
    assert (numpy_generator(1, Purpose.ORDER, 2).random(4) == numpy_generator(1, Purpose.ORDER, 2).random(4)).all()


@pytest.mark.parametrize("sample_key", [0, 1, 2**32 - 1, 2**32, 2**62 + 12345, 2**63 - 1])
def test_ranks_are_the_murmur_finalizer_of_place_and_key(sample_key):
    low, high = sample_key % 2**32, sample_key >> 32
    expected = [murmur3_finalizer(murmur3_finalizer(place ^ low) ^ high) for place in range(50)]
    assert random_ranks(torch.tensor(sample_key), 50).tolist() == expected


@pytest.mark.slow
def test_ranks_order_places_evenly():
    """The place with the least rank is any of them equally often: chi-square over 10 places and 4000 keys."""
    firsts = [random_ranks(torch.tensor(key(0, Purpose.SAMPLING, i)), 10).argmin().item() for i in range(4000)]
    counts = np.bincount(firsts, minlength=10)
    assert ((counts - 400) ** 2 / 400).sum() < 27.9  # the 0.999 quantile at 9 degrees of freedom


def test_no_places_have_no_ranks():
    assert random_ranks(torch.tensor(5), 0).shape == (0,)


def test_many_keys_at_once_draw_what_each_draws_alone():
    keys = torch.tensor([[3, 2**40 + 7], [0, 2**63 - 1]])
    together = random_ranks(keys, 5)
    assert together.shape == (2, 2, 5)
    for row, column in np.ndindex(2, 2):
        assert torch.equal(together[row, column], random_ranks(keys[row, column], 5))


def test_normal_draws_have_the_normal_distribution():
    """Kolmogorov and Smirnov's distance over 30000 draws, and no correlation between those of one key."""
    keys = torch.tensor([key(0, Purpose.SAMPLING, i) for i in range(10_000)])
    drawn = random_normals(keys, 3)
    assert drawn.dtype == torch.float32
    ordered = drawn.flatten().double().sort().values
    expected = 0.5 * (1 + torch.erf(ordered / 2**0.5))
    distance = (expected - (torch.arange(30_000) + 0.5) / 30_000).abs().max()
    assert distance < 1.95 / 30_000**0.5  # the 0.999 quantile
    assert (torch.corrcoef(drawn.T) - torch.eye(3)).abs().max() < 0.04
    assert random_normals(keys[:0], 3).shape == (0, 3)
