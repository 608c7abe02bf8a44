import numpy as np
import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from detres.data.images.sizes import resize_image, resized_size


def test_the_shorter_side_sets_the_scale_until_the_longer_one_is_too_long() -> None:
    assert resized_size((300, 600), 150, 1000) == (150, 300)
    assert resized_size((300, 600), 150, 200) == (100, 200)
    assert resized_size((100, 101), 150, 200, "floor") == (150, 151)
    assert resized_size((100, 101), 150, 200, "nearest") == (150, 152)
    assert resized_size((1, 1000), 10, 100) == (1, 100)


def test_sizes_equal_torchvisions() -> None:
    draw = np.random.default_rng(0)
    for shortest, longest in ((40, 66), (48, 80)):
        oracle = GeneralizedRCNNTransform(shortest, longest, [0.0] * 3, [1.0] * 3, size_divisible=1)
        for height, width in draw.integers(8, 130, size=(60, 2)).tolist():
            images, _ = oracle([torch.zeros(3, height, width)])
            assert resized_size((height, width), shortest, longest) == tuple(images.image_sizes[0])


@pytest.mark.parametrize("height", range(481, 2400, 37))
def test_products_just_under_a_whole_number_floor_as_torchs_do(height: int) -> None:
    scale = min(800 / height, 1333 / height)
    image = torch.zeros(1, 1, height, height)
    shape = torch.nn.functional.interpolate(image, scale_factor=scale, recompute_scale_factor=True).shape[-2:]
    assert resized_size((height, height), 800, 1333) == tuple(shape)


def test_pixels_lie_within_rounding_of_torchs_bilinear() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, size=(33, 47, 3), dtype=np.uint8)
    ours = resize_image(rgb, (50, 71))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(rgb).permute(2, 0, 1)[None].float(), size=(50, 71), mode="bilinear", align_corners=False
    )[0].permute(1, 2, 0)
    assert np.abs(ours.astype(np.float32) - theirs.numpy()).max() <= 1.0


@pytest.mark.parametrize("size", [(50, 71), (33, 47), (20, 30)])
def test_an_image_can_be_resized_to_where_it_lies_in_a_batch(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, size=(33, 47, 3), dtype=np.uint8)
    batch = np.zeros((2, 64, 96, 3), dtype=np.uint8)
    place = batch[1, : size[0], : size[1]]
    assert np.shares_memory(resize_image(rgb, size, out=place), batch)
    assert np.array_equal(batch[1, : size[0], : size[1]], resize_image(rgb, size))
    assert batch[0].sum() == 0
    assert batch[1, size[0] :].sum() == 0
    assert batch[1, :, size[1] :].sum() == 0
