from __future__ import annotations

from typing import Any

import pytest

from detres.config.loading import load_config
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_dataset
from detres.tasks.detection.browsing.choosing import choose_images
from detres.tasks.detection.browsing.oddities import Oddities, find_oddities


@pytest.fixture
def splits(tiny: Any) -> list[tuple[AnnotatedImages, Oddities]]:
    sets = [load_dataset(load_config(tiny.cfg).data, split) for split in ("train", "test")]
    return [(images, find_oddities(images)) for images in sets]


def test_where_all_fit_all_are_shown_in_their_order(splits: list[tuple[AnnotatedImages, Oddities]]) -> None:
    every = [(0, i) for i in range(7)] + [(1, i) for i in range(5)]
    assert choose_images(splits, 12) == choose_images(splits, 500) == every


@pytest.mark.parametrize("limit", [1, 5, 8])
def test_a_limit_holds_and_the_choice_is_the_same_again(
    splits: list[tuple[AnnotatedImages, Oddities]], limit: int
) -> None:
    chosen = choose_images(splits, limit)
    assert len(set(chosen)) == limit
    assert chosen == sorted(chosen) == choose_images(splits, limit)


def test_each_oddity_and_each_split_has_an_image(splits: list[tuple[AnnotatedImages, Oddities]]) -> None:
    chosen = choose_images(splits, 11)
    for number, (_, odd) in enumerate(splits):
        for name, degree in odd.images.items():
            if degree.any():
                assert any(degree[i] > 0 for n, i in chosen if n == number), name


def test_of_nothing_nothing_is_chosen(splits: list[tuple[AnnotatedImages, Oddities]]) -> None:
    images = splits[0][0].subset([])
    assert choose_images([(images, find_oddities(images))], 3) == []
