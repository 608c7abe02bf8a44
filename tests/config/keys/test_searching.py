from __future__ import annotations

import pytest

from detres.config.keys.listing import list_keys
from detres.config.keys.searching import find_keys
from detres.errors import ConfigError

KEYS = list_keys()


def found(pattern: str) -> list[str]:
    return [key.name for key in find_keys(KEYS, pattern) if not key.is_group]


def test_a_part_of_a_name_finds_its_keys_and_the_group_they_are_of() -> None:
    assert found("optimizer.lr") == ["optimizer.lr"]
    assert [key.name for key in find_keys(KEYS, "optimizer.lr")] == ["optimizer", "optimizer.lr"]
    assert {"model.anchors.sizes", "model.anchors.ratios"} <= set(found("anchors"))


def test_a_part_of_a_meaning_finds_the_key_whatever_its_case() -> None:
    assert "schedule.warmup_error" in found("WARM")
    assert "data.exif" in found("orientation says")


def test_a_pattern_is_of_the_whole_name() -> None:
    assert found("*.lr") == ["optimizer.lr"]
    assert found("training.b?tch") == ["training.batch"]
    assert all(name.startswith("model.rpn.box_loss.") for name in found("model.rpn.box_loss.*"))


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("moomentum", "optimizer.momentum"),
        ("optimiser.lr", "optimizer.lr"),
        ("qqqq", "`detres keys` lists them all"),
        ("*.lrr", "lists them all"),
        ("  ", "lists them all"),
    ],
)
def test_what_no_key_has_ends_in_a_message_with_the_nearest(pattern: str, near: str) -> None:
    with pytest.raises(ConfigError, match="no key has this in its name or its meaning") as refusal:
        find_keys(KEYS, pattern)
    assert near in str(refusal.value)
