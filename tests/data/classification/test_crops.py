import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as F

from detres.data.classification.crops import AreaCropping, Box, PadCropping, ScaleCropping, cut, least_size
from detres.data.images.jpeg_scaling import decode_scaled, largest_denominator, size_as_read
from detres.errors import ConfigError


def _photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Patches of every size under a little noise, as photographs have."""
    draws = np.random.default_rng(seed)
    picture = sum(
        np.asarray(Image.fromarray(draws.random((c, c), dtype=np.float32)).resize((width, height), Image.BILINEAR))[
            ..., None
        ]
        * draws.random(3)
        for c in (3, 7, 17, 41)
    )
    return ((picture / 4 + 0.05 * draws.random(picture.shape)) * 255).clip(0, 255).astype(np.uint8)


def _rms(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(((one.astype(float) - other.astype(float)) ** 2).mean()))


# scale: the paper's


def test_the_box_is_what_becomes_the_crop_of_the_resized_image() -> None:
    cropping = ScaleCropping(224, (256, 480))
    for seed in range(300):
        box = cropping.draw((375, 500), random.Random(seed))
        assert box.height == box.width
        shorter = 224 * 375 / box.height
        assert 256 <= round(shorter) <= 480
        assert abs(shorter - round(shorter)) < 1e-9
        assert 0 <= box.top <= 375 - box.height
        assert 0 <= box.left <= 500 - box.width


def test_every_shorter_side_and_every_place_are_drawn() -> None:
    boxes = [ScaleCropping(8, (8, 10)).draw((20, 23), random.Random(i)) for i in range(3000)]
    sides = np.array([round(8 * 20 / box.height) for box in boxes])
    assert (np.abs(np.bincount(sides, minlength=11)[8:] - 1000) < 120).all()
    whole = [box for box, side in zip(boxes, sides, strict=True) if side == 8]
    assert {(box.top, box.height) for box in whole} == {(0, 20.0)}
    assert {box.left for box in whole} == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", range(6))
def test_cutting_before_resizing_is_resizing_before_cutting(seed: int) -> None:
    """Pillow does both in one call; at the border alone, neighbours outside the box are missing."""
    picture, cropping = _photo(150, 200), ScaleCropping(96, (100, 220))
    box = cropping.draw((150, 200), random.Random(seed))
    top, left, height, width = box
    expected = np.asarray(
        Image.fromarray(picture).resize((96, 96), Image.BILINEAR, box=(left, top, left + width, top + height))
    )
    mine = cut(picture, box, 96)
    assert mine.shape == (96, 96, 3)
    inside = slice(2, -2)
    assert np.abs(mine[inside, inside].astype(int) - expected[inside, inside]).max() <= 1
    assert _rms(mine, expected) < 1


def test_shorter_sides_below_the_crop_are_refused() -> None:
    for sides in ((200, 300), (300, 256)):
        with pytest.raises(ConfigError, match=r"data\.shortest_side"):
            ScaleCropping(224, sides)


# area: Inception's


@pytest.mark.parametrize("size", [(375, 500), (100, 40)])
def test_boxes_are_distributed_as_torchvisions(size: tuple[int, int]) -> None:
    """Kolmogorov and Smirnov's distance between two samples, for each number of the box."""
    count, image = 3000, torch.empty(3, *size)
    torch.manual_seed(0)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)])
    ours = np.array([AreaCropping(224).draw(size, random.Random(i)) for i in range(count)])
    for one, other in zip(ours.T, theirs.T, strict=True):
        values = np.unique(np.concatenate([one, other]))
        distance = np.abs(
            np.searchsorted(np.sort(one), values, "right") - np.searchsorted(np.sort(other), values, "right")
        ).max()
        assert distance / count < 1.95 * (2 / count) ** 0.5  # the 0.999 quantile


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((10, 100), (0, 43, 10, 13)),
        ((100, 10), (43, 0, 13, 10)),
        ((50, 50), (0, 0, 50, 50)),
        ((48, 60), (0, 0, 48, 60)),
    ],
)
def test_where_no_box_fits_the_middle_is_taken(size: tuple[int, int], expected: tuple[int, ...]) -> None:
    # No box of four times the image's area fits into it.
    assert AreaCropping(224, area=(4.0, 4.0)).draw(size, random.Random(0)) == expected
    assert RandomResizedCrop.get_params(torch.empty(3, *size), [4.0, 4.0], [3 / 4, 4 / 3]) == expected


