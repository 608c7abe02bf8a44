"""Ranks of which one fails, for test_rank_failures.py: python failing_ranks.py, which prints a JSON line a scenario.

One process imports torch and forks the ranks of all scenarios.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import torch

import detres.commands.configs as configs
from detres.commands.main import main
from detres.distributed import barrier, process_group, rank
from detres.errors import DataError

RANKS = 3
SCENARIOS = [
    *itertools.product((0, 1), ("mistake", "dies"), ("wait", "compute")),
    (1, "bug", "wait"),
    (1, "stopped", "wait"),
    (-1, "all mistaken", "wait"),
]


def work(bad: int, how: str, others: str, failed: Path) -> None:
    with process_group(torch.device("cpu")):
        barrier()
        if rank() == bad:
            failed.write_text(str(time.time()))
            match how:
                case "dies":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "mistake":
                    raise DataError("a.jpg: bad")
                case "bug":
                    raise KeyError("a bug")
                case "stopped":
                    os.kill(os.getpid(), signal.SIGTERM)
        if how == "all mistaken":
            raise DataError("the same on all")
        if others == "compute":
            time.sleep(300)
        barrier()


def fork_rank(number: int, folder: Path, *scenario: object) -> int:
    process = os.fork()
    if process:
        return process
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(number)
    errors = os.open(folder / str(number), os.O_WRONLY | os.O_CREAT)
    os.dup2(errors, 2)
    configs.run = lambda arguments: work(*scenario, folder / "failed")
    try:
        main(["configs"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    os._exit(1)


def run(bad: int, how: str, others: str) -> dict[str, object]:
    folder = Path(tempfile.mkdtemp())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(RANKS))
    processes = [fork_rank(number, folder, bad, how, others) for number in range(RANKS)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    failed = folder / "failed"
    seconds = time.time() - float(failed.read_text()) if failed.exists() else 0.0
    told = [(folder / str(number)).read_text() for number in range(RANKS)]
    return {"scenario": [bad, how, others], "statuses": statuses, "told": told, "seconds": seconds}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for scenario in SCENARIOS:
        print(json.dumps(run(*scenario)), flush=True)
