"""The short forms of the campaigns, and the whole of them: DETRES_CAMPAIGN_MINUTES=60 pytest tests/campaigns -s.

DETRES_CAMPAIGN_SEED repeats one; every run prints its own. The short forms always try the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from subprocess import CompletedProcess

import pytest

from tests.campaigns import sets, texts, weights
from tests.campaigns.watched import Campaign

# Inputs of each of a module's campaigns in the short form.
SHORT = {sets: 300, texts: 60, weights: 30}
MINUTES = os.environ.get("DETRES_CAMPAIGN_MINUTES")
SEED = os.environ.get("DETRES_CAMPAIGN_SEED")

Python = Callable[..., CompletedProcess[str]]


@pytest.mark.slow
@pytest.mark.parametrize("module", SHORT, ids=lambda module: module.__name__.rpartition(".")[2])
def test_what_nobody_should_have_written_ends_in_results_or_messages(run_python: Python, module) -> None:
    ended = run_python("-m", module.__name__, "--inputs", str(SHORT[module]), "--seed", SEED or "1")
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count(f" {SHORT[module]} inputs") == len(module.CAMPAIGNS)


@pytest.mark.slow
@pytest.mark.skipif(MINUTES is None, reason="DETRES_CAMPAIGN_MINUTES says for how long")
@pytest.mark.parametrize("module", SHORT, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_campaign(run_python: Python, module) -> None:
    minutes, seed = float(MINUTES or 0), SEED or str(int(time.time()))
    ended = run_python("-m", module.__name__, "--minutes", str(minutes), "--seed", seed, timeout=60 * minutes + 600)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "campaign", [*texts.CAMPAIGNS, *weights.CAMPAIGNS, *sets.CAMPAIGNS], ids=lambda campaign: campaign.name
)
def test_an_input_is_the_same_whenever_it_is_made(campaign: Campaign, tmp_path: Path) -> None:
    def made(name: str, seed: int) -> dict[str, bytes]:
        folder = tmp_path / name
        folder.mkdir()
        campaign.write(Random(seed), folder)
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    assert made("one", 5) == made("again", 5)
    assert len({str(made(f"other {seed}", seed)) for seed in range(20)}) > 1


@pytest.mark.slow
def test_a_fault_is_found_and_named(run_python: Python, tmp_path: Path) -> None:
    """A campaign whose reader fails in every way there is: none of them may pass."""
    faulty = tmp_path / "faulty.py"
    faulty.write_text(_FAULTY, encoding="utf-8")
    ended = run_python(faulty, "--inputs", "8", "--seed", "1")
    assert ended.returncode == 1, ended.stderr
    for number, said in enumerate(
        ("ZeroDivisionError", "took over", "process died (-11)", "MiB for", "os.system", "opened", "a message of 0", "")
    ):
        told = ended.stdout.partition(f"--number {number}:")[2].partition("--only")[0]
        assert bool(told) == bool(said), ended.stdout
        assert said in told


_FAULTY = """
import os, sys
from tests.campaigns.watched import Campaign, main
from detres.errors import UserError

def write(rng, folder):
    count = folder.parent / "count"
    number = int(count.read_text()) + 1 if count.is_file() else 0
    count.write_text(str(number))
    (folder / "number").write_text(str(number))

def read(folder):
    number = int((folder / "number").read_text())
    if number == 0:
        1 / 0
    if number == 1:
        while True:
            pass
    if number == 2:
        os.kill(os.getpid(), 11)
    if number == 3:
        return len(bytearray(400 << 20))
    if number == 4:
        os.system("true")
    if number == 5:
        open("/tmp/outside_of_the_case.txt", "w").close()
    if number == 6:
        raise UserError("")

if __name__ == "__main__":
    raise SystemExit(main([Campaign("faulty", write, read, seconds=1.0)]))
"""
