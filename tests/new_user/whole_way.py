"""From labelled photos to objects found on a new one, by the installed wheel alone, each command in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import built_wheel


@dataclass
class Stage:
    """minutes: that it took. told: what it printed."""

    command: str
    minutes: float
    told: str


@dataclass
class WholeWay:
    """What became of a new user's run, in `folder`, which was empty. installed_at: where the commands came from.

    metrics: of eval_det.
    """

    folder: Path
    installed_at: str
    stages: list[Stage] = field(default_factory=list)

    @property
    def metrics(self) -> Mapping[str, Any]:
        (file,) = self.folder.glob("evaluated/metrics.json")
        return json.loads(file.read_text())

    @property
    def objectness(self) -> list[float]:
        """The loss of it, through the training."""
        lines = (self.folder / "run" / "metrics.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        return [entry["loss_rpn_objectness"] for entry in entries if entry["kind"] == "train"]

    @property
    def predictions(self) -> list[Mapping[str, Any]]:
        lines = (self.folder / "found" / "predictions.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def install(folder: Path) -> Path:
    """Build detres and install it below a folder; returns what PYTHONPATH has to be."""
    source, built, site = (folder / name for name in ("source", "built", "site"))
    source.mkdir(parents=True)
    built_wheel.build(source, built)
    (wheel,) = built.glob("detres-*.whl")
    built_wheel.install(wheel, site)
    return site


def go(
    site: Path, folder: Path, data: Path, new: Path, options: Sequence[str] = (), *, stop_after: float = 3600.0
) -> WholeWay:
    """Train on `data`, measure, and look at the photo `new`. options: of the training, beside --data.

    stop_after: seconds that a command may take.
    """
    environment = os.environ | {"PYTHONPATH": str(site)}
    where = [sys.executable, "-c", "import detres; print(detres.__file__)"]
    at = subprocess.run(where, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    way = WholeWay(folder, at.stdout.strip())

    def run(*words: str | Path) -> None:
        begin = time.perf_counter()
        command = [sys.executable, "-m", "detres", *map(str, words)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=stop_after, check=False
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr
        way.stages.append(Stage(str(words[0]), (time.perf_counter() - begin) / 60, done.stdout))

    run("check_data", "--data", data)
    run("train_det", "--data", data, "--out", "run", *options)
    run("eval_det", "--weights", "run", "--split", "val", "--report", "--out", "evaluated")
    run("predict", "--weights", "run", new, "--out", "found")
    return way
