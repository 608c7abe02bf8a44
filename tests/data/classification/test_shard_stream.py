from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch

from detres.data.classification.crops import PadCropping
from detres.data.classification.shard_stream import ShardedImages, read_lane, shard_training_loader
from detres.data.classification.transforms import ClassificationTransform
from detres.data.loading.samplers import Share
from detres.errors import ConfigError, DataError
from detres.structures import ClassificationBatch

SIZES = (7, 8, 9, 10)
TRANSFORM = ClassificationTransform(PadCropping(16, 2))


@pytest.fixture
def images(tmp_path: Path, write_shard: Callable[..., Path], jpeg: Callable[[int], bytes]) -> ShardedImages:
    """34 images in four shards of unequal size; number 5 is damaged."""
    number = 0
    for shard, size in enumerate(SIZES):
        files = {}
        for _ in range(size):
            content = jpeg(number)
            files[f"k{number:02d}.jpg"] = content[: len(content) // 2] if number == 5 else content
            files[f"k{number:02d}.cls"] = str(number % 3).encode()
            number += 1
        write_shard(tmp_path / f"{shard}.tar", files)
    shards = tuple(str(tmp_path / f"{shard}.tar") for shard in range(len(SIZES)))
    return ShardedImages("toy", ("a", "b", "c"), shards, sum(SIZES))


def _take(images: ShardedImages, count: int, **options: object) -> list[ClassificationBatch]:
    shared = {"batch": 4} | {name: options.pop(name) for name in vars(Share()) if name in options}
    loader = shard_training_loader(images, TRANSFORM, Share(**shared), **options)
    return list(islice(iter(loader), count))


def _same(one: ClassificationBatch, other: ClassificationBatch) -> bool:
    return (
        one.image_ids == other.image_ids
        and torch.equal(one.images, other.images)
        and torch.equal(one.labels, other.labels)
        and torch.equal(one.sample_keys, other.sample_keys)
    )


def test_a_lane_reads_its_shards_once_before_it_begins_them_again(images: ShardedImages) -> None:
    lanes = [read_lane(images.shards, 3, seed=0, epoch=0, lane=lane, lanes=2) for lane in range(2)]
    first = [list(islice(lane, 34)) for lane in lanes]
    shards = [{image.image_id.split("/")[0] for image in lane} for lane in first]
    assert not shards[0] & shards[1], "no two lanes share a shard"
    assert shards[0] | shards[1] == {"0.tar", "1.tar", "2.tar", "3.tar"}
    for lane, names in zip(first, shards, strict=True):
        size = sum(SIZES[int(name[0])] for name in names)
        assert len({image.image_id for image in lane[:size]}) == size
        assert {image.image_id for image in lane[:size]} == {image.image_id for image in lane}
    for image in first[0]:
        assert image.label == int(image.image_id.split("/k")[1]) % 3


def test_the_order_changes_with_seed_and_epoch_alone(images: ShardedImages) -> None:
    def names(**place: int) -> list[str]:
        options = {"seed": 0, "epoch": 0, "lane": 0, "lanes": 1} | place
        return [image.image_id for image in islice(read_lane(images.shards, 3, **options), 34)]

    assert names() == names()
    assert len({tuple(each) for each in (names(), names(seed=1), names(epoch=1))}) == 3
    assert sorted(names()) == sorted(names(epoch=1))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resume_at_any_step_goes_on_bit_for_bit(images: ShardedImages, workers: int) -> None:
    # An epoch has 8 steps of two micro-batches: step 11 lies in the second.
    options = {"per_device_batch": 2, "workers": workers}
    whole = _take(images, 32, **options)
    for step in (1, 8, 11):
        again = _take(images, 6, start_step=step, **options)
        assert all(_same(*pair) for pair in zip(whole[2 * step :], again, strict=False)), step


def test_an_epoch_on_two_ranks_shows_each_shard_to_one_of_them(images: ShardedImages) -> None:
    ranks = [_take(images, 8, rank=rank, world=2) for rank in range(2)]
    seen = [Counter(name.split("/")[0] for batch in batches for name in batch.image_ids) for batches in ranks]
    assert not seen[0].keys() & seen[1].keys()
    assert all(len(batch) == 2 for batches in ranks for batch in batches)
    keys = [key for batches in ranks for batch in batches for key in batch.sample_keys.tolist()]
    assert len(set(keys)) == 32


def test_repeats_stand_in_one_batch_and_are_drawn_differently(images: ShardedImages) -> None:
    (batch,) = _take(images, 1, repeats=2)
    assert batch.image_ids[:2] == batch.image_ids[2:]
    assert not torch.equal(batch.images[:2], batch.images[2:])
    with pytest.raises(ConfigError, match=r"data.repeats=3: a device takes 4 images"):
        _take(images, 1, repeats=3)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_left_out_and_named_and_the_next_stands_in(images: ShardedImages, workers: int) -> None:
    loader = shard_training_loader(images, TRANSFORM, Share(batch=4), workers=workers)
    batches = list(islice(iter(loader), 16))
    shown = [batch.image_ids for batch in batches]
    assert not any("0.tar/k05" in ids for ids in shown)
    assert {len(ids) for ids in shown} == {4}
    assert any(len(set(ids)) == 3 for ids in shown), "another of its batch stands in for it"
    alone = _take(images, 34, batch=1)
    assert [batch.images.unique().numel() for batch in alone if batch.image_ids == ("0.tar/k05",)] == [1], "grey"
    assert [problem.file for problem in loader.dataset.undecodable()] == ["0.tar/k05"]
    with pytest.raises(DataError, match="k05: this image breaks off"):
        _take(images, 16, strict=True)


def test_pipes_give_the_same_batches_as_files(images: ShardedImages) -> None:
    piped = ShardedImages("toy", images.class_names, tuple(f"pipe:cat {shard}" for shard in images.shards), 34)
    for file, pipe in zip(_take(images, 8), _take(piped, 8), strict=True):
        assert _same(file, pipe)


def test_a_shard_that_cannot_be_read_is_named(images: ShardedImages, tmp_path: Path) -> None:
    broken = tmp_path / "2.tar"
    broken.write_bytes(broken.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"2.tar: this shard cannot be read"):
        _take(images, 16)


def test_more_ranks_than_shards_are_refused_and_more_workers_do_no_harm(images: ShardedImages) -> None:
    with pytest.raises(DataError, match="4 shards cannot be dealt out to 5 ranks"):
        shard_training_loader(images, TRANSFORM, Share(batch=10, world=5))
    assert shard_training_loader(images, TRANSFORM, Share(batch=8, world=4), workers=3).num_workers == 1


def test_shards_without_images_are_refused(tmp_path: Path, write_shard: Callable[..., Path]) -> None:
    shard = write_shard(tmp_path / "0.tar", {"a.txt": b"x"})
    with pytest.raises(DataError, match="there is no image in these shards"):
        next(read_lane([str(shard)], 3, seed=0, epoch=0, lane=0, lanes=1))
