"""Two ranks learn together what one learns: on one card by gloo, on two by nccl.

On the pretended device they do not: what ranks exchange lies in the memory of a card.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from detres.commands.main import main

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
# Norms with fixed statistics: others see half of the images on each rank, and are not the same.
STEPS = ("model.backbone.norm=frozen", "training.steps=2", "optimizer.lr=1e-4")


@pytest.mark.parametrize("backend", ["gloo", "own"])
def test_two_ranks_learn_what_one_learns(backend: str, tiny: Any, real_device: torch.device, tmp_path: Path) -> None:
    if backend == "own" and torch.cuda.device_count() < 2:
        pytest.skip("nccl takes a card for each rank, and there is one")
    alone, together = tmp_path / "alone", tmp_path / "together"
    train = ("train_det", "--cfg", str(tiny.cfg), *STEPS)
    assert main([*train, "--out", str(alone), "--device", str(real_device)]) == 0
    share = ("--device", str(real_device)) if backend == "gloo" else ()
    run_ranks(backend, *train, "--out", str(together), *share)
    one, two = (lines_of(run) for run in (alone, together))
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-3)
    assert [line["kind"] for line in one] == [line["kind"] for line in two]


def run_ranks(backend: str, *command: str) -> None:
    """Two ranks to their end, both of which have to do well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    shared |= {"PYTHONPATH": str(ROOT)}
    program = [sys.executable, str(Path(__file__).with_name("rank.py")), backend, *command]
    ranks = [
        subprocess.Popen(
            program,
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        told = [rank.communicate(timeout=180)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(told)[-4000:]


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
