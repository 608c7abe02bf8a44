"""The peak of a process of its own, whatever this one holds."""

import sys
from functools import partial

import numpy as np
import pytest

from detres.benchmarks.memory import peak_of_process
from detres.peak_memory import forget_high_water_mark, high_water_mark

MIB = 2**20


@pytest.mark.slow
def test_a_call_that_holds_more_has_a_higher_peak() -> None:
    # partial(np.ones, n) is the call; the function that makes it must be known to the other process.
    little, much = (peak_of_process(partial(partial, np.ones, n * MIB // 8), 1) for n in (1, 200))
    assert 150 < much - little < 250


@pytest.mark.slow
def test_what_the_parent_held_does_not_count() -> None:
    held = np.ones(400 * MIB // 8)
    assert high_water_mark() > peak_of_process(partial(partial, np.ones, len(held) // 100), 1) + 100


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets")
def test_what_was_held_before_can_be_forgotten() -> None:
    held = np.ones(300 * MIB // 8)
    before = high_water_mark()
    del held
    forget_high_water_mark()
    assert high_water_mark() < before - 200
