"""train_det with --data alone, from the command line."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from detres.commands.main import main
from detres.config.loading import load_config

SMALL = ("model.backbone.name=resnet18", "data.shortest_side=64", "model.rpn.post_nms_train=50", "data.workers=0")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of shapes that only a yaml describes, on a machine without weights or a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETRES_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "photos.yaml").write_text("format: shapes\ntrain: [val]\n", encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> int:
    return main(["train_det", "--data", "photos.yaml", "--device", "cpu", *arguments])


@pytest.mark.slow
def test_data_alone_is_fitted_trained_and_gone_on_with(photos, capsys):
    assert run("--out", "run", *SMALL, "training.epochs=0.2") == 0
    said = capsys.readouterr().out
    assert "fitted to shapes-val: 58 images" in said
    for chosen in ("data.val_fraction=0.1", "training.batch=2", "optimizer.lr=", "training.eval_every="):
        assert re.search(rf"^  {re.escape(chosen)}\S* .*\w", said, re.MULTILINE), chosen
    steps = [json.loads(line)["step"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 6  # 0.2 epochs of 58 images, 2 a step
    made = load_config("run/config.yaml", trusted=False)
    # What was printed makes the same run.
    (again,) = re.findall(r"the same again: detres (.*)", said)
    assert main([*shlex.split(again), "--device", "cpu", "--out", "again", "--dry-run"]) == 0
    assert Path("run/config.yaml").read_text().rstrip() in capsys.readouterr().out
    # It goes on by its own config, without another trial.
    assert run("--out", "run", "--resume", "--time", "2h", "training.steps=8") == 0
    assert "fitted" not in capsys.readouterr().out
    assert load_config("run/config.yaml", trusted=False).optimizer == made.optimizer


def test_a_time_beside_a_config_is_told(photos, capsys):
    assert run("--cfg", "coco_r50", "--time", "2h") == 2
    assert "--time 2h: it is for --data alone; beside --cfg, state training.epochs" in capsys.readouterr().err


def test_a_time_that_is_none_is_told_before_anything_is_read(photos, capsys):
    assert run("--time", "soon") == 2
    assert "--time soon: expected a time above 0, such as 2h" in capsys.readouterr().err


@pytest.mark.slow
def test_a_time_in_which_nothing_is_learned_is_told(photos, capsys):
    assert run("--time", "31s", *SMALL, "--dry-run") == 2
    assert re.search(r"--time: 31 s are enough for \d+ images here", capsys.readouterr().err)


def test_two_lengths_are_told(photos, capsys):
    assert run("training.epochs=2", "training.steps=9") == 2
    assert "training.steps and training.epochs both say how long the run is" in capsys.readouterr().err


def test_without_data_or_a_config_both_are_named(photos, capsys):
    assert main(["train_det"]) == 2
    assert "--cfg is missing" in (said := capsys.readouterr().err)
    assert "--data alone" in said
