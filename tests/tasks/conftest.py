from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def start_ranks() -> Callable[..., list[str]]:
    """Run a program of this folder on so many ranks, by the environment that torchrun makes; what each printed."""

    def start(processes: int, program: str, *arguments: str | Path) -> list[str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
        shared |= {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        started = [
            subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name(program)), *map(str, arguments)],
                env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(processes)
        ]
        outputs = [process.communicate(timeout=300)[0] for process in started]
        assert [process.returncode for process in started] == [0] * processes, "\n".join(outputs)
        return outputs

    return start


@pytest.fixture
def long_test(tiny: Any, tmp_path: Path) -> list[str]:
    """Overrides that let an evaluation take minutes: every picture is a thousand images."""
    coco = json.loads((tiny.root / "coco" / "test.json").read_text())
    coco["images"] = [image | {"id": 1000 * image["id"] + n} for image in coco["images"] for n in range(1000)]
    for annotation in coco["annotations"]:
        annotation["image_id"] *= 1000
    listed = tmp_path / "long.json"
    listed.write_text(json.dumps(coco))
    return ["data.format=coco", "data.train=[coco/train.json:JPEGImages]", f"data.test=[{listed}:JPEGImages]"]
