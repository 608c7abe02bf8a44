"""Tables of detectors: smoke runs of all, what is measured again, what begins with what, and table 9 of other sets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detres.config.loading import load_config
from detres.data.formats.shapes import detection as shapes
from detres.detection.files import DetectorSettings
from detres.errors import ConfigError
from detres.reporter import Reporter
from detres.reproduction import detection_measuring, reproducing, running
from detres.reproduction.detection_measuring import DetectionResult
from detres.reproduction.detection_tables import DETECTION_TABLES, improvements_of
from detres.reproduction.estimates import Estimates
from detres.reproduction.planning import Plan, Run, Settings, plan_table
from detres.reproduction.reproducing import choose_rows, reproduce, table_named
from detres.reproduction.running import Result
from detres.reproduction.writing import SMOKE, draw_table

OPTIONS: dict[str, Any] = {"smoke": True, "device": "cpu"}
DRAWN = "table9"  # as the others would be


@pytest.fixture(scope="module")
def smoked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, list[Result]]]]:
    """The folder and the results of all tables, one after the other, as they share their runs; on few images."""
    out = tmp_path_factory.mktemp("detectors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "SPLIT_SIZES", {"train": 1, "val": 2, "test": 4})
        patch.setenv("DETRES_DATASETS", str(out / "datasets"))
        patch.setattr(reproducing, "draw_table", lambda name, *rest: draw_table(name, *rest) if name == DRAWN else [])
        yield out, {name: reproduce(name, out=out, **OPTIONS) for name in DETECTION_TABLES}
    shutil.rmtree(out)


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTION_TABLES)
def test_every_row_of_every_table_smokes(name: str, smoked: Any) -> None:
    out, found = smoked
    table = DETECTION_TABLES[name]
    assert [result.name for result in found[name]] == [row.name for row in table.rows]
    for result in found[name]:
        assert result.trouble is None
        assert all(len(result.values[column.title]) == 1 for column in table.columns)
        assert result.values["test, seconds an image"][0] > 0
    text = (out / "smoke" / f"{name}.md").read_text(encoding="utf-8")
    assert text.splitlines()[2] == f"**{SMOKE}**"
    if name == DRAWN:
        assert (out / "smoke" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_rows_share_their_runs_and_are_tested_each_in_its_way(smoked: Any) -> None:
    out = smoked[0] / "smoke"
    tests = {path.parent.relative_to(out).as_posix() for path in out.rglob("metrics.json")}
    assert {test for test in tests if "coco_r101" in test} == {
        "coco_r101/seed0/eval/test",
        "coco_r101/seed0/eval/test-refine=1",
        "coco_r101_context/seed0/eval/test-refine=1",
        "coco_r101_context/seed0/eval/test-refine=1-scales=32+64",
        "ensembles/3_coco_r101_context/eval/test-refine=1-scales=32+64",
    }


@pytest.mark.slow
def test_what_begins_with_a_detector_with_context_has_context(smoked: Any) -> None:
    found = smoked[1]["table10"][-1].plan.runs[0]
    assert found.beginning.folder.parent.name == "coco_r101_context"
    assert not found.recipe.model.global_context
    assert found.config.model.global_context
    assert DetectorSettings.read(found.last_weights)[1].model.global_context


@pytest.mark.slow
def test_finished_rows_are_neither_trained_nor_measured_again(smoked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out, found = smoked
    monkeypatch.setattr(running, "train", _refuse)
    monkeypatch.setattr(detection_measuring, "evaluate_detector", _refuse)
    again = reproduce("table9", out=out, **OPTIONS)
    assert [result.values for result in again] == [result.values for result in found["table9"]]


@pytest.mark.slow
def test_a_finished_run_is_measured_where_its_data_lie_now(smoked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out, found = smoked
    moved = Path(shutil.copytree(out / "datasets" / "shapes", out / "moved"))
    monkeypatch.setattr(running, "train", _refuse)
    said: list[str] = []
    overrides = [f"data.root={moved}", "model.backbone.weights=gone.npz"]
    options = OPTIONS | {"only": ["coco_vgg16"], "overrides": overrides}
    (result,) = reproduce("table8", out=out, reporter=Reporter(said.append), **options)
    assert any("measuring" in line for line in said)
    assert result.values["mAP@.5, %"] == found["table8"][0].values["mAP@.5, %"]
    with pytest.raises(ConfigError, match=r"coco_vgg16/seed0[\s\S]*optimizer.lr: was 0.001, got 0.3"):
        reproduce("table8", out=out, **options | {"overrides": ["optimizer.lr=0.3"]})


@pytest.mark.slow
def test_without_annotations_there_is_no_figure(smoked: Any) -> None:
    out, _ = smoked
    secret = Path(shutil.copytree(out / "datasets" / "shapes", out / "secret"))
    file = secret / "coco" / "instances_val.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"annotations": []}))
    options = OPTIONS | {"only": ["coco_vgg16"], "overrides": [f"data.root={secret}"]}
    (result,) = reproduce("table8", out=out, **options)
    assert [len(result.values[title]) for title in result.values] == [0, 0, 1]
    assert result.trouble.startswith("shapes-val has no annotations here, so there is no figure")
    written = (out / "smoke" / "table8.md").read_text(encoding="utf-8")
    assert "| VGG-16 | 41.5 | – | 21.2 | – | " in written
    assert "- VGG-16: shapes-val has no annotations here" in written


@pytest.mark.slow
def test_a_detector_of_an_unannotated_set_is_finished_when_it_is_saved(smoked: Any, tmp_path: Path) -> None:
    run: Run = smoked[1]["table8"][1].plan.runs[0]
    copy = replace(run, folder=tmp_path / "run")
    shutil.copytree(run.folder, copy.folder)
    lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (copy.folder / "metrics.jsonl").write_text("".join(line for line in lines if '"eval"' not in line))
    assert copy.is_finished
    longer = replace(copy, config=load_config(copy.folder / "config.yaml", ["training.steps=3"]))
    assert not longer.is_finished


def test_a_set_without_annotations_gives_no_figure_but_a_submission() -> None:
    found = DetectionResult({"set": "voc2012-test", "AP50": None, "mAP50": None, "seconds_per_image": 0.5}, Path("x"))
    assert found.value("mAP50") is None
    assert found.value("seconds_per_image") == 0.5
    assert found.trouble == (
        "voc2012-test has no annotations here, so there is no figure; its evaluation server takes the submission in x"
    )
    annotated = DetectionResult({"set": "a", "AP50": 0.25}, Path("x"))
    assert (annotated.value("AP50"), annotated.trouble) == (25.0, None)


def test_rows_that_were_not_run_say_why_and_print_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path / "nowhere"))
    said: list[str] = []
    results = reproduce("table10", out=tmp_path / "out", device="cpu", reporter=Reporter(said.append))
    assert all("nowhere/voc" in result.trouble for result in results[:2])
    assert "nowhere/coco" in results[2].trouble  # what it would begin with
    assert any("320000 and 40000 steps, time not known before its first steps" in line for line in said)
    text = (tmp_path / "out" / "table10.md").read_text(encoding="utf-8")
    assert "| ResNet-101 with all, COCO and 07+12 | 85.6 | – | – | – | – | – |" in text


def test_the_time_of_a_detector_is_its_own_lines_or_unknown(tmp_path: Path) -> None:
    config = load_config("coco_r101")
    run = Run(config, config, tmp_path)
    estimates = Estimates([Plan(DETECTION_TABLES["table8"].rows[1], ((run,),))], torch.device("cpu"))
    assert estimates.seconds_left(run) is None
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 20000, "seconds_per_step": 0.5}\n')
    assert estimates.seconds_left(run.seen_afresh()) == 0.5 * 300_000


def test_table_9_of_another_detector_is_scaled_to_it_and_begins_with_it() -> None:
    papers, own = DETECTION_TABLES["table9"], improvements_of("bccd_r50_fpn")
    assert [row.name for row in own.rows] == [row.name for row in papers.rows]
    assert [row.paper for row in own.rows] == [row.paper for row in papers.rows]
    assert [row.begins_with for row in own.rows] == [None, None, *["bccd_r50_fpn"] * 3]
    assert [row.begins_with for row in papers.rows] == [None] * 5
    assert own.rows[-1].configs == ("bccd_r50_fpn_context",) * 3
    assert [row.tested for row in own.rows[:3]] == [(), ("test.refine=1",), ("test.refine=1",)]
    assert own.rows[-1].tested == own.rows[-2].tested == ("test.refine=1", "test.scales=[160, 320, 480, 640, 800]")
    assert papers.rows[-1].tested[1] == "test.scales=[200, 400, 600, 800, 1000]"
    assert (own.columns[0].source.metric, papers.columns[0].source.metric) == ("mAP50", "AP50")
    assert any("detres's of bccd_r50_fpn on its own set" in note for note in own.notes)
    assert any("160, 320, 480, 640, 800." in note for note in own.notes)


def test_members_of_an_ensemble_are_seeds_that_begin_with_the_first_of_the_baseline(tmp_path: Path) -> None:
    overrides = (f"data.root={tmp_path}", "model.backbone.weights=r50.npz")
    table = choose_rows(table_named("table9", "bccd_r50_fpn"), ["ensemble of 3"])
    (plan,) = plan_table(table, Settings(tmp_path, seeds=2, overrides=overrides))
    names = [run.folder.relative_to(tmp_path).as_posix() for run in plan.needed]
    assert names == ["bccd_r50_fpn/seed0", *(f"bccd_r50_fpn_context/seed{seed}" for seed in range(3))]
    assert [run.config.training.seed for run in plan.runs] == [0, 1, 2]
    assert all(run.config.model.global_context for run in plan.runs)
    assert str(tmp_path) in plan.obstacle


@pytest.mark.slow
def test_a_detector_from_a_file_has_its_context_config_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: {format: shapes, train: [train], test: [test], shortest_side: [150]}\n")
    with pytest.raises(ConfigError, match=r"mine_context\.yaml, which cannot be had[\s\S]*write it as .*mine\.yaml is"):
        improvements_of(str(file))
    beside = tmp_path / "mine_context.yaml"
    beside.write_text(file.read_text())
    with pytest.raises(ConfigError, match=r"mine_context\.yaml has no global context; set model.global_context: true"):
        improvements_of(str(file))
    beside.write_text(file.read_text() + "model: {global_context: true}\n")
    table = improvements_of(str(file))
    assert table.rows[3].tested[1] == "test.scales=[50, 100, 150, 200, 250]"
    (plan,) = plan_table(choose_rows(table, ["baseline"]), Settings(tmp_path, smoke=True))
    assert plan.runs[0].folder == tmp_path / "mine" / "seed0"


def test_mistakes_with_cfg_are_told() -> None:
    with pytest.raises(ConfigError, match="--cfg shapes_r18: table6 is of the paper's own nets; table9 can be had"):
        table_named("table6", "shapes_r18")
    with pytest.raises(ConfigError, match="cifar10_resnet20: this is a classification config; table9 is of detectors"):
        table_named("table9", "cifar10_resnet20")
    with pytest.raises(ConfigError, match="trained by the config shapes_r18_context, which cannot be had"):
        table_named("table9", "shapes_r18")


def test_the_papers_context_model_is_its_baseline_with_context() -> None:
    plain, context = load_config("coco_r101"), load_config("coco_r101_context")
    assert plain.model.model_copy(update={"global_context": True}) == context.model
    assert (plain.data, plain.training, plain.schedule) == (context.data, context.training, context.schedule)


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("this was done before")
