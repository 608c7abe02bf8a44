"""The commands hand on what they were given, and mistakes are one message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.backbones.weights.files import write_tensors
from detres.classification.classifier import build_classifier
from detres.classification.files import settings_of
from detres.commands.main import main
from detres.config.loading import load_config


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail as a user's mistake; returns its message."""

    def run(*argv: str | Path) -> str:
        assert main([str(part) for part in argv]) == 2
        return capsys.readouterr().err

    return run


@pytest.mark.slow
def test_table_1_is_printed_and_written(done: Callable[..., str], tmp_path: Path) -> None:
    text = done("reproduce", "table1", "--out", tmp_path)
    assert "| ResNet-50 | 3.8 | 3.86 | – | 25.56 | – |" in text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["table1.json", "table1.md", "table1.png"]


@pytest.mark.slow
def test_costs_are_said_stage_by_stage(done: Callable[..., str], tmp_path: Path) -> None:
    text = done("analyze", "complexity", "cifar10_resnet20", "shortcut=C", "crop=64", "--out", tmp_path / "c.png")
    assert "cifar10_resnet20: 283,962 parameters" in text
    assert "for 64×64 pixels" in text
    stages = json.loads((tmp_path / "c.json").read_text())["cifar10_resnet20"]["stages"]
    assert [stage["stage"] for stage in stages] == ["c1", "c2", "c3", "c4", "fc"]


def test_a_run_of_either_task_is_drawn_and_its_last_lines_said(done: Callable[..., str], tmp_path: Path) -> None:
    lines = [
        {"kind": "train", "step": 1, "loss": 2.5, "lr": 0.1},
        {"kind": "train", "step": 2, "loss": 1.25, "lr": 0.1},
        {"kind": "eval", "step": 2, "mAP50": 0.5},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = done("analyze", "training", tmp_path, "--out", tmp_path / "run.png")
    assert "last line of train: step 2 loss 1.25 lr 0.1" in text
    assert "last line of eval: step 2 mAP50 0.5" in text
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "run.json").read_text())["eval"]["mAP50"] == 0.5


def test_curves_of_runs_are_drawn_and_their_best_said(done: Callable[..., str], tmp_path: Path) -> None:
    for name, error in (("one", 0.25), ("two", 0.5)):
        folder = tmp_path / name / "seed0"
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text(json.dumps({"kind": "eval", "step": 9, "top1_error": error}) + "\n{torn")
    text = done("analyze", "curves", tmp_path / "one/seed0", tmp_path / "two/seed0", "--out", tmp_path / "curves.svg")
    assert "one/seed0: 9 steps; test error best 25.00 % at step 9" in text
    assert (tmp_path / "curves.svg").read_bytes().startswith(b"<?xml")
    assert json.loads((tmp_path / "curves.json").read_text())["two/seed0"]["best"] == 0.5


@pytest.mark.slow
def test_responses_of_any_weights_to_the_embedded_images(done: Callable[..., str], tmp_path: Path) -> None:
    config, model = load_config("cifar10_resnet20"), build_classifier("cifar10_resnet20", num_classes=2)
    settings = settings_of(model, config.model, config.data, config.test, class_names=("a", "b"))
    write_tensors(tmp_path / "net.safetensors", model.state_dict(), settings.to_metadata())
    text = done("analyze", "responses", tmp_path / "net.safetensors", "--limit", "5", "--out", tmp_path / "r.png")
    assert "19 layers" in text
    assert "over 5 images of shapes_classes/val" in text
    assert len(json.loads((tmp_path / "r.json").read_text())["net.safetensors"]) == 19


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("reproduce", "tabel3"), "did you mean table3"),
        (("reproduce", "table1", "--seeds", "0"), "it takes at least 1"),
        (("reproduce", "table1", "--only", "VGG"), "no row has this name"),
        (("reproduce", "table6", "--cfg", "shapes_r18"), "table9 can be had of other detectors"),
        (("reproduce", "table9", "--cfg", "shapes_r18"), "write it as shapes_r18 is, with model.global_context: true"),
        (("analyze", "complexity", "resnet51"), "none of resnet18"),
        (("analyze", "complexity", "resnet50", "shortcut=D"), "shortcut is one of A, B, C, plain"),
        (("analyze", "complexity", "resnet50", "crop=no"), "crop takes a number"),
        (("analyze", "complexity", "resnet50", "depth=3"), "depth is none of shortcut"),
        (("analyze", "complexity", "shortcut=A"), "it takes names"),
        (("analyze", "curves", "nowhere"), "metrics.jsonl: cannot be read"),
        (("analyze", "training", "one", "two"), "analyze training takes one run, got 2"),
        (("analyze", "curves", "run", "crop=3"), "which complexity alone takes"),
        (("analyze", "responses", "nowhere.safetensors"), "there is no such file"),
    ],
)
def test_mistakes_are_one_message(argv: tuple[str, ...], message: str, told: Callable[..., str]) -> None:
    assert message in told(*argv)
