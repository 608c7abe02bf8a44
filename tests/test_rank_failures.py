"""One rank of several fails; what it and the others print, and how soon they end."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch.distributed as dist

from detres.errors import DataError
from detres.rank_failures import EndedElsewhere, failures_told_once

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ran(run_python):
    """What became of three ranks in each scenario: which is bad, how it fails, what the others do meanwhile."""
    done = run_python(Path(__file__).with_name("failing_ranks.py"), timeout=600)
    assert done.returncode == 0, done.stderr
    results = map(json.loads, done.stdout.splitlines())
    return {tuple(result["scenario"]): result for result in results}


@pytest.mark.parametrize("others", ["wait", "compute"])
@pytest.mark.parametrize("bad", [0, 1])
def test_the_mistake_of_one_rank_ends_all_and_is_said_once(ran, bad, others):
    result = ran[bad, "mistake", others]
    assert result["statuses"] == [2, 2, 2]
    assert result["told"] == ["DataError: a.jpg: bad\n" if rank == bad else "" for rank in range(3)]
    assert result["seconds"] < 30


@pytest.mark.parametrize("others", ["wait", "compute"])
@pytest.mark.parametrize("bad", [0, 1])
def test_a_rank_that_is_killed_ends_all_and_another_says_which(ran, bad, others):
    result = ran[bad, "dies", others]
    assert sorted(result["statuses"]) == [-signal.SIGKILL, 2, 2]
    teller = 0 if bad else 1
    told = result["told"]
    assert told[teller].startswith(f"UserError: rank {bad} ended without a word (killed")
    assert told[teller].count("\n") == 1
    assert [told[rank] for rank in range(3) if rank != teller] == ["", ""]
    assert result["seconds"] < 30


def test_a_bug_keeps_the_traceback_of_its_own_rank_alone(ran):
    result = ran[1, "bug", "wait"]
    assert result["statuses"] == [1, 1, 1]
    assert "KeyError: 'a bug'" in result["told"][1]
    assert (result["told"][0], result["told"][2]) == ("", "")


def test_a_mistake_that_all_ranks_see_is_said_once(ran):
    result = ran[-1, "all mistaken", "wait"]
    assert result["statuses"] == [2, 2, 2]
    assert "".join(result["told"]) == "DataError: the same on all\n"


def test_a_signal_to_one_rank_stops_all(ran):
    result = ran[1, "stopped", "wait"]
    assert result["statuses"] == [130, 130, 130]
    assert result["told"] == ["", "interrupted by SIGTERM\n", ""]


class ClosedStore:
    """A store of which nothing more is learnt once the rank that keeps it has gone."""

    def __init__(self, store: dist.Store) -> None:
        self._store = store

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def check(self, keys: list[str]) -> bool:
        raise RuntimeError("Broken pipe")

    def compare_set(self, *arguments: str) -> bytes:
        raise RuntimeError("Broken pipe")


def test_the_main_ranks_mistake_is_known_where_its_store_went_with_it(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    store = dist.HashStore()

    def mistaken() -> None:
        with failures_told_once(store, 0, 2):
            raise DataError("a.jpg: bad")

    def waiting() -> None:
        with failures_told_once(ClosedStore(store), 1, 2):
            raise RuntimeError("gloo: Connection closed by peer")

    with ThreadPoolExecutor(2) as pool:
        main, other = pool.submit(mistaken), pool.submit(waiting)
        assert isinstance(main.exception(timeout=30), DataError)
        ended = other.exception(timeout=30)
    assert isinstance(ended, EndedElsewhere)
    assert ended.exit_status == 2
