from __future__ import annotations

import torch

from detres.structures import ClassificationBatch
from detres.training.ahead import _tensors_in, on_device


def batches(asked: list[int]):
    for number in range(3):
        asked.append(number)
        yield ClassificationBatch(
            torch.full((1, 2, 2, 3), number, dtype=torch.uint8), torch.tensor([number]), (number,)
        )


def test_on_the_cpu_none_is_asked_for_before_it_is_needed() -> None:
    asked: list[int] = []
    there = on_device(batches(asked), torch.device("cpu"))
    assert asked == []
    assert [next(there).image_ids for _ in range(2)] == [(0,), (1,)]
    assert asked == [0, 1]
    assert [batch.image_ids for batch in there] == [(2,)]
    assert list(on_device([], torch.device("cpu"))) == []


def test_all_tensors_of_a_batch_are_found() -> None:
    batch = next(batches([]))
    assert [tensor.shape for tensor in _tensors_in(batch)] == [(1, 2, 2, 3), (1,)]
    assert len(list(_tensors_in((batch, [batch, None], "text", 3)))) == 4
