from __future__ import annotations

from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
import torch

from detres.data.classification.classified import classified
from detres.data.classification.crops import Box, ScaleCropping
from detres.data.loading.samplers import Place, Share
from detres.data.localization.loaders import (
    LocalizationDataset,
    ObjectOfProposal,
    ProposalCropping,
    VisibleObjects,
    boxes_in_crop,
    collate,
    localization_training_loader,
    whole_pixels,
)
from detres.data.localization.localized import LocalizedImages
from detres.data.packing import offsets_of
from detres.errors import DataError

SIDE = 32


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> LocalizedImages:
    """Four images with a white rectangle each, which the box is drawn around."""
    root, random = tmp_path_factory.mktemp("localized"), np.random.default_rng(0)
    boxes = []
    for number in range(4):
        rgb = np.zeros((48 + 8 * number, 60, 3), np.uint8)
        x, y = random.integers(4, 20, 2).tolist()
        rgb[y : y + 20, x : x + 24] = 255
        boxes.append([x, y, x + 24, y + 20])
        cv2.imwrite(str(root / f"{number}.png"), rgb)
    found = classified("four", root, ["rectangle", "other"], np.array([0, 1, 0, 1]), [f"{n}.png" for n in range(4)])
    return LocalizedImages(found, offsets_of(np.ones(4, int)), np.array(boxes, np.float32))


class Always:
    def __init__(self, cropping: ScaleCropping) -> None:
        self.cropping = cropping

    def __call__(self, index: int) -> ScaleCropping:
        return self.cropping


def white_extent(image: np.ndarray) -> tuple[list[int], list[int]]:
    rows, columns = (np.flatnonzero((image[..., 0] > 127).any(axis=axis)) for axis in (1, 0))
    return [int(columns[0]), int(columns[-1]) + 1], [int(rows[0]), int(rows[-1]) + 1]


def dataset_of(images: LocalizedImages, **options: object) -> LocalizationDataset:
    return LocalizationDataset(images, Always(ScaleCropping(SIDE, (36, 48))), VisibleObjects(0.5), **options)


def test_boxes_lie_where_the_crop_shows_the_object_mirrored_or_not(images: LocalizedImages) -> None:
    for flip in (0.0, 1.0):
        dataset, seen = dataset_of(images, flip=flip), 0
        for step in range(12):
            sample = dataset[Place(step % 4, step, 0)]
            assert sample.image.shape == (SIDE, SIDE, 3)
            if len(sample.target):
                (x1, y1, x2, y2) = sample.target.boxes[0].tolist()
                columns, rows = white_extent(sample.image)
                assert [x1, x2] == pytest.approx(columns, abs=1.0)
                assert [y1, y2] == pytest.approx(rows, abs=1.0)
                seen += 1
        assert seen > 6


def test_a_box_that_is_mostly_outside_is_ignored_and_one_wholly_outside_is_none() -> None:
    boxes = torch.tensor([[-6.0, 0, 10, 10], [-30.0, 0, 10, 10], [40.0, 40, 50, 50]])
    target = VisibleObjects(0.5)(boxes, SIDE, 3)
    assert target.boxes.tolist() == [[0, 0, 10, 10], [0, 0, 10, 10]]
    assert target.ignore.tolist() == [False, True]
    assert target.labels.tolist() == [3, 3]


def test_a_proposal_is_positive_by_its_overlap_and_learns_the_whole_box() -> None:
    boxes = torch.tensor([[-8.0, 0, 32, 32], [0.0, 0, 8, 8]])
    target = ObjectOfProposal(0.5)(boxes, SIDE, 1)
    assert target.boxes.tolist() == [[-8, 0, 32, 32]]
    assert len(ObjectOfProposal(0.9)(boxes, SIDE, 1)) == 0


def test_boxes_follow_a_warp() -> None:
    box = Box(top=10, left=20, height=16, width=64)
    found = boxes_in_crop(torch.tensor([[20.0, 10, 84, 26], [52.0, 14, 68, 18]]), box, SIDE)
    assert found.tolist() == [[0, 0, 32, 32], [16, 8, 24, 16]]


def test_proposals_become_whole_pixels_of_the_image() -> None:
    assert whole_pixels([1.2, 2.9, 7.1, 8.0], (40, 60)) == Box(2, 1, 6, 7)
    assert whole_pixels([59.5, 39.9, 80.0, 80.0], (40, 60)) == Box(39, 59, 1, 1)
    assert whole_pixels([-5.0, -5.0, 0.0, 0.0], (40, 60)) == Box(0, 0, 1, 1)


def test_every_proposal_is_drawn() -> None:
    cropping = ProposalCropping(8, np.array([[0, 0, 4, 4], [4, 4, 12, 12], [1, 1, 3, 3]], np.float32))
    drawn = {cropping.draw((20, 20), Random(number)) for number in range(60)}
    assert drawn == {Box(0, 0, 4, 4), Box(4, 4, 8, 8), Box(1, 1, 2, 2)}


def test_batches_do_not_depend_on_ranks_or_where_they_begin(images: LocalizedImages) -> None:
    dataset = dataset_of(images, seed=3)
    whole = iter(localization_training_loader(dataset, Share(batch=4, seed=3)))
    first, second = next(whole), next(whole)
    assert first.images.dtype == torch.uint8
    assert first.labels.tolist() == [int(images.labels[int(i[0])]) for i in first.image_ids]
    halves = [
        next(iter(localization_training_loader(dataset, Share(batch=4, seed=3, rank=r, world=2)))) for r in (0, 1)
    ]
    torch.testing.assert_close(torch.cat([half.images for half in halves]), first.images)
    resumed = next(iter(localization_training_loader(dataset, Share(batch=4, seed=3, start_step=1))))
    torch.testing.assert_close(resumed.images, second.images)
    assert resumed.sample_keys.tolist() == second.sample_keys.tolist()
    assert [t.boxes.tolist() for t in resumed.targets] == [t.boxes.tolist() for t in second.targets]


def test_an_image_that_cannot_be_read_is_grey_without_objects_or_refused(images: LocalizedImages) -> None:
    broken = classified("broken", Path("/nowhere"), ["rectangle"], np.array([0]), ["x.png"])
    alone = LocalizedImages(broken, offsets_of(np.array([1])), np.array([[0, 0, 4, 4]], np.float32))
    dataset = dataset_of(alone)
    batch = collate([dataset[Place(0, 0, 0)]])
    assert len(batch.targets[0]) == 0
    assert [problem.file for problem in dataset.undecodable()] == ["x.png"]
    with pytest.raises(DataError, match=r"x\.png: cannot be read"):
        dataset_of(alone, strict=True)[Place(0, 0, 0)]
