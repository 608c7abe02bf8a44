import pickle
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawBox, RawImage, index_images
from detres.data.detection.loaders import DetectionDataset, collate, evaluation_loader, padded_shapes, training_loader
from detres.data.detection.transforms import DetectionTransform
from detres.data.images.sizes import resize_image
from detres.data.loading.samplers import Place, Share
from detres.errors import DataError
from detres.structures import DetectionBatch

AUGMENT = [{"HorizontalFlip": {"p": 0.5}}, {"RandomBrightnessContrast": {"p": 0.8}}]


@pytest.fixture
def images(tmp_path: Path, write_picture) -> AnnotatedImages:
    raw = []
    for number in range(9):
        size = (40, 60) if number % 3 else (60, 40)
        write_picture(tmp_path / f"{number}.png", *size, seed=number)
        boxes = [RawBox("x", (1.0 + i, 2, 20 + number, 30)) for i in range(number % 4)]
        raw.append(RawImage(f"{number}.png", number, size, boxes))
    return index_images(raw, name="t", root=tmp_path, known_classes=["x"], classes=["x"], category_ids=[1])


def _dataset(images: AnnotatedImages, training: bool = True, **more) -> DetectionDataset:
    transform = DetectionTransform(AUGMENT, shortest_side=[20, 24], longest_side=60, training=training)
    return DetectionDataset(images, transform, seed=3, **more)


def _assert_same(first: DetectionBatch, second: DetectionBatch) -> None:
    assert first.image_ids == second.image_ids
    for name in ("images", "sizes", "original_sizes", "sample_keys"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    for one, other in zip(first.targets, second.targets, strict=True):
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.ignore, other.ignore)


def test_batches_do_not_depend_on_the_number_of_workers_or_the_first_step(images: AnnotatedImages) -> None:
    alone = list(islice(training_loader(_dataset(images), Share(batch=4, seed=3)), 7))
    before = torch.random.get_rng_state()
    shared = list(islice(training_loader(_dataset(images), Share(batch=4, seed=3, start_step=2), workers=2), 5))
    assert torch.equal(before, torch.random.get_rng_state()), "loading draws from no global generator"
    for one, other in zip(alone[2:], shared, strict=True):
        _assert_same(one, other)


def test_the_draws_of_an_image_do_not_depend_on_ranks(images: AnnotatedImages) -> None:
    whole = next(iter(training_loader(_dataset(images), Share(batch=4, seed=3))))
    halves = [next(iter(training_loader(_dataset(images), Share(batch=4, seed=3, rank=r, world=2)))) for r in range(2)]
    assert halves[0].image_ids + halves[1].image_ids == whole.image_ids
    assert torch.equal(torch.cat([half.sample_keys for half in halves]), whole.sample_keys)
    for i, target in enumerate(halves[0].targets + halves[1].targets):
        assert torch.equal(target.boxes, whole.targets[i].boxes)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_an_evaluation_has_the_same_batches_on_any_number_of_ranks(images: AnnotatedImages, batch: int) -> None:
    alone = list(evaluation_loader(_dataset(images, training=False), Share(batch=batch), pad_to=8))
    assert sorted(image_id for each in alone for image_id in each.image_ids) == list(range(9))
    assert len(alone) == {1: 9, 2: 5, 8: 2}[batch], "three images are tall and six are wide"
    for world in (2, 3, 4):
        shares = [
            list(
                evaluation_loader(
                    _dataset(images, training=False), Share(batch=batch, rank=rank, world=world), pad_to=8
                )
            )
            for rank in range(world)
        ]
        joined = {each.image_ids: each for share in shares for each in share}
        assert joined.keys() == {each.image_ids for each in alone}
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        for each in alone:
            _assert_same(joined[each.image_ids], each)


def test_an_image_is_padded_as_if_it_were_tested_alone(images: AnnotatedImages) -> None:
    dataset = _dataset(images, training=False)
    alone = {b.image_ids[0]: b for b in evaluation_loader(dataset, Share(batch=1), pad_to=16)}
    for batch in evaluation_loader(dataset, Share(batch=4), pad_to=16):
        for image, image_id in zip(batch.images, batch.image_ids, strict=True):
            assert torch.equal(image, alone[image_id].images[0])
    assert padded_shapes(dataset, 16)[:2].tolist() == [[48, 32], [32, 48]]


def test_batches_are_padded_at_the_right_and_the_bottom(images: AnnotatedImages) -> None:
    dataset = _dataset(images, training=False)
    samples = [dataset[Place(i, 0, i)] for i in (0, 1)]
    batch = collate(samples, pad_to=32)
    assert batch.images.shape == (2, 64, 64, 3)
    assert batch.sizes.tolist() == [[36, 24], [24, 36]]
    assert batch.original_sizes.tolist() == [[60, 40], [40, 60]]
    assert samples[0].image.shape == (60, 40, 3), "images are resized where they lie in the batch"
    assert torch.equal(batch.images[0, :36, :24], torch.from_numpy(resize_image(samples[0].image, (36, 24))))
    assert batch.images[0, 36:].sum() == 0
    assert batch.images[0, :, 24:].sum() == 0


def test_an_image_that_breaks_while_training_is_replaced_and_named(images: AnnotatedImages) -> None:
    images.path(4).write_bytes(b"broken")
    dataset = _dataset(images)
    batches = list(islice(training_loader(dataset, Share(batch=3, seed=3), workers=1), 3))
    batch = next(batch for batch in batches if 4 in batch.image_ids)
    place = batch.image_ids.index(4)
    assert len(batch.targets[place]) == 0
    assert batch.original_sizes[place].tolist() == [40, 60]
    assert [problem.file for problem in dataset.undecodable()] == ["4.png"], "workers' findings reach the main process"
    with pytest.raises(DataError, match=r"4\.png"):
        _dataset(images, strict=True)[Place(4, 0, 0)]


def test_an_image_that_breaks_off_keeps_its_boxes_and_is_named(images: AnnotatedImages) -> None:
    data = images.path(4).read_bytes()
    images.path(4).write_bytes(data[: len(data) * 3 // 4])
    dataset = _dataset(images)
    assert dataset.filled() == []
    sample = dataset[Place(4, 0, 0)]
    assert len(sample.target) == len(images.target(4))
    (problem,) = dataset.filled()
    assert str(problem).startswith("image breaks off: 4.png: its file ends before its last pixels")
    assert dataset.undecodable() == []
    with pytest.raises(DataError, match=r"4\.png: its file ends"):
        _dataset(images, whole=True)[Place(4, 0, 0)]


def test_a_dataset_can_be_sent_to_a_fresh_process(images: AnnotatedImages) -> None:
    copy = pickle.loads(pickle.dumps(_dataset(images)))
    place = Place(5, 2, 1)
    np.testing.assert_array_equal(copy[place].image, _dataset(images)[place].image)
