"""A logger is one class and one line: a run tells it what it measures, and again when it goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import detres
from detres.errors import ConfigError
from detres.tables import LOGGERS
from detres.training.logging.logger import RunStart


@pytest.fixture(autouse=True)
def markdown(contribute: Any) -> None:
    contribute("markdown_log", "markdown", LOGGERS)


def test_a_line_is_an_evaluation_and_what_is_done_again_is_cut_off(tmp_path: Path) -> None:
    log = LOGGERS["markdown"]()
    log.start(RunStart(tmp_path))
    log.metrics("train", 10, {"loss": 1.0})
    log.metrics("eval", 10, {"AP": 0.25, "per_class": {"disc": {}}, "AR1": 0.5})
    log.metrics("eval", 20, {"AP": None, "AR1": 0.75})
    log.finish()
    head = "| step | AP | AR1 |\n| ---: | ---: | ---: |\n| 10 | 0.2500 | 0.5000 |\n"
    assert (tmp_path / "metrics.md").read_text() == f"{head}| 20 |  | 0.7500 |\n"
    again = LOGGERS["markdown"]()
    again.start(RunStart(tmp_path, step=15, evaluated=10))
    assert (tmp_path / "metrics.md").read_text() == head
    again.metrics("eval", 20, {"AR1": 1.0, "AP": 0.5})
    assert (tmp_path / "metrics.md").read_text() == f"{head}| 20 | 0.5000 | 1.0000 |\n"


def test_it_is_among_the_names_of_a_config(tiny_classes: Any) -> None:
    with pytest.raises(ConfigError, match=r"mlflow, markdown, or module:callable; did you mean markdown\?"):
        detres.load_config(tiny_classes.cfg, ["training.logs=[markdwon]"])


@pytest.mark.slow
def test_a_run_writes_it_beside_the_lines_it_always_writes(tiny_classes: Any, run_folder: Path, tmp_path: Path) -> None:
    keys = ["training.logs=[markdown]", "training.eval_every=2", "training.steps=4", "training.keep_every=2"]
    config = detres.load_config(tiny_classes.cfg, keys)
    detres.train(config, out=run_folder, device="cpu")
    table = (run_folder / "metrics.md").read_text()
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    rows = table.splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| 2", "| 4"]
    for row, line in zip(rows, (line for line in lines if line["kind"] == "eval"), strict=True):
        assert f"{line['top1_error']:.4f}" in row
    cut = tmp_path / "cut"
    shutil.copytree(run_folder / "checkpoints" / "step_00000002", cut / "checkpoints" / "last")
    shutil.copy(run_folder / "metrics.md", cut)
    detres.train(config, out=cut, resume=True, device="cpu")
    assert (cut / "metrics.md").read_text() == table
