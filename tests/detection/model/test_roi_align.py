"""RoIAlign against torchvision's kernel, sample by sample.

R RoIs, P bins a side, S samples a side of a bin.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align as torchvision_roi_align

from detres.detection.model.roi_align import roi_align

IMAGE_HEIGHT, IMAGE_WIDTH = 96, 132
AWKWARD_BOXES = [
    [0, 0, 132, 96],  # the whole image
    [-40, -30, 20, 25],  # over the top left corner
    [120, 90, 180, 140],  # over the bottom right corner
    [-300, -300, -200, -250],  # nowhere near the image
    [500, 400, 600, 480],
    [60, 40, 60, 40],  # a point
    [30, 10, 30, 80],  # no width
    [10, 50, 120, 50],  # no height
    [80, 70, 20, 30],  # inside out
    [3.2, 4.7, 4.1, 5.9],  # smaller than a cell
    [-2000, -1500, 2000, 1500],  # far larger than the image
    [131.9, 95.9, 132, 96],
]


def random_rois(count: int, images: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    center = torch.rand(count, 2, generator=g) * torch.tensor([IMAGE_WIDTH, IMAGE_HEIGHT])
    half = torch.exp(torch.rand(count, 2, generator=g) * 4)
    rois = torch.cat([center - half, center + half], dim=1)
    return rois, torch.randint(images, (count,), generator=g)


def features_of(stride: int, dtype: torch.dtype = torch.float64, images: int = 3, channels: int = 5) -> Tensor:
    g = torch.Generator().manual_seed(stride)
    shape = (images, channels, IMAGE_HEIGHT // stride, IMAGE_WIDTH // stride)
    return torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)


def by_torchvision(features: Tensor, rois: Tensor, image_index: Tensor, **settings: object) -> Tensor:
    with_index = torch.cat([image_index[:, None].to(features.dtype), rois.to(features.dtype)], dim=1)
    return torchvision_roi_align(
        features,
        with_index,
        settings["pool"],
        settings["scale"],
        settings["sampling_ratio"],
        settings["aligned"],
    )


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("stride", [4, 12, 32])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rows_equal_torchvision_forward_and_backward(
    dtype: torch.dtype, stride: int, sampling_ratio: int, aligned: bool
) -> None:
    some, image_of_some = random_rois(40, images=3)
    rois = torch.cat([some, torch.tensor(AWKWARD_BOXES)]).to(dtype)
    image_index = torch.cat([image_of_some, torch.arange(len(AWKWARD_BOXES)) % 3])
    settings = {"pool": 7, "scale": 1 / stride, "sampling_ratio": sampling_ratio, "aligned": aligned}
    ours = features_of(stride, dtype).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()

    pooled = roi_align(ours, rois, image_index, method="rows", **settings)
    expected = by_torchvision(theirs, rois, image_index, **settings)
    tolerance = {torch.float64: 1e-12, torch.float32: 2e-5}[dtype]
    torch.testing.assert_close(pooled, expected, rtol=tolerance, atol=tolerance)

    weight = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    (pooled * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance, atol=10 * tolerance)


def test_one_bin_over_two_cells_is_their_mean() -> None:
    features = torch.tensor([[[[1.0, 3.0], [10.0, 30.0]]]])
    # In cells the box spans 0..2 × 0..1 pixels at scale 1: its centre (1, 0.5) lies between the upper two cells.
    pooled = roi_align(
        features,
        torch.tensor([[0.0, 0.0, 2.0, 1.0]]),
        torch.zeros(1, dtype=torch.int64),
        pool=1,
        scale=1.0,
        sampling_ratio=1,
        method="rows",
    )
    assert pooled.item() == pytest.approx(2.0)


def test_a_constant_map_pools_to_the_constant_inside_the_image() -> None:
    rois = torch.tensor([[4.0, 4.0, 90.0, 60.0], [10.0, 20.0, 12.0, 21.0]])
    pooled = roi_align(
        torch.full((1, 3, 24, 33), 7.0), rois, torch.zeros(2, dtype=torch.int64), pool=7, scale=0.25, method="rows"
    )
    torch.testing.assert_close(pooled, torch.full((2, 3, 7, 7), 7.0))


@pytest.mark.parametrize("method", ["auto", "rows", "torchvision"])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_no_rois_still_touch_the_graph(method: str, sampling_ratio: int) -> None:
    features = features_of(4, torch.float32).requires_grad_()
    pooled = roi_align(
        features,
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.int64),
        pool=7,
        scale=0.25,
        sampling_ratio=sampling_ratio,
        method=method,
    )
    assert pooled.shape == (0, 5, 7, 7)
    pooled.sum().backward()
    assert features.grad is not None
    assert not features.grad.any()


def test_only_empty_rois_pool_to_zero() -> None:
    features = features_of(4, torch.float32).requires_grad_()
    point = torch.tensor([[60.0, 40.0, 60.0, 40.0]])
    pooled = roi_align(features, point, torch.zeros(1, dtype=torch.int64), pool=3, scale=0.25, method="rows")
    assert not pooled.any()
    pooled.sum().backward()
    assert not features.grad.any()


def test_the_result_is_channels_last_and_reads_channels_last_features_in_place() -> None:
    rois, image_index = random_rois(8, images=3)
    features = features_of(4, torch.float32)
    settings = {"pool": 7, "scale": 0.25, "sampling_ratio": 2, "method": "rows"}
    nchw = roi_align(features, rois, image_index, **settings)
    nhwc = roi_align(features.contiguous(memory_format=torch.channels_last), rois, image_index, **settings)
    assert nchw.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(nchw, nhwc)


@pytest.mark.parametrize("method", ["rows", "torchvision"])
def test_bfloat16_stays_within_its_rounding(method: str) -> None:
    rois, image_index = random_rois(30, images=3)
    exact = features_of(4, torch.bfloat16).float().requires_grad_()
    rounded = exact.detach().bfloat16().requires_grad_()
    settings = {"pool": 7, "scale": 0.25, "sampling_ratio": 2, "method": method}
    expected = roi_align(exact, rois, image_index, **settings)
    pooled = roi_align(rounded, rois, image_index, **settings)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), expected, rtol=0.02, atol=0.02)
    expected.square().sum().backward()
    pooled.float().square().sum().backward()
    assert rounded.grad.dtype == torch.bfloat16
    error = (rounded.grad.float() - exact.grad).norm() / exact.grad.norm()
    assert error < 0.01


def test_the_gradient_is_the_same_every_time() -> None:
    rois, image_index = random_rois(50, images=3)
    gradients = []
    for _ in range(2):
        features = features_of(4, torch.float32).requires_grad_()
        roi_align(features, rois, image_index, pool=7, scale=0.25, method="rows").square().sum().backward()
        gradients.append(features.grad)
    assert torch.equal(*gradients)


def test_rois_get_no_gradient() -> None:
    rois, image_index = random_rois(3, images=3)
    features = features_of(4, torch.float32).requires_grad_()
    rois.requires_grad_()
    roi_align(features, rois, image_index, pool=2, scale=0.25, method="rows").sum().backward()
    assert rois.grad is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", ["auto", "rows"])
def test_every_method_agrees_on_a_gpu(method: str) -> None:
    rois, image_index = random_rois(40, images=3)
    settings = {"pool": 7, "scale": 0.25, "sampling_ratio": 2, "method": method}
    features = features_of(4, torch.float32).requires_grad_()
    on_gpu = features.detach().cuda().requires_grad_()
    expected = roi_align(features, rois, image_index, **(settings | {"method": "rows"}))
    pooled = roi_align(on_gpu, rois.cuda(), image_index.cuda(), **settings)
    torch.testing.assert_close(pooled.cpu(), expected, rtol=1e-4, atol=1e-4)
    expected.square().sum().backward()
    pooled.square().sum().backward()
    torch.testing.assert_close(on_gpu.grad.cpu(), features.grad, rtol=1e-4, atol=1e-4)
