from __future__ import annotations

import pytest
import torch
from torch import nn

from detres.structures import ClassificationBatch, DetectionBatch, DetectionTarget
from detres.system_errors import system_message
from detres.training import device_memory
from detres.training.device_memory import DeviceMemoryFull, first_images, learned_within_memory
from detres.training.loop import train_steps
from detres.training.optimizers import build_optimizer
from tests.training.test_loop import CPU, Net, batches

FULL = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.2 GiB is free."
)


class Hungry(Net):
    """A net that fits into its device's memory with so many images at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def forward(self, batch):
        if len(batch.images) > self.room:
            raise FULL
        return super().forward(batch)


def trained(room: int) -> None:
    model = Hungry(room)
    list(train_steps(model, batches(size=12), build_optimizer(model, lr=0.1), lambda _: 0.1, steps=2, device=CPU))


@pytest.mark.parametrize(("room", "fits"), [(11, "6 do"), (5, "4 do"), (1, "1 does")])
def test_a_batch_that_does_not_fit_says_how_many_would(room, fits):
    number = fits.split()[0]
    with pytest.raises(DeviceMemoryFull) as caught:
        trained(room)
    assert ": 12 images at once do not fit into its memory, and " in str(caught.value)
    assert f"and {fits}: training.per_device_batch={number}, which leaves a step as it is" in str(caught.value)


def test_where_not_one_fits_other_keys_are_named():
    with pytest.raises(DeviceMemoryFull, match=r"not fit into its memory, nor does one; take smaller ones \(data\.sho"):
        trained(0)
    with pytest.raises(DeviceMemoryFull, match="1 image at once does not fit into its memory; take smaller ones"):
        learned_within_memory(Hungry(0), next(batches(size=1)), nn.Identity(), CPU)


def test_ranks_are_told_what_to_try(monkeypatch):
    monkeypatch.setattr(device_memory, "world_size", lambda: 2)
    with pytest.raises(DeviceMemoryFull, match=r"memory; try training\.per_device_batch=6, which leaves"):
        trained(5)


def test_what_fits_is_learned_as_ever():
    trained(12)
    assert learned_within_memory(len, (1, 2), nn.Identity(), CPU) == 2


def test_the_first_images_of_each_kind_of_batch():
    few = first_images(next(batches(size=4)), 3)
    assert (len(few.images), len(few.labels), few.image_ids) == (3, 3, ("0-0", "0-1", "0-2"))
    assert few.sample_keys is None
    assert isinstance(few, ClassificationBatch)
    sizes = torch.full((2, 2), 8)
    images = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    whole = DetectionBatch(images, sizes, sizes, ("a", "b"), (DetectionTarget.empty(),) * 2, torch.arange(2))
    one = first_images(whole, 1)
    assert (len(one), one.image_ids, len(one.targets), one.sample_keys.tolist()) == (1, ("a",), 1, [0])
    assert len(first_images(DetectionBatch(images, sizes, sizes, ("a", "b"), (), torch.arange(2)), 1).targets) == 0


def test_elsewhere_it_is_one_message_as_well():
    message = system_message(FULL)
    assert message is not None
    assert message.startswith(
        "not enough memory of the GPU (CUDA out of memory. Tried to allocate 2.00 GiB); take fewer"
    )
