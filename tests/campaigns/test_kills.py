"""The short form of kills.py, and the whole of it: DETRES_CAMPAIGN_MINUTES=60 pytest tests/campaigns -s.

DETRES_CAMPAIGN_SEED repeats one; every run prints its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

KILLS = ("-m", "tests.campaigns.kills")
MINUTES = os.environ.get("DETRES_CAMPAIGN_MINUTES")
SEED = ("--seed", os.environ["DETRES_CAMPAIGN_SEED"]) if "DETRES_CAMPAIGN_SEED" in os.environ else ()

Python = Callable[..., CompletedProcess[str]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kinds", "kills"),
    [(("toy", "toy+ema"), "16"), (("detection+ema", "classification+ema"), "4")],
    ids=["toys", "tasks"],
)
def test_runs_that_are_killed_end_as_those_that_were_not(
    run_python: Python, tmp_path: Path, kinds: tuple[str, ...], kills: str
) -> None:
    """A sample of the operations of a save."""
    options = ("--kinds", *kinds, "--kills", kills, "--minutes", "3", "--folder", tmp_path / "runs")
    ended = run_python(*KILLS, *options, *(SEED or ("--seed", "1")))
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ", 0 runs lost" in ended.stdout


@pytest.mark.slow
def test_a_run_of_two_saves_may_be_killed_at_each_of_its_file_operations(run_python: Python, tmp_path: Path) -> None:
    ended = run_python("-m", "tests.campaigns.all_operations", tmp_path / "runs")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counts = re.findall(r"(\d+) file operations, 0 runs lost", ended.stdout)
    assert len(counts) == 2, ended.stdout
    assert min(map(int, counts)) > 50, "the operations were not heard of"


@pytest.mark.slow
@pytest.mark.skipif(MINUTES is None, reason="DETRES_CAMPAIGN_MINUTES says for how long")
def test_the_campaign(run_python: Python, tmp_path: Path) -> None:
    timeout = 60 * float(MINUTES or 0) + 600
    ended = run_python(*KILLS, "--minutes", MINUTES, "--folder", tmp_path / "runs", *SEED, timeout=timeout)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
