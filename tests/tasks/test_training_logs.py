"""A small training tells of itself to whom its config and its caller name."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from detres.config.loading import load_config
from detres.errors import ConfigError, DetresWarning
from detres.reporter import Reporter
from detres.tasks.dry_run import dry_run
from detres.tasks.training import train

OWN = """
calls = []

class Mine:
    def start(self, run):
        calls.append(("start", run.step, run.config["training"]["logs"]))

    def metrics(self, kind, step, values):
        calls.append((kind, step))

    def finish(self):
        calls.append(("finish",))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module my_loggers, which is not detres's."""
    (tmp_path / "my_loggers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_loggers", raising=False)
    import my_loggers

    return my_loggers


def steps_of(run: Path) -> list[tuple[str, int]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(line["kind"], line["step"]) for line in lines if line["kind"] != "event"]


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_by_default_leaves_what_it_always_left(trained_classifier: Path) -> None:
    left = {path.name for path in trained_classifier.iterdir()}
    assert {"metrics.jsonl", "log.txt", "tensorboard"} <= left
    assert "metrics.csv" not in left


@pytest.mark.slow
def test_ones_own_logger_is_called_in_order_and_again_when_the_run_goes_on(
    tiny_classes: Any, run_folder: Path, own: Any
) -> None:
    said: list[str] = []
    logs = ["training.logs=[csv, 'my_loggers:Mine']", "training.eval_every=2"]
    train(load_config(tiny_classes.cfg, logs), run_folder, device="cpu", reporter=Reporter(said.append))
    named = ["csv", "my_loggers:Mine"]
    told = [("train", 1), ("train", 2), ("eval", 2), ("train", 3), ("eval", 3)]
    assert own.calls == [("start", 0, named), *told, ("finish",)]
    assert steps_of(run_folder) == told
    assert [(row["kind"], int(row["step"])) for row in rows_of(run_folder)] == told
    assert not (run_folder / "tensorboard").exists()
    assert sum("metrics.jsonl is written all the same" in line for line in said) == 1

    own.calls.clear()
    more = [*logs, "training.steps=4"]
    train(load_config(tiny_classes.cfg, more), run_folder, device="cpu", resume=True)
    assert own.calls == [("start", 3, named), ("event", 3), ("train", 4), ("eval", 4), ("finish",)]
    assert [(row["kind"], int(row["step"])) for row in rows_of(run_folder)] == [*told, ("train", 4), ("eval", 4)]
    losses = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert [float(row["loss"]) for row in rows_of(run_folder) if row["loss"]] == [
        line["loss"] for line in losses if line["kind"] == "train"
    ]


def test_a_run_may_go_on_with_other_loggers(tiny_classes: Any, run_folder: Path, own: Any) -> None:
    train(load_config(tiny_classes.cfg), run_folder, device="cpu")
    other = load_config(tiny_classes.cfg, ["training.logs=my_loggers:Mine", "training.steps=4"])
    train(other, run_folder, device="cpu", resume=True)
    assert own.calls[0] == ("start", 3, ["my_loggers:Mine"])
    assert [step for kind, step in steps_of(run_folder) if kind == "train"] == [1, 2, 3, 4]


def test_a_caller_gives_loggers_besides_and_one_that_fails_ends_nothing(
    tiny_classes: Any, run_folder: Path, own: Any
) -> None:
    class Failing(own.Mine):
        def metrics(self, kind: str, step: int, values: Any) -> None:
            super().metrics(kind, step, values)
            raise ConnectionError("the service is gone")

    config = load_config(tiny_classes.cfg)
    with pytest.warns(DetresWarning, match="the logger Failing failed in metrics: ConnectionError: the serv"):
        train(config, run_folder, device="cpu", logs=[Failing()])
    assert own.calls == [("start", 0, ["json", "tensorboard"]), ("train", 1)]
    assert len(steps_of(run_folder)) == 4
    assert (run_folder / "tensorboard").is_dir()


def test_a_name_that_no_logger_has_is_told_with_the_nearest(tiny_classes: Any) -> None:
    said = r"training.logs.1: got 'tensorbord', expected one of json, .*, mlflow, .*; did you mean tensorboard\?"
    with pytest.raises(ConfigError, match=said):
        load_config(tiny_classes.cfg, ["training.logs=[csv, tensorbord]"])


@pytest.mark.parametrize("names", ["wandb", "['no_such_module:X']"])
def test_what_cannot_be_made_is_refused_before_anything_else(
    tiny_classes: Any, run_folder: Path, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    config = load_config(tiny_classes.cfg, [f"training.logs={names}"])
    for begin in (lambda: train(config, run_folder, device="cpu"), lambda: dry_run(config, device="cpu")):
        with pytest.raises(ConfigError, match=r"training.logs: "):
            begin()
    with pytest.raises(ConfigError, match=r"logs\[0\]: a str is no logger"):
        train(load_config(tiny_classes.cfg), run_folder, device="cpu", logs=["csv"])
    assert not run_folder.exists()


def test_another_rank_makes_none_and_raises_what_the_main_one_does(
    tiny_classes: Any, run_folder: Path, own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detres.tasks.training.is_main", lambda: False)
    monkeypatch.setattr("detres.tasks.training.broadcast_from_main", lambda _: ConfigError("the main one's"))
    config = load_config(tiny_classes.cfg, ["training.logs=[no_such_module:X]"])
    with pytest.raises(ConfigError, match="the main one's"):
        train(config, run_folder, device="cpu")
    assert not run_folder.exists()


@pytest.mark.slow
def test_pictures_of_an_evaluation_are_handed_to_who_takes_them(tiny: Any, run_folder: Path, own: Any) -> None:
    taken = []

    class Painter(own.Mine):
        def picture(self, name: str, step: int, rgb: Any) -> None:
            taken.append((name, step, rgb.dtype.name, rgb.shape[2]))

    stated = ["training.steps=2", "training.eval_every=1", "training.log_pictures=2", "training.logs=json"]
    train(load_config(tiny.cfg, stated), run_folder, device="cpu", logs=[Painter()])
    assert taken == [(f"test/{place}", step, "uint8", 3) for step in (1, 2) for place in (0, 1)]
