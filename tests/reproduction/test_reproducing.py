"""Smoke runs of every table, and what becomes of runs that are finished, begun, begun otherwise, or without data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detres.errors import ConfigError, UserError
from detres.reporter import Reporter
from detres.reproduction import running
from detres.reproduction.detection_tables import DETECTION_TABLES
from detres.reproduction.reproducing import reproduce
from detres.reproduction.running import Result
from detres.reproduction.tables import TABLES
from detres.reproduction.writing import SMOKE
from detres.training.logging.metric_log import read_metrics

# Those of detectors are smoked in test_detection_tables.py, on fewer images.
OTHERS = {name: table for name, table in TABLES.items() if name not in DETECTION_TABLES}
NETS = ["cifar10_plain20", "cifar10_resnet20"]


@pytest.fixture(scope="module")
def smoked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Result]], list[str]]:
    """The folder, the results and the lines of all tables, one after the other, as they share their runs."""
    out, said = tmp_path_factory.mktemp("reproduction"), []
    found = {
        name: reproduce(name, out=out, smoke=True, device="cpu", reporter=Reporter(said.append)) for name in OTHERS
    }
    return out, found, said


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_row_of_every_table_smokes(name: str, smoked: Any) -> None:
    out, found, _ = smoked
    table = OTHERS[name]
    assert [result.name for result in found[name]] == [row.name for row in table.rows]
    assert [result.trouble for result in found[name]] == [row.absent for row in table.rows]
    for result in (result for result in found[name] if result.plan.runs):
        assert all(len(result.values[column.title]) == 1 for column in table.columns)
    text = (out / "smoke" / f"{name}.md").read_text(encoding="utf-8")
    assert text.splitlines()[2] == f"**{SMOKE}**"
    written = json.loads((out / "smoke" / f"{name}.json").read_text(encoding="utf-8"))
    assert written["smoke"] is True
    assert len(written["rows"]) == len(table.rows)
    assert (out / "smoke" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_smoke_run_lies_apart_and_says_what_stood_in(smoked: Any) -> None:
    out, found, said = smoked
    assert [path.name for path in out.iterdir()] == ["smoke"]
    assert said.count(SMOKE) == len(OTHERS)
    text = (out / "smoke" / "table3.md").read_text(encoding="utf-8")
    assert "plain-34 by cifar10_plain20, ResNet-34 A by cifar10_resnet20" in text
    ensemble = found["table5"][0].plan.groups[0]
    assert [run.folder.relative_to(out / "smoke").as_posix() for run in ensemble[-2:]] == [
        "imagenet_r152/seed0",
        "imagenet_r152/seed1",
    ]


@pytest.mark.slow
def test_finished_runs_are_neither_trained_nor_measured_again(smoked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out, found, _ = smoked
    for name in ("train", "evaluate_classifier"):
        monkeypatch.setattr(running, name, _refuse)
    said: list[str] = []
    again = reproduce("degradation", out=out, smoke=True, device="cpu", reporter=Reporter(said.append))
    assert [result.values for result in again] == [result.values for result in found["degradation"]]
    assert sum("finished: " in line for line in said) == 4


@pytest.mark.slow
def test_seeds_are_runs_of_their_own_and_longer_runs_go_on(smoked: Any) -> None:
    out, _, _ = smoked
    options = {"out": out, "smoke": True, "device": "cpu", "only": ["cifar10_plain20"]}
    (result,) = reproduce("figure7", seeds=2, **options)
    (deviations,) = result.values.values()
    assert len(deviations) == 2
    assert deviations[0] != deviations[1]
    said: list[str] = []
    (longer,) = reproduce("figure7", overrides=["training.steps=3"], reporter=Reporter(said.append), **options)
    run = longer.plan.runs[0]
    assert (run.step, run.is_finished) == (3, True)
    assert any("to train: 1 steps" in line for line in said)
    assert [line["step"] for line in read_metrics(run.folder) if line["kind"] == "train"] == [1, 2, 3]
    with pytest.raises(ConfigError, match="went on to step 3, and 2 steps are asked for"):
        reproduce("figure7", **options)


@pytest.mark.slow
def test_a_folder_of_another_run_is_refused_before_anything_is_run(smoked: Any) -> None:
    out, _, _ = smoked
    with pytest.raises(ConfigError, match=r"cifar10_resnet20/seed0[\s\S]*optimizer.lr: was 0.1, got 0.3"):
        reproduce("table6", out=out, smoke=True, device="cpu", overrides=["optimizer.lr=0.3"])


@pytest.mark.slow
def test_rows_without_data_are_left_out_with_a_dash_and_the_reason(tmp_path: Path) -> None:
    said: list[str] = []
    overrides = [f"data.root={tmp_path / 'nowhere'}"]
    results = reproduce(
        "table6", out=tmp_path / "out", device="cpu", overrides=overrides, reporter=Reporter(said.append)
    )
    assert all("nowhere" in result.trouble for result in results)
    prospects = [line for line in said if line.startswith("  ResNet-")]
    assert len(prospects) == 6
    assert all("64000 steps, about" in line for line in prospects[:5])
    (reason,) = [line for line in said if line.startswith("left out: ")]
    assert reason.startswith("left out: ResNet-20, ResNet-32, ResNet-44, ResNet-56, ResNet-110, ResNet-1202: data.root")
    text = (tmp_path / "out" / "table6.md").read_text(encoding="utf-8")
    assert "| ResNet-20 | 0.27 | 0.27 | 8.75 | – | – |" in text
    assert not list((tmp_path / "out").glob("cifar10*"))


@pytest.mark.slow
def test_without_training_nothing_is_trained(tmp_path: Path) -> None:
    said: list[str] = []
    options = {"out": tmp_path, "smoke": True, "device": "cpu", "train": False}
    (result,) = reproduce("degradation", only=["plain-20"], reporter=Reporter(said.append), **options)
    assert result.values["test error, %"] == ()
    assert "0 of 2 steps" in result.trouble
    assert any("left as it is at step 0 of 2" in line for line in said)
    assert not (tmp_path / "smoke" / "degradation.png").exists()


def test_a_row_that_fails_does_not_keep_the_others_from_being_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Any, folder: Path, **_: Any) -> None:
        tried.append(folder.parent.name)
        raise UserError("loss is nan at step 7")

    tried: list[str] = []
    monkeypatch.setattr(running, "train", fail)
    results = reproduce("degradation", out=tmp_path, smoke=True, device="cpu", only=NETS)
    assert tried == NETS
    assert [result.trouble for result in results] == ["loss is nan at step 7"] * 2
    text = (tmp_path / "smoke" / "degradation.md").read_text(encoding="utf-8")
    assert "- plain-20, ResNet-20: loss is nan at step 7" in text


@pytest.mark.slow
def test_several_processes_are_told_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process; with torchrun, train its runs one by one"):
        reproduce("table1", out=tmp_path)


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("this was done before")
