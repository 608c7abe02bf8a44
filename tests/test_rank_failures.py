"""One rank of several fails; what it and the others print, and how soon they end."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, time, torch
import detres.commands.configs as configs
from detres.commands.main import main
from detres.distributed import barrier, process_group, rank
from detres.errors import DataError
bad, how, others = int(sys.argv[1]), sys.argv[2], sys.argv[3]

def work(arguments):
    with process_group(torch.device("cpu")):
        barrier()
        if rank() == bad:
            print("failing", flush=True)
            if how == "dies": os.kill(os.getpid(), signal.SIGKILL)
            if how == "mistake": raise DataError("a.jpg: bad")
            if how == "bug": raise KeyError("a bug")
            if how == "stopped": os.kill(os.getpid(), signal.SIGTERM)
        if how == "all mistaken": raise DataError("the same on all")
        if others == "compute": time.sleep(60)
        barrier()

configs.run = work
sys.exit(main(["configs"]))
"""


def run_ranks(bad, how, others, ranks=3):
    """Each rank's exit status and what it wrote to stderr, and the seconds from the failure to the last one's end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    shared |= {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(bad), how, others],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    assert bad < 0 or started[bad].stdout.readline() == "failing\n"
    began = time.monotonic()
    told = [process.communicate(timeout=60)[1] for process in started]
    return [process.returncode for process in started], told, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("others", ["wait", "compute"])
@pytest.mark.parametrize("bad", [0, 1])
def test_the_mistake_of_one_rank_ends_all_and_is_said_once(bad, others):
    statuses, told, seconds = run_ranks(bad, "mistake", others)
    assert statuses == [2, 2, 2]
    assert told == ["DataError: a.jpg: bad\n" if rank == bad else "" for rank in range(3)]
    assert seconds < 30


@pytest.mark.slow
@pytest.mark.parametrize("others", ["wait", "compute"])
@pytest.mark.parametrize("bad", [0, 1])
def test_a_rank_that_is_killed_ends_all_and_another_says_which(bad, others):
    statuses, told, seconds = run_ranks(bad, "dies", others)
    assert sorted(statuses) == [-signal.SIGKILL, 2, 2]
    teller = 0 if bad else 1
    assert told[teller].startswith(f"UserError: rank {bad} ended without a word (killed")
    assert told[teller].count("\n") == 1
    assert [told[rank] for rank in range(3) if rank != teller] == ["", ""]
    assert seconds < 30


@pytest.mark.slow
def test_a_bug_keeps_the_traceback_of_its_own_rank_alone():
    statuses, told, _ = run_ranks(1, "bug", "wait")
    assert statuses == [1, 1, 1]
    assert "KeyError: 'a bug'" in told[1]
    assert (told[0], told[2]) == ("", "")


@pytest.mark.slow
def test_a_mistake_that_all_ranks_see_is_said_once():
    statuses, told, _ = run_ranks(-1, "all mistaken", "wait")
    assert statuses == [2, 2, 2]
    assert "".join(told) == "DataError: the same on all\n"


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all():
    statuses, told, _ = run_ranks(1, "stopped", "wait")
    assert statuses == [130, 130, 130]
    assert told == ["", "interrupted by SIGTERM\n", ""]
