"""The campaign of hostile text in short; hostile_text.py itself runs for as long as one likes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("hostile_text.py")


def test_three_hundred_hostile_inputs_end_in_results_or_messages(run_python: Callable) -> None:
    done = run_python(CAMPAIGN, "--count", "300", "--seed", "0")
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout.splitlines()[-1])
    assert counted["inputs"] == 300


@pytest.mark.slow
def test_minutes_of_hostile_inputs_end_in_results_or_messages(run_python: Callable) -> None:
    minutes = os.environ.get("DETRES_CAMPAIGN_MINUTES", "1")
    seed = os.environ.get("DETRES_CAMPAIGN_SEED", str(int.from_bytes(os.urandom(4))))
    done = run_python(CAMPAIGN, "--minutes", minutes, "--seed", seed, timeout=60 * float(minutes) + 300)
    assert done.returncode == 0, done.stdout + done.stderr
