import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from detres import distributed

PROGRAM = """
import json, torch
from detres.distributed import *
with process_group(torch.device("cpu")):
    value = torch.tensor([rank() + 1.0, -rank()])
    results = {
        "place": [rank(), world_size(), is_main()],
        "sum": sum_over_ranks(value).tolist(),
        "min": min_over_ranks(value).tolist(),
        "max": max_over_ranks(value).tolist(),
        "kept": value.tolist(),
        "gathered": gather_to_main({"rank": rank()}),
        "told": broadcast_from_main("from 0" if is_main() else None),
    }
    barrier()
print(json.dumps(results))
print(json.dumps(torch.distributed.is_initialized()))
"""


@pytest.fixture(scope="module")
def two_ranks():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    shared["PYTHONPATH"] = str(Path(__file__).parents[1])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    return [[json.loads(line) for line in p.communicate(timeout=120)[0].splitlines()] for p in processes]


@pytest.mark.slow
def test_ranks_agree_on_sums_and_extremes(two_ranks):
    for place, (result, _) in enumerate(two_ranks):
        assert result["place"] == [place, 2, place == 0]
        assert result["sum"] == [3.0, -1.0]
        assert result["min"] == [1.0, -1.0]
        assert result["max"] == [2.0, 0.0]
        assert result["kept"] == [place + 1.0, -place]


@pytest.mark.slow
def test_the_main_rank_gathers_and_tells(two_ranks):
    assert [result["gathered"] for result, _ in two_ranks] == [[{"rank": 0}, {"rank": 1}], None]
    assert [result["told"] for result, _ in two_ranks] == ["from 0", "from 0"]


@pytest.mark.slow
def test_the_group_is_left_at_the_end(two_ranks):
    assert [still_there for _, still_there in two_ranks] == [False, False]


def test_one_process_needs_no_group():
    value = torch.tensor([1.0, 2.0])
    with distributed.process_group(torch.device("cpu")):
        assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
        for collective in (distributed.sum_over_ranks, distributed.min_over_ranks, distributed.max_over_ranks):
            assert torch.equal(collective(value), value)
        assert distributed.gather_to_main("x") == ["x"]
        assert distributed.broadcast_from_main("x") == "x"
        distributed.barrier()


def test_a_device_that_is_named_is_taken():
    assert distributed.local_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_without_a_name_each_rank_takes_its_own_accelerator(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert distributed.local_device() == torch.device("cuda", 0)


def test_a_device_of_no_kind_is_told_with_those_there_are():
    with pytest.raises(
        distributed.ConfigError, match=r"--device gpu: not to be had here \(no kind of device is called so\); there"
    ):
        distributed.local_device("gpu")
