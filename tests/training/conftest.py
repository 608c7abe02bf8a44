import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TOY = Path(__file__).with_name("toy_run.py")


@pytest.fixture(scope="session")
def toy():
    """The module toy_run.py."""
    spec = importlib.util.spec_from_file_location("toy_run", TOY)
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy_run"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def one_thread():
    """Sums in the order that the toy program's one thread adds them in."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run_toy():
    """Run toy_run.py in processes of its own; returns their exit statuses and outputs."""

    def run(processes: int = 1, **arguments) -> list[tuple[int, str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        root = str(Path(__file__).parents[2])
        shared = os.environ | {"PYTHONPATH": root, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [sys.executable, str(TOY), json.dumps(arguments | {"run": str(arguments["run"])})]
        started = [
            subprocess.Popen(
                command,
                env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(processes)
        ]
        outputs = [process.communicate(timeout=300)[0] for process in started]
        return [(process.returncode, output) for process, output in zip(started, outputs, strict=True)]

    return run
