import pickle
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from detres.data.classification.crops import AreaCropping
from detres.data.classification.loaders import ClassificationDataset, classification_training_loader
from detres.data.classification.transforms import ClassificationTransform
from detres.data.loading.samplers import Place, Share
from detres.draws import Purpose, key
from detres.errors import DataError
from detres.structures import ClassificationBatch


@dataclass(frozen=True)
class Pictures:
    """Ten files, or their pixels."""

    root: Path
    labels: np.ndarray
    pixels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def image_id(self, i: int) -> str:
        return f"class/{i}.png"

    def encoded(self, i: int) -> bytes:
        try:
            return (self.root / f"{i}.png").read_bytes()
        except FileNotFoundError:
            raise DataError(f"{i}.png: there is no such file") from None


@pytest.fixture
def pictures(tmp_path: Path, write_picture) -> Pictures:
    for number in range(10):
        write_picture(tmp_path / f"{number}.png", 30 + number, 40, seed=number)
    return Pictures(tmp_path, np.arange(10) % 3)


def _dataset(pictures: Pictures, **more) -> ClassificationDataset:
    return ClassificationDataset(pictures, ClassificationTransform(AreaCropping(16)), seed=3, **more)


def _assert_same(first: ClassificationBatch, second: ClassificationBatch) -> None:
    assert (first.image_ids, first.key) == (second.image_ids, second.key)
    for name in ("images", "labels", "sample_keys"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_a_batch_holds_crops_and_their_labels(pictures: Pictures) -> None:
    batch = next(iter(classification_training_loader(_dataset(pictures), Share(batch=4, seed=3))))
    assert batch.images.shape == (4, 16, 16, 3)
    assert batch.images.dtype == torch.uint8
    numbers = [int(image_id.removeprefix("class/").removesuffix(".png")) for image_id in batch.image_ids]
    assert batch.labels.tolist() == [number % 3 for number in numbers]
    assert len(set(batch.sample_keys.tolist())) == 4


@pytest.mark.parametrize("repeats", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers_or_the_first_step(pictures: Pictures, repeats: int) -> None:
    share = Share(batch=4, seed=3, per_device_batch=2)
    alone = list(islice(classification_training_loader(_dataset(pictures), share, repeats=repeats), 14))
    before = torch.random.get_rng_state()
    later = replace(share, start_step=2)
    loader = classification_training_loader(_dataset(pictures), later, repeats=repeats, workers=2)
    assert torch.equal(before, torch.random.get_rng_state()), "loading draws from no global generator"
    for one, other in zip(alone[4:], islice(loader, 10), strict=True):
        _assert_same(one, other)
    assert len({batch.key for batch in alone}) == 14


def test_the_draws_of_an_image_do_not_depend_on_ranks(pictures: Pictures) -> None:
    def first(**more) -> ClassificationBatch:
        return next(iter(classification_training_loader(_dataset(pictures), Share(batch=4, seed=3, **more))))

    whole, halves = first(), [first(rank=rank, world=2) for rank in range(2)]
    assert halves[0].image_ids + halves[1].image_ids == whole.image_ids
    for name in ("images", "labels", "sample_keys"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(whole, name))


def test_repeats_of_an_image_are_drawn_differently(pictures: Pictures) -> None:
    batch = next(iter(classification_training_loader(_dataset(pictures), Share(batch=6, seed=3), repeats=3)))
    assert batch.image_ids[:2] == batch.image_ids[2:4] == batch.image_ids[4:]
    for one, other in ((0, 2), (0, 4), (2, 4)):
        assert not torch.equal(batch.images[one], batch.images[other])
    assert len(set(batch.sample_keys.tolist())) == 6


def test_an_image_that_breaks_is_left_out_of_training_and_named_and_the_next_stands_in(pictures: Pictures) -> None:
    (pictures.root / "4.png").write_bytes(b"broken")
    (pictures.root / "7.png").unlink()
    dataset = _dataset(pictures)
    batches = list(islice(classification_training_loader(dataset, Share(batch=5, seed=3), workers=1), 2))
    shown = Counter(image_id for batch in batches for image_id in batch.image_ids)
    assert [shown[f"class/{number}.png"] for number in range(10)] == [1, 1, 1, 1, 0, 2, 1, 0, 2, 1]
    for batch in batches:
        assert batch.labels.tolist() == [int(image_id[6]) % 3 for image_id in batch.image_ids]
    assert [problem.file for problem in dataset.undecodable()] == ["class/4.png", "class/7.png"]
    with pytest.raises(DataError, match=r"4\.png"):
        _dataset(pictures, strict=True)[Place(4, 0, 0)]
    for file in pictures.root.iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(DataError, match="none of the 10 images to train on can be decoded"):
        _dataset(pictures)[Place(4, 0, 0)]


def _mistake(loader: Iterable[ClassificationBatch]) -> str:
    """What the first batch raises; nothing of the loader outlives the call."""
    try:
        next(iter(loader))
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_is_told_without_a_traceback_wherever_it_is_found(pictures: Pictures, workers: int) -> None:
    (pictures.root / "4.png").write_bytes(b"broken")
    dataset = _dataset(pictures, strict=True)
    told = _mistake(classification_training_loader(dataset, Share(batch=10), workers=workers))
    assert told.startswith("class/4.png: this is no image")
    assert "\n" not in told


def test_decoded_sets_are_cropped_without_their_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
    dataset = _dataset(Pictures(tmp_path, np.zeros(6, np.int64), pixels))
    expected = dataset.transform.from_pixels(pixels[2], key(3, Purpose.AUGMENTATION, 7, 1))
    np.testing.assert_array_equal(dataset[Place(2, 7, 1)].image, expected)


def test_a_dataset_can_be_sent_to_a_fresh_process(pictures: Pictures) -> None:
    copy, place = pickle.loads(pickle.dumps(_dataset(pictures))), Place(5, 2, 1)
    np.testing.assert_array_equal(copy[place].image, _dataset(pictures)[place].image)
