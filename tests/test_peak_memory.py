from __future__ import annotations

import numpy as np
import pytest
import torch

from detres import peak_memory


@pytest.mark.slow
def test_the_mark_rises_with_what_is_held():
    before = peak_memory.high_water_mark()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones(int(before + 64) * 2**17)  # of 8 bytes
    assert peak_memory.high_water_mark() >= held.nbytes / 2**20
    assert peak_memory.peak_memory() == pytest.approx(peak_memory.high_water_mark() / 1024, rel=0.1)


def test_on_a_gpu_it_is_what_the_gpu_holds(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 5 * 2**30 + 2**28)
    assert peak_memory.on_gpu()
    assert peak_memory.peak_memory() == 5.25


def test_where_nobody_knows_nothing_is_said(monkeypatch):
    monkeypatch.setattr(peak_memory, "high_water_mark", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert peak_memory.peak_memory() is None
