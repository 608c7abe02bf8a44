"""A plugin of pytest that runs the tests of tests/gpu on the pretended device: `pytest -p tests.pretended_gpu.plugin`.

In a process that building.py's environment has a stub of CUDA's runtime loaded for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.pretended_gpu.device import RECORD, Pretended, pretend

pretend()


@contextmanager
def pretended() -> Iterator[None]:
    """Within it "cuda" is the pretended device, and no operator may mix it with the host."""
    RECORD.clear()
    with Pretended():
        yield
    assert not RECORD.mixed, f"mixed devices: {dict(RECORD.mixed)}"


@contextmanager
def waits_at_most(most: int) -> Iterator[None]:
    RECORD.waits.clear()
    yield
    assert RECORD.waits.total() <= most, dict(RECORD.waits)
