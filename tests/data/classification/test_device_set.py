from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
import torch

from detres.data.classification.device_set import DeviceSet, crop_and_mirror, decode_small
from detres.data.loading.samplers import Share, shuffled_batches
from detres.errors import ConfigError, DataError
from detres.structures import ClassificationBatch

PIXELS = np.random.default_rng(0).integers(1, 256, (50, 8, 8, 3), dtype=np.uint8)
IDS = tuple(f"{i}.png" for i in range(50))
GPU = pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")])


def _set(device: str = "cpu") -> DeviceSet:
    return DeviceSet(PIXELS, np.arange(50) % 10, IDS, device=device)


def _take(count: int, device: str = "cpu", **more) -> list[ClassificationBatch]:
    shared = {"batch": 12, "seed": 4} | {name: more.pop(name) for name in vars(Share()) if name in more}
    drawn = {"crop": 8, "padding": 2} | more
    return list(islice(_set(device).training_batches(Share(**shared), **drawn), count))


def _assert_same(first: ClassificationBatch, second: ClassificationBatch) -> None:
    assert (first.image_ids, first.key) == (second.image_ids, second.key)
    for name in ("images", "labels", "sample_keys"):
        assert torch.equal(getattr(first, name).cpu(), getattr(second, name).cpu()), name


def test_cropping_is_brute_force_cropping() -> None:
    """Every offset and both mirrors, against slices of the padded image."""
    corners = [(top, left, mirror) for top in range(5) for left in range(7) for mirror in (0, 1)]
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (len(corners), 8, 10, 3), dtype=np.uint8))
    # The middle of the range that each outcome has.
    ranks = torch.tensor(
        [[int((t + 0.5) / 5 * 2**32), int((x + 0.5) / 7 * 2**32), (1 - m) * 2**31] for t, x, m in corners]
    )
    cropped = crop_and_mirror(images, ranks, crop=8, padding=2, flip=0.5)
    for image, crop, (top, left, mirror) in zip(images.numpy(), cropped.numpy(), corners, strict=True):
        expected = np.pad(image, ((2, 2), (2, 2), (0, 0)))[top : top + 8, left : left + 8]
        np.testing.assert_array_equal(crop, expected[:, ::-1] if mirror else expected)


@pytest.mark.slow
def test_outcomes_are_drawn_evenly() -> None:
    one = DeviceSet(PIXELS[:1], np.zeros(1, np.int64), ("a",))
    batch = next(one.training_batches(Share(batch=8000), crop=8, padding=1, flip=0.5))
    counts = batch.images.flatten(1).unique(dim=0, return_counts=True)[1]
    assert len(counts) == 18
    expected = 8000 / 18
    assert (((counts - expected) ** 2) / expected).sum() < 40.8  # the 0.999 quantile at 17 degrees of freedom


def test_no_padding_and_no_mirror_is_the_image() -> None:
    batch = _take(1, padding=0, flip=0.0)[0]
    index = [IDS.index(image_id) for image_id in batch.image_ids]
    np.testing.assert_array_equal(batch.images.numpy(), PIXELS[index])
    assert batch.labels.tolist() == [i % 10 for i in index]
    mirrored = _take(1, padding=0, flip=1.0)[0]
    np.testing.assert_array_equal(mirrored.images.numpy(), PIXELS[index][:, :, ::-1])


def test_the_order_is_the_loaders() -> None:
    ids = [image_id for batch in _take(5) for image_id in batch.image_ids]
    assert ids == [IDS[i] for i in shuffled_batches(50, 12, 4, 0).ravel()]
    repeated = _take(1, repeats=3)[0]
    assert repeated.image_ids[:4] == repeated.image_ids[4:8]
    assert not torch.equal(repeated.images[:4], repeated.images[4:8])


@pytest.mark.parametrize("start", [0, 3, 5, 11])
def test_any_step_can_be_the_first(start: int) -> None:
    for one, other in zip(_take(start + 3)[start:], _take(3, start_step=start), strict=True):
        _assert_same(one, other)


def test_ranks_and_micro_batches_share_out_the_batch() -> None:
    whole, parts = _take(3), [_take(6, rank=rank, world=2, per_device_batch=3) for rank in range(2)]
    for step, expected in enumerate(whole):
        mine = [batch for part in parts for batch in part[2 * step : 2 * step + 2]]
        assert sum((batch.image_ids for batch in mine), ()) == expected.image_ids
        for name in ("images", "labels", "sample_keys"):
            assert torch.equal(torch.cat([getattr(batch, name) for batch in mine]), getattr(expected, name))
    keys = [batch.key for part in parts for batch in part]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("device", [GPU])
def test_devices_draw_the_same(device: str) -> None:
    for one, other in zip(_take(6), _take(6, device), strict=True):
        _assert_same(one, other)


@pytest.mark.parametrize("device", [GPU])
def test_batches_are_made_without_waiting_for_the_device(device: str) -> None:
    batches = _set(device).training_batches(Share(batch=12), crop=8)
    next(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        list(islice(batches, 10))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("world", "batch"), [(1, 7), (3, 4), (1, 100)])
def test_every_image_is_evaluated_once_and_as_it_is(world: int, batch: int) -> None:
    batches = [b for rank in range(world) for b in _set().evaluation_batches(batch=batch, rank=rank, world=world)]
    ids = [image_id for b in batches for image_id in b.image_ids]
    assert sorted(ids) == sorted(IDS)
    np.testing.assert_array_equal(torch.cat([b.images for b in batches]), PIXELS[[IDS.index(i) for i in ids]])
    if world == 1:
        assert ids == list(IDS)


def test_a_crop_that_does_not_fit_is_refused_before_the_first_batch() -> None:
    with pytest.raises(ConfigError, match=r"data\.crop=13: images of 8x8"):
        _set().training_batches(Share(batch=12), crop=13, padding=2)
    with pytest.raises(ValueError, match="does not split evenly"):
        _set().training_batches(Share(batch=12, world=5), crop=8)


@dataclass(frozen=True)
class Files:
    images: list
    pixels: np.ndarray | None = None

    @property
    def labels(self) -> np.ndarray:
        return np.zeros(len(self), np.int64)

    def __len__(self) -> int:
        return len(self.images)

    def image_id(self, i: int) -> int:
        return i

    def read(self, i: int) -> np.ndarray:
        if self.images[i] is None:
            raise DataError(f"{i}: broken")
        return self.images[i]


def test_small_images_of_one_size_are_decoded_together() -> None:
    many = Files(list(PIXELS) * 30)
    np.testing.assert_array_equal(decode_small(many), np.concatenate([PIXELS] * 30))
    assert decode_small(Files([], PIXELS)) is None
    assert decode_small(Files(list(PIXELS), PIXELS)) is PIXELS


def test_sets_that_do_not_suit_are_not_decoded() -> None:
    assert decode_small(Files([np.zeros((65, 20, 3), np.uint8), None])) is None
    assert decode_small(Files([np.zeros((65, 20, 3), np.uint8)]), largest=None).shape == (1, 65, 20, 3)
    assert decode_small(Files([PIXELS[0], PIXELS[0][:7]])) is None
    with pytest.raises(DataError, match="1: broken"):
        decode_small(Files([PIXELS[0], None]))
