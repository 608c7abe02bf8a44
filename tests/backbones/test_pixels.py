import pytest
import torch

from detres.backbones.pixels import normalize_pixels
from detres.structures import IMAGENET_STATS, PixelStats


def test_one_pixel_by_hand_in_both_orders():
    rgb = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)
    for order, expected in (("rgb", [9.0, 9.0, 9.0]), ("bgr", [29.0, 9.0, 7 / 3])):
        stats = PixelStats(mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 3.0), order=order)
        got = normalize_pixels(rgb, stats, torch.float32).flatten().tolist()
        assert got == pytest.approx(expected)


def test_the_memory_is_channels_last_and_the_values_torchvisions():
    rgb = torch.randint(0, 256, (2, 5, 7, 3), dtype=torch.uint8)
    got = normalize_pixels(rgb, IMAGENET_STATS, torch.float32)
    assert got.is_contiguous(memory_format=torch.channels_last)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = ((rgb / 255 - mean) / std).permute(0, 3, 1, 2)
    torch.testing.assert_close(got, expected)


def test_bf16_is_rounded_once():
    rgb = torch.randint(0, 256, (1, 4, 4, 3), dtype=torch.uint8)
    got = normalize_pixels(rgb, IMAGENET_STATS, torch.bfloat16)
    assert torch.equal(got, normalize_pixels(rgb, IMAGENET_STATS, torch.float64).float().bfloat16())


def test_no_images_are_no_images():
    rgb = torch.zeros(0, 4, 6, 3, dtype=torch.uint8)
    assert normalize_pixels(rgb, IMAGENET_STATS, torch.float32).shape == (0, 3, 4, 6)
