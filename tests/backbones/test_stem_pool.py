import pytest
import torch
import torch.nn.functional as F

from detres.backbones.stem_pool import pool_stem


@pytest.mark.parametrize("pool", ["torch", "caffe"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (1, 32), (31, 1), (2, 2)])
def test_a_strip_keeps_a_cell_and_its_maximum(pool: str, height: int, width: int) -> None:
    x = torch.rand(2, 3, height, width)
    pooled = pool_stem(x, pool)
    assert min(pooled.shape) >= 1
    assert torch.equal(pooled.amax(dim=(2, 3)), x.amax(dim=(2, 3)))


@pytest.mark.parametrize("width", [2, 3, 4, 7, 32])
def test_a_row_alone_is_pooled_as_caffe_pools_its_columns(width: int) -> None:
    row = torch.rand(1, 2, 1, width)
    expected = F.max_pool2d(row, (1, 3), (1, 2), ceil_mode=True)
    assert torch.equal(pool_stem(row, "caffe"), expected)
    assert torch.equal(pool_stem(row.mT, "caffe"), expected.mT)


def test_caffes_pool_starts_at_the_first_cell() -> None:
    row = torch.tensor([5.0, 0, 1, 2, 9]).expand(1, 1, 5, 5)
    assert pool_stem(row, "caffe")[0, 0, 0].tolist() == [5.0, 9.0]
    assert pool_stem(row, "torch")[0, 0, 0].tolist() == [5.0, 2.0, 9.0]
