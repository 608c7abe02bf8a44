"""Views against torchvision's transforms: what published accuracies were measured with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from numpy.typing import NDArray
from PIL import Image

from detres.data.classification.views import (
    ViewDataset,
    ViewPlan,
    centre_crop,
    collate_views,
    five_crops,
    padded_to,
    resize_shorter_side,
    shorter_side_size,
    view_loader,
)
from detres.data.loading.samplers import Share
from detres.errors import DataError

SIZES = [(375, 500), (500, 333), (64, 64), (301, 999), (640, 480), (17, 40)]


def picture(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Waves of every length, so that what aliases shows, with noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    waves = np.stack([127 + 90 * np.sin(x * x / 300 + c) * np.cos(y * y / 400 + c) for c in range(3)], -1)
    return (waves + random.normal(0, 12, (*size, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [32, 224, 256, 481])
def test_the_resized_image_is_torchvisions_but_for_rounding(size: tuple[int, int], side: int) -> None:
    rgb = picture(size)
    theirs = np.asarray(T.Resize(side)(Image.fromarray(rgb)))
    ours = resize_shorter_side(rgb, side)
    assert ours.shape == theirs.shape == (*shorter_side_size(size, side), 3)
    difference = ours.astype(float) - theirs
    assert np.abs(difference).max() <= 2
    assert np.sqrt((difference**2).mean()) < 0.3


@pytest.mark.parametrize("size", [(256, 341), (333, 257), (224, 224), (225, 226)])
def test_crops_are_torchvisions_in_its_order(size: tuple[int, int]) -> None:
    rgb, pil = picture(size), Image.fromarray(picture(size))
    assert np.array_equal(centre_crop(rgb, 224), np.asarray(T.CenterCrop(224)(pil)))
    five = np.stack(five_crops(rgb, 224))
    assert np.array_equal(five, np.stack([np.asarray(crop) for crop in T.FiveCrop(224)(pil)]))
    # Of the mirrored image the corner at the left is the mirrored one at the right.
    ten = np.concatenate([five, five[[1, 0, 3, 2, 4], :, ::-1]])
    theirs = np.stack([np.asarray(crop) for crop in T.TenCrop(224)(pil)])
    assert np.array_equal(ten[:9], theirs[:9])
    odd = (size[1] - 224) % 2
    assert np.array_equal(ten[9, :, : 224 - odd], theirs[9, :, odd:]), "a pixel beside where no middle exists"


@pytest.mark.parametrize("size", [(20, 20), (20, 51), (31, 33)])
def test_a_small_image_lies_in_the_middle_of_black(size: tuple[int, int]) -> None:
    rgb = picture(size)
    assert np.array_equal(centre_crop(rgb, 32), np.asarray(T.CenterCrop(32)(Image.fromarray(rgb))))
    assert [crop.shape for crop in five_crops(rgb, 32)] == [(32, 32, 3)] * 5
    assert padded_to(rgb, 17) is rgb


def test_a_plan_gives_its_views_side_by_side_of_the_image_or_as_it_is() -> None:
    rgb = picture((40, 60))
    shapes = {
        ViewPlan("centre", 24, (32, 48)): [(24, 24)] * 2,
        ViewPlan("five", 24, (32, 48)): [(24, 24)] * 10,
        ViewPlan("whole", 24, (16, 32)): [(16, 24), (32, 48)],
        ViewPlan("whole", 24): [(40, 60)],
        ViewPlan("centre", 24): [(24, 24)],
    }
    for plan, expected in shapes.items():
        assert [view.shape[:2] for view in plan.views(rgb)] == expected
    assert np.array_equal(ViewPlan("centre", 24).views(rgb)[0], centre_crop(rgb, 24)), "not resized"
    with pytest.raises(ValueError, match="crops of 224 pixels do not fit"):
        ViewPlan("centre", 224, (256, 192))


class Pictures:
    """Eleven images of three sizes, two of which cannot be read."""

    sizes = ((40, 60), (60, 40), (50, 50))
    broken = (3, 8)

    def __len__(self) -> int:
        return 11

    def image_id(self, i: int) -> str:
        return f"img{i:02d}"

    def read(self, i: int) -> NDArray[np.uint8]:
        if i in self.broken:
            raise DataError(f"img{i:02d}: broken")
        return picture(self.sizes[i % 3], i)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_over_the_ranks_every_image_comes_once_and_unreadable_ones_are_named(workers: int) -> None:
    images, seen = Pictures(), []
    plans = (ViewPlan("five", 24, (32,)), ViewPlan("whole", 24, (16, 24)))
    for rank in range(3):
        dataset = ViewDataset(images, plans)
        for batch in view_loader(dataset, Share(batch=4, rank=rank, world=3), workers=workers):
            seen += batch.image_ids
            of_crops, of_wholes = batch.views
            assert len(of_crops) == 1
            assert of_crops[0].owners.tolist() == [place for place in range(len(batch)) for _ in range(5)]
            for views in (*of_crops, *of_wholes):
                for pixels, owner in zip(views.pixels.numpy(), views.owners.tolist(), strict=True):
                    own = images.read(int(batch.image_ids[owner][3:]))
                    assert any(np.array_equal(pixels, view) for plan in plans for view in plan.views(own))
            assert sum(len(views.owners) for views in of_wholes) == 2 * len(batch)
        assert dataset.unreadable() == [f"img{i:02d}" for i in images.broken if i % 3 == rank]
    assert sorted(seen) == [images.image_id(i) for i in range(11) if i not in images.broken]


def test_strict_refuses_what_cannot_be_read() -> None:
    with pytest.raises(DataError, match="img03: broken"):
        ViewDataset(Pictures(), [ViewPlan("centre", 24)], strict=True)[3]


def test_a_batch_of_nothing_is_empty() -> None:
    for samples in ([], [None]):
        batch = collate_views(samples)
        assert (len(batch), batch.views) == (0, ())


def test_many_large_views_are_loaded_a_few_at_a_time() -> None:
    dense = ViewPlan("whole", 224, (224, 256, 384, 480, 640))
    assert view_loader(ViewDataset(Pictures(), [ViewPlan("centre", 224, (256,))]), Share(batch=64)).batch_size == 64
    assert view_loader(ViewDataset(Pictures(), [dense]), Share(batch=64)).batch_size < 20
    assert view_loader(ViewDataset(Pictures(), [dense] * 99), Share(batch=64)).batch_size == 1


def test_loading_draws_nothing_from_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    list(view_loader(ViewDataset(Pictures(), [ViewPlan("centre", 24)]), Share(batch=4)))
    assert torch.equal(torch.random.get_rng_state(), before)
