"""A checksum covers every byte, name, shape and text, whatever order they are read in."""

import pytest
import torch

from detres.files.checksums import is_as_written, with_checksum

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor(3, dtype=torch.int64),
    "c": torch.ones(4, dtype=torch.bfloat16),
    "d": torch.zeros(0, 5),
    "e": torch.tensor([True, False]),
}


def test_what_was_written_is_known_again_in_any_order():
    metadata = with_checksum(TENSORS, {"x": "1", "y": "2"})
    assert metadata.keys() == {"x", "y", "checksum"}
    assert is_as_written(dict(reversed(TENSORS.items())), dict(reversed(metadata.items())))
    assert with_checksum(TENSORS, metadata) == metadata, "a checksum is no part of itself"


@pytest.mark.parametrize(
    "change",
    [
        {"a": torch.arange(6.0).reshape(3, 2)},
        {"a": torch.zeros(2, 3)},
        {"b": torch.tensor(4)},
        {"c": torch.ones(4, dtype=torch.float16)},
        {"e": torch.tensor([True, True])},
        {"f": torch.zeros(0)},
    ],
)
def test_any_change_is_noticed(change):
    assert is_as_written(TENSORS | change, with_checksum(TENSORS, {})) is False


def test_a_lost_tensor_and_a_changed_text_are_noticed():
    metadata = with_checksum(TENSORS, {"x": "1"})
    assert is_as_written({k: v for k, v in TENSORS.items() if k != "d"}, metadata) is False
    assert is_as_written(TENSORS, metadata | {"x": "2"}) is False


@pytest.mark.parametrize("garbage", ["null", "[[[", "", "0", "crc32", "crc32:", "{}", "\0\0\0\0"])
def test_what_is_no_checksum_was_damaged(garbage):
    assert is_as_written(TENSORS, {"checksum": garbage}) is False


@pytest.mark.parametrize(
    "metadata",
    [{}, {"x": "1"}, {"checksum": "sha256:00"}, {"checksum": "0" * 32}, {"checksum": "sha256-ab3/+Q=="}],
)
def test_where_none_is_stated_nothing_is_claimed(metadata):
    assert is_as_written(TENSORS, metadata) is None
