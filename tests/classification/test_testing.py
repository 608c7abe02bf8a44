"""Ten-crop and dense testing against brute force on a small net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from numpy.typing import NDArray
from PIL import Image

from detres.backbones.architectures import Architecture
from detres.classification.classifier import Classifier, ResNetClassifier
from detres.classification.testing import (
    Member,
    dense_softmax,
    dense_window,
    member_of,
    plans_of,
    predict_views,
    softmax_of,
)
from detres.config.classification_schema import ClassificationDataConfig, ClassificationTestConfig
from detres.data.classification.views import ViewDataset, ViewPlan, resize_shorter_side, view_loader
from detres.data.loading.samplers import Share
from detres.errors import ConfigError, DataError, WeightsError
from detres.structures import IMAGENET_STATS, PixelStats

CPU = torch.device("cpu")


def small_net(seed: int = 0, stem: str = "imagenet", classes: int = 7) -> Classifier:
    """A net of four stages (three for CIFAR's stem) that tells images apart, with statistics of its own."""
    torch.manual_seed(seed)
    widths = (8, 16, 16, 16) if stem == "imagenet" else (8, 8, 16)
    net = ResNetClassifier(Architecture("basic", (1,) * len(widths), widths=widths, stem=stem), num_classes=classes)
    for norm in net.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0.0, 0.3)
            norm.running_var.uniform_(0.3, 0.8)
    net.fc.weight.data.mul_(6)
    return net.eval()


class Pictures:
    sizes = ((60, 80), (80, 60), (71, 71), (60, 80), (50, 120))

    def __len__(self) -> int:
        return len(self.sizes)

    def image_id(self, i: int) -> int:
        return 100 + i

    def read(self, i: int) -> NDArray[np.uint8]:
        random = np.random.default_rng(i)
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize(self.sizes[i][::-1], Image.Resampling.BICUBIC))


def probabilities(*members: Member, pixels_at_once: int = 1 << 20, precision: str = "float32") -> dict[int, NDArray]:
    loader = view_loader(ViewDataset(Pictures(), plans_of(members)), Share(batch=3))
    found = predict_views(members, loader, CPU, precision=precision, pixels_at_once=pixels_at_once)
    return {image_id: row for ids, rows in found for image_id, row in zip(ids, rows, strict=True)}


