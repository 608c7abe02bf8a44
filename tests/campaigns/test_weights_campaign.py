"""The short form of the campaign on weights files; the long one is `python -m tests.campaigns.weights_campaign`."""

from __future__ import annotations

import sys

import pytest

from tests.campaigns.hostile_weights import MAKERS, made
from tests.campaigns.weights_campaign import campaign


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_is_the_same_wherever_it_is_made(kind: str) -> None:
    assert made(kind, 5) == made(kind, 5)
    assert len({made(kind, seed) for seed in range(20)}) > 1


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory as Linux sets them")
def test_hostile_weights_end_in_a_result_or_a_told_error() -> None:
    seed = 1
    print(f"seed {seed}")
    outcome = campaign(240, seed)
    assert outcome.failures == []
    assert outcome.read == 240