def test_ranges_that_run_backwards_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.area=0.5, 0.1: the smaller one stands first"):
        AreaCropping(16, area=(0.5, 0.1))
    with pytest.raises(ConfigError, match=r"data.ratio=2.0, 0.5"):
        AreaCropping(16, ratio=(2.0, 0.5))


@pytest.mark.parametrize("box", [(10, 20, 100, 80), (0, 0, 150, 200), (3, 5, 20, 33), (60, 70, 64, 64), (149, 0, 1, 7)])
def test_a_box_is_resized_as_torchvision_does(box: tuple[int, int, int, int]) -> None:
    picture = _photo(150, 200)
    expected = F.resized_crop(Image.fromarray(picture), *box, [64, 64])
    assert np.abs(cut(picture, Box(*box), 64).astype(int) - np.asarray(expected)).max() <= 1


# pad: CIFAR's


def test_a_padded_crop_is_the_image_moved_over_black() -> None:
    picture = np.random.default_rng(0).integers(1, 256, (32, 32, 3), dtype=np.uint8)
    padded, seen = np.pad(picture, ((4, 4), (4, 4), (0, 0))), set()
    for seed in range(1000):
        box = PadCropping(32, 4).draw((32, 32), random.Random(seed))
        top, left = box.top + 4, box.left + 4
        np.testing.assert_array_equal(cut(picture, box, 32), padded[top : top + 32, left : left + 32])
        seen.add((top, left))
    assert {top for top, _ in seen} == {left for _, left in seen} == set(range(9))


def test_more_padding_than_image_leaves_black() -> None:
    assert cut(np.full((4, 4, 3), 9, np.uint8), Box(-30, 6, 20, 20), 20).max() == 0
    assert cut(np.full((4, 4, 3), 9, np.uint8), Box(-19, -19, 20, 20), 20).sum() == 27


def test_an_image_too_small_for_the_square_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"30x20 padded by data\.padding=4 holds no such square"):
        PadCropping(32, 4).draw((20, 30), random.Random(0))


# reduced decoding


def _both(data: bytes, cropping: AreaCropping | ScaleCropping, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The same box cut from the reduced and from the full image, and the denominator."""
    size = size_as_read(data)
    box = cropping.draw(size, random.Random(seed))
    rgb, denominator = decode_scaled(data, "", least_size(size, box, cropping.side))
    begin = box._replace(top=box.top // denominator * denominator, left=box.left // denominator * denominator)
    full, _ = decode_scaled(data, "", size)
    return cut(rgb, box, cropping.side, denominator), cut(full, begin, cropping.side), denominator


@pytest.mark.parametrize("cropping", [AreaCropping(32), ScaleCropping(32, (36, 68))])
@pytest.mark.parametrize("seed", range(6))
def test_a_crop_of_a_reduced_image_stays_within_two_grey_levels(cropping, seed: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(_photo(403, 605, seed)).save(buffer, "jpeg", quality=90)
    reduced, full, denominator = _both(buffer.getvalue(), cropping, seed)
    assert denominator > 1
    assert _rms(reduced, full) < 2


def test_crops_of_real_photographs_stay_within_two_grey_levels(real_data: Path) -> None:
    files = sorted((real_data / "voc2007" / "VOCdevkit" / "VOC2007" / "JPEGImages").glob("*.jpg"))[::40]
    for cropping in (AreaCropping(64), ScaleCropping(64, (73, 137))):
        found = [_both(file.read_bytes(), cropping, seed) for seed, file in enumerate(files)]
        apart = [_rms(reduced, full) for reduced, full, denominator in found if denominator > 1]
        assert len(apart) > 8
        assert np.mean(apart) < 2


def test_least_size_makes_the_decoded_box_as_large_as_the_crop() -> None:
    box = Box(0, 0, 672.0, 1000.0)
    height, width = least_size((1200, 1600), box, 224)
    assert (height, width) == (600.0, pytest.approx(537.6))
    assert largest_denominator((1200, 1600), (height, width)) == 2