def softmax(net: Classifier, rgb: NDArray[np.uint8]) -> NDArray:
    with torch.no_grad():
        return net.predict(torch.from_numpy(rgb.copy())[None]).softmax(1)[0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("pixels_at_once", [1, 64 * 64 * 3, 1 << 20])
def test_ten_crops_are_the_mean_of_the_softmaxes_of_torchvisions_ten(pixels_at_once: int) -> None:
    net = small_net()
    found = probabilities(Member(net, ViewPlan("five", 64, (72, 84)), mirrors=True), pixels_at_once=pixels_at_once)
    for i in range(5):
        rows = []
        for side in (72, 84):
            resized = Image.fromarray(resize_shorter_side(Pictures().read(i), side))
            rows += [softmax(net, np.asarray(crop)) for crop in T.TenCrop(64)(resized)]
        # torchvision's mirrored centre lies a pixel beside the centre's mirror where no middle exists.
        exact = all((length - 64) % 2 == 0 for side in (72, 84) for length in resized_sides(i, side))
        np.testing.assert_allclose(found[100 + i], np.mean(rows, axis=0), atol=1e-6 if exact else 2e-2)


def resized_sides(i: int, side: int) -> tuple[int, ...]:
    return resize_shorter_side(Pictures().read(i), side).shape[:2]


def test_one_centre_crop_is_its_softmax() -> None:
    net = small_net()
    found = probabilities(Member(net, ViewPlan("centre", 64, (72,))))
    for i in range(5):
        crop = T.CenterCrop(64)(Image.fromarray(resize_shorter_side(Pictures().read(i), 72)))
        np.testing.assert_allclose(found[100 + i], softmax(net, np.asarray(crop)), atol=1e-6)


def dense_by_hand(net: Classifier, rgb: NDArray[np.uint8], window: int) -> NDArray:
    """Every placement of the window, one at a time."""
    with torch.no_grad():
        cells = net.last_map(net.normalize(torch.from_numpy(np.ascontiguousarray(rgb))[None]))[0]
        height, width = (min(window, length) for length in cells.shape[1:])
        rows = []
        for top in range(cells.shape[1] - height + 1):
            for left in range(cells.shape[2] - width + 1):
                mean = cells[:, top : top + height, left : left + width].mean(dim=(1, 2))
                rows.append(net.fc(mean).softmax(0).numpy())
        return np.mean(rows, axis=0)


@pytest.mark.parametrize("pixels_at_once", [1, 1 << 20])
def test_dense_is_the_mean_over_placements_sides_and_mirrors(pixels_at_once: int) -> None:
    net = small_net()
    sides = (48, 64, 100)
    member = Member(net, ViewPlan("whole", 64, sides), mirrors=True)
    found = probabilities(member, pixels_at_once=pixels_at_once)
    for i in range(5):
        copies = [resize_shorter_side(Pictures().read(i), side) for side in sides]
        rows = [dense_by_hand(net, turned, 2) for copy in copies for turned in (copy, copy[:, ::-1])]
        np.testing.assert_allclose(found[100 + i], np.mean(rows, axis=0), atol=1e-6)


@pytest.mark.parametrize(("stem", "crop", "window"), [("imagenet", 224, 7), ("imagenet", 96, 3), ("cifar", 32, 8)])
def test_dense_on_a_square_of_the_training_size_is_the_one_crop(stem: str, crop: int, window: int) -> None:
    net = small_net(stem=stem)
    assert dense_window(net, crop) == (window, window)
    square = torch.randint(0, 256, (2, crop, crop, 3), dtype=torch.uint8)
    with torch.no_grad():
        one, dense = softmax_of(net, square), softmax_of(net, square, window=(window, window))
    torch.testing.assert_close(dense, one, rtol=1e-5, atol=1e-7)


def test_the_window_follows_a_pool_that_rounds_up() -> None:
    net = small_net()
    net.pool = "caffe"
    assert dense_window(net, 224) == (7, 7)
    assert dense_window(net, 225) == tuple(net.last_map(torch.zeros(1, 3, 225, 225)).shape[2:])


def test_a_map_smaller_than_the_window_is_averaged_whole() -> None:
    net = small_net()
    images = net.normalize(torch.randint(0, 256, (1, 33, 130, 3), dtype=torch.uint8))  # a map of 2×5 cells
    with torch.no_grad():
        narrow = dense_softmax(net, images[..., :64], (7, 7))  # 2×2 cells
        torch.testing.assert_close(narrow, net.predict(images[..., :64]).softmax(1))
        cells = net.last_map(images)
        expected = torch.stack([net.fc(cells[:, :, :, x : x + 3].mean(dim=(2, 3))).softmax(1) for x in range(3)])
        torch.testing.assert_close(dense_softmax(net, images, (7, 3)), expected.mean(dim=0))


def test_an_ensemble_averages_members_with_pixels_views_and_classes_of_their_own() -> None:
    first, second = small_net(0), small_net(1, stem="cifar")
    second.pixel_stats = PixelStats((10.0, 20.0, 30.0), (40.0, 50.0, 60.0), "bgr")
    assert first.pixel_stats == IMAGENET_STATS
    rows = torch.tensor([3, 0, 6, 1, 2, 4, 5])
    one = Member(first, ViewPlan("five", 64, (72,)), mirrors=True)
    other = Member(second, ViewPlan("whole", 32, (40,)))
    assert plans_of([one, other, one]) == (one.plan, other.plan)
    alone, beside = probabilities(one), probabilities(other)
    both = probabilities(one, Member(second, other.plan, rows=rows))
    for image_id in both:
        expected = (alone[image_id] + beside[image_id][rows.numpy()]) / 2
        np.testing.assert_allclose(both[image_id], expected, atol=1e-6)
        assert both[image_id].sum() == pytest.approx(1.0, abs=1e-5)


def test_bf16_is_near_and_training_mode_does_not_matter() -> None:
    net = small_net()
    member = Member(net, ViewPlan("whole", 64, (80,)), mirrors=True)
    exact = probabilities(member)
    near = probabilities(Member(net.train().to(memory_format=torch.channels_last), member.plan, True), precision="bf16")
    for image_id, row in exact.items():
        np.testing.assert_allclose(near[image_id], row, atol=0.05)


def test_nothing_to_test_yields_nothing() -> None:
    class Broken(Pictures):
        def read(self, i: int) -> NDArray[np.uint8]:
            raise DataError("broken")

    member = Member(small_net(), ViewPlan("centre", 64, (72,)))
    loader = view_loader(ViewDataset(Broken(), plans_of([member])), Share(batch=2))
    assert list(predict_views([member], loader, CPU)) == []
    assert list(predict_views([member], [], CPU)) == []


def test_weights_that_diverged_are_told(tmp_path: Path) -> None:
    net = small_net()
    net.fc.bias.data[2] = float("nan")
    with pytest.raises(WeightsError, match="of image 100 are not finite"):
        probabilities(Member(net, ViewPlan("centre", 64, (72,))))


@pytest.mark.parametrize(
    ("data", "test", "plan", "mirrors"),
    [
        ({}, {}, ViewPlan("centre", 224, (256,)), False),
        ({}, {"crops": 10}, ViewPlan("five", 224, (256,)), True),
        ({}, {"scales": 320, "crop": 288, "flip": True}, ViewPlan("centre", 288, (320,)), True),
        ({}, {"crops": "dense", "scales": [224, 640], "crop": 288}, ViewPlan("whole", 224, (224, 640)), False),
        ({"cropping": "pad", "crop": 32}, {"crops": 10}, ViewPlan("five", 32), True),
        ({"cropping": "pad", "crop": 32}, {"crops": "dense", "flip": True}, ViewPlan("whole", 32), True),
        (
            {"cropping": "pad", "crop": 32},
            {"crops": "dense", "scales": [32, 48]},
            ViewPlan("whole", 32, (32, 48)),
            False,
        ),
    ],
)
def test_a_config_becomes_views(data: dict, test: dict, plan: ViewPlan, mirrors: bool) -> None:
    member = member_of(small_net(), ClassificationDataConfig(**data), ClassificationTestConfig(**test))
    assert (member.plan, member.mirrors, member.rows) == (plan, mirrors, None)


def test_crops_that_do_not_fit_are_a_mistake_in_the_config() -> None:
    with pytest.raises(ConfigError, match=r"test.scales: crops of 224 pixels do not fit.*side of 192; use larger"):
        member_of(small_net(), ClassificationDataConfig(), ClassificationTestConfig(scales=(256, 192)))
