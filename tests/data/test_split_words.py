"""Which split a name is of."""

import pytest

from detres.data.split_words import split_of, splits_among


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("instances_train2017", "train"),
        ("my-valid_images", "val"),
        ("dev", "val"),
        ("image_info_test-dev2017", "test"),
        ("testing", "test"),
        ("trainval", None),
        ("train_val", None),
        ("contest", None),
        ("", None),
    ],
)
def test_a_word_of_the_name_tells_unless_two_do(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_the_word_itself_comes_before_names_that_have_it_and_of_several_none_is_meant() -> None:
    assert splits_among(["train", "train_old", "valid", "Test"]) == {"train": "train", "val": "valid", "test": "Test"}
    assert splits_among(["train_a", "train_b", "val_a"]) == {"val": "val_a"}
    assert splits_among([]) == {}
