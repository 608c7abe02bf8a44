import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import count, islice
from pathlib import Path

import pytest
import torch

from detres.data.loading.pinned_batches import PinnedBatches
from detres.data.loading.worker_pool import Maker, WorkerPool, worker_lane
from detres.errors import DataError, DetresWarning, UserError


class Doing(Maker):
    """A task is (what, value): the worker's process id, or the value after doing what is asked."""

    def begin(self, done):
        self.place = done
        return self.make

    def make(self, task):
        what, value = task
        self.place += 1
        if what == "die once" and not Path(value).exists():
            Path(value).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "leave":
            sys.exit(3)
        if what == "mistake":
            raise DataError(value)
        if what == "bug":
            raise KeyError(value)
        if what == "sleep":
            time.sleep(value)
        return {"pid": os.getpid(), "lane": worker_lane(), "place": self.place}.get(what, value)


def pool(tasks, workers=2):
    return WorkerPool(Doing(), tasks, workers)


def processes_of(parent):
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children]


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone_within(seconds, processes):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(map(is_alive, processes)):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
def test_results_come_in_the_order_of_the_tasks_and_the_workers_end_with_them():
    assert list(pool([("echo", i) for i in range(11)], 3)) == list(range(11))
    assert list(pool([], 2)) == []
    assert not [child for child in multiprocessing.active_children() if child.is_alive()]


def test_endless_tasks_are_asked_for_a_few_ahead():
    asked = []

    def tasks():
        for number in count():
            asked.append(number)
            yield "echo", number

    batches = pool(tasks())
    assert list(islice(batches, 5)) == list(range(5))
    assert len(asked) <= 5 + 2 * 2
    batches.close()
    assert list(batches) == []


def test_each_worker_knows_its_lane():
    assert worker_lane() is None
    assert list(pool([("lane", None)] * 3)) == [(0, 2), (1, 2), (0, 2)]


def test_a_worker_that_was_killed_is_replaced_and_its_batch_read_again(tmp_path):
    tasks = [("die once", tmp_path / "died") if i == 4 else ("echo", i) for i in range(12)]
    with pytest.warns(DetresWarning, match="killed by SIGKILL .out of memory.*; another reads its batches again"):
        assert list(pool(tasks)) == [tmp_path / "died" if i == 4 else i for i in range(12)]


def test_a_worker_that_is_begun_again_knows_how_many_of_its_tasks_are_done(tmp_path):
    tasks = [("die once", tmp_path / "died") if i == 4 else ("place", None) for i in range(8)]
    with pytest.warns(DetresWarning):
        assert list(pool(tasks)) == [1, 1, 2, 2, tmp_path / "died", 3, 4, 4]


def test_a_batch_that_kills_every_worker_ends_in_one_message():
    with (
        pytest.warns(DetresWarning),
        pytest.raises(UserError, match="images was killed by SIGKILL, and so did"),
    ):
        list(pool([("echo", 0), ("die", None)]))


def test_a_mistake_is_raised_in_its_turn_with_its_own_words():
    batches = pool([("echo", 0), ("mistake", "a.tar: this shard cannot be read\n  copy it again"), ("echo", 2)])
    assert next(batches) == 0
    with pytest.raises(DataError) as caught:
        next(batches)
    assert str(caught.value) == "a.tar: this shard cannot be read\n  copy it again"
    assert not hasattr(caught.value, "__notes__")


def test_a_bug_keeps_its_kind_and_the_traceback_of_the_worker():
    with pytest.raises(KeyError) as caught:
        list(pool([("bug", "x")]))
    assert "in make" in caught.value.__notes__[0]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc")
def test_workers_ignore_what_is_sent_to_the_whole_group():
    batches = pool((("pid", None) for _ in count()), 2)
    workers = list(islice(batches, 2))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        for worker in workers:
            os.kill(worker, number)
    assert list(islice(batches, 10)) == workers * 5
    batches.close()
    assert gone_within(1, workers)


PROGRAM = """
import json, os, sys, time
from itertools import count, islice
sys.path.insert(0, {folder!r})
from test_worker_pool import pool
batches = pool((({what!r}, {value!r}) if i > 1 else ("pid", None) for i in count()), 2)
print(json.dumps([next(batches), next(batches)]), flush=True)
{rest}
"""


def start(what, value, rest):
    code = PROGRAM.format(folder=str(Path(__file__).parent), what=what, value=value, rest=rest)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return process, json.loads(process.stdout.readline())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers leave with their next message")
def test_workers_in_the_midst_of_an_image_leave_when_the_main_process_is_killed():
    main, workers = start("sleep", 100, "time.sleep(100)")
    main.kill()
    main.communicate()
    assert gone_within(2, workers)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc")
def test_a_program_that_ends_while_workers_are_busy_ends_at_once_and_takes_them_along():
    main, workers = start("sleep", 100, "raise SystemExit(7)")
    assert main.communicate(timeout=20) == ("", "")
    assert main.returncode == 7
    assert gone_within(1, workers)


def test_where_no_worker_can_be_started_one_message_says_why(monkeypatch):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("socket.socketpair", refuse)
    with pytest.raises(UserError, match=r"data.workers=2: Too many open files; raise the limit \(ulimit -n\)"):
        pool([("echo", 0)])


class Pinnable(Maker):
    def begin(self, done):
        return Batch


class Batch:
    """As a batch is: what pin_memory() returns is told apart."""

    def __init__(self, value, pinned=False):
        self.value, self.pinned = value, pinned
        if value == "mistake":
            raise DataError("bad")
        if value == "slow":
            time.sleep(100)

    def pin_memory(self):
        return Batch(self.value, True)


def test_batches_are_pinned_in_order_and_mistakes_come_in_their_turn():
    batches = PinnedBatches(WorkerPool(Pinnable(), [0, 1, "mistake", 3], 2))
    assert [(batch.value, batch.pinned) for batch in islice(batches, 2)] == [(0, True), (1, True)]
    for _ in range(2):
        with pytest.raises(DataError, match="bad"):
            next(batches)
    assert [batch.value for batch in PinnedBatches(WorkerPool(Pinnable(), range(9), 2))] == list(range(9))


@pytest.mark.slow
def test_pinned_batches_nobody_wants_any_more_do_not_wait_for_a_worker():
    batches = PinnedBatches(WorkerPool(Pinnable(), [0, "slow", 2], 2))
    next(batches)
    began = time.monotonic()
    batches.close()
    assert time.monotonic() - began < 2
    assert not multiprocessing.active_children()


def test_the_generators_of_the_main_process_are_left_alone():
    before = torch.random.get_rng_state()
    list(pool([("echo", 0)]))
    assert torch.equal(before, torch.random.get_rng_state())
