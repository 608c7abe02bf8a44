"""Terms of every sample by itself, against torchvision's kernel and by hand; computed on the CPU, as a device would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from detres.detection.model import roi_align as module
from detres.detection.model.roi_align import roi_align, takes_rows
from detres.detection.model.roi_heads import RoIPooler
from detres.detection.model.roi_terms import number_of_terms, terms_at_once
from tests.detection.model import test_roi_align as by_kernel

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "waits", lambda device: True)


@pytest.fixture
def repeated() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("stride", [4, 32])
def test_values_and_gradients_are_torchvisions(at_once: None, stride: int, sampling_ratio: int, aligned: bool) -> None:
    by_kernel.test_rows_equal_torchvision_forward_and_backward(torch.float64, stride, sampling_ratio, aligned)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_no_rois_still_touch_the_graph(at_once: None, sampling_ratio: int) -> None:
    by_kernel.test_no_rois_still_touch_the_graph("rows", sampling_ratio)


def test_only_empty_rois_pool_to_zero(at_once: None) -> None:
    by_kernel.test_only_empty_rois_pool_to_zero()


def test_a_bin_of_one_sample_reads_the_four_cells_around_it() -> None:
    # One bin from (1, 0) to (2, 2) in cells whose centres lie at half-integers: its sample lies at x = 1, y = 0.5.
    terms = terms_at_once(torch.tensor([[1.0, 0.0, 2.0, 2.0]]), torch.tensor([1]), (3, 4), 1, 1.0, 1, True)
    assert terms.row.tolist() == [12 + 1, 12 + 2, 12 + 5, 12 + 6]  # of the second image; low and high x, then high y
    assert terms.weight.tolist() == [0.5, 0.0, 0.5, 0.0]
    assert terms.counts.tolist() == [4]


def test_as_many_samples_as_a_bin_has_cells_are_four_terms_each() -> None:
    rois = torch.tensor([[0.0, 0.0, 8.0, 4.0], [0.0, 0.0, 2.0, 6.1], [5.0, 5.0, 5.0, 9.0]])
    # Of 2x2 bins: 4 x 2 cells, 1 x 3.05 cells, and one of no width.
    assert number_of_terms(rois, 2, 1.0, 0, True).tolist() == [4 * 4 * 4 * 2, 4 * 4 * 1 * 4, 0]
    assert number_of_terms(rois, 2, 1.0, 3, True).tolist() == [4 * 4 * 9] * 3
    assert number_of_terms(rois[:0], 2, 1.0, 0, True).tolist() == []


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_a_number_told_beforehand_is_the_one_that_is_read(sampling_ratio: int) -> None:
    rois, image_index = by_kernel.random_rois(30, images=3)
    read = (rois, image_index, (24, 33), 7, 0.25, sampling_ratio, True)
    total = int(number_of_terms(rois, 7, 0.25, sampling_ratio, True).sum())
    told, asked = terms_at_once(*read, total), terms_at_once(*read)
    assert len(told.row) == int(told.counts.sum()) == total
    assert torch.equal(told.row, asked.row)
    assert torch.equal(told.weight, asked.weight)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("corner", [torch.nan, torch.inf, -torch.inf])
def test_a_roi_without_a_number_for_a_corner_harms_no_other(at_once: None, corner: float, sampling_ratio: int) -> None:
    rois, image_index = by_kernel.random_rois(5, images=3)
    features = by_kernel.features_of(4, torch.float32)
    settings = {"pool": 3, "scale": 0.25, "sampling_ratio": sampling_ratio, "method": "rows"}
    expected = roi_align(features, rois, image_index, **settings)
    wild = rois.clone()
    wild[2, 0] = corner
    pooled = roi_align(features, wild, image_index, **settings)
    assert pooled.isfinite().all()
    others = [0, 1, 3, 4]
    assert torch.equal(pooled[others], expected[others])


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_a_pooler_that_asks_for_all_levels_at_once_pools_the_same(
    monkeypatch: pytest.MonkeyPatch, sampling_ratio: int
) -> None:
    rois, image_index = by_kernel.random_rois(60, images=3)
    maps = [by_kernel.features_of(stride) for stride in (4, 12, 32)]
    pooler = RoIPooler([4, 12, 32], 5, sampling_ratio=sampling_ratio, method="rows", canonical_size=40.0)
    expected = pooler(maps, rois, image_index)
    monkeypatch.setattr(module, "waits", lambda device: True)
    monkeypatch.setattr("detres.detection.model.roi_heads.waits", lambda device: True)
    assert len(set(pooler.levels(rois).tolist())) == 3
    torch.testing.assert_close(pooler(maps, rois, image_index), expected, rtol=1e-12, atol=1e-12)


def test_auto_is_rows_on_the_cpu_and_where_sums_have_to_repeat(repeated: None) -> None:
    assert takes_rows("auto", CPU)
    assert takes_rows("auto", CUDA)
    assert not takes_rows("torchvision", CUDA)
    torch.use_deterministic_algorithms(False)
    assert takes_rows("auto", CPU)
    assert not takes_rows("auto", CUDA)
    assert takes_rows("rows", CUDA)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gradient_on_a_gpu_has_the_same_bits_each_time(repeated: None, dtype: torch.dtype) -> None:
    rois, image_index = by_kernel.random_rois(400, images=3)
    gradients = []
    for _ in range(5):
        features = by_kernel.features_of(4, dtype).cuda().requires_grad_()
        roi_align(features, rois.cuda(), image_index.cuda(), pool=7, scale=0.25).float().square().sum().backward()
        gradients.append(features.grad)
    assert all(torch.equal(gradients[0], gradient) for gradient in gradients)
