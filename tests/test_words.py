from __future__ import annotations

import pytest

from detres.words import number_of, set_in_words


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (2, "box", "2 boxes"),
        (1, "class", "1 class"),
        (80, "class", "80 classes"),
        (118287, "image", "118287 images"),
    ],
)
def test_one_thing_is_none_of_many(count, noun, text):
    assert number_of(count, noun) == text


def test_a_set_of_little():
    assert set_in_words(1, 0, 2) == "1 image, 0 boxes of 2 classes"
