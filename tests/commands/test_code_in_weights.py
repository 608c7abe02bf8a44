"""A weights file that names code for its backbone runs nothing, whatever is done with it; the user's own word may."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from detres import Classifier, Detector, build_backbone
from detres.commands.main import main
from detres.errors import WeightsError

Done = Callable[..., str]
Refused = Callable[..., str]
NAME = "stranger_of_the_tests:build"
ROOT = Path(__file__).resolve().parents[2]

STRANGER = """
from pathlib import Path
Path({trace!r}).touch()

def build(**choices):
    from detres import build_backbone
    return build_backbone("resnet18", **choices)
"""


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Is there once the code that the file names was so much as imported."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "stranger_of_the_tests.py").write_text(STRANGER.format(trace=str(tmp_path / "it ran")))
    monkeypatch.syspath_prepend(folder)
    yield tmp_path / "it ran"
    sys.modules.pop("stranger_of_the_tests", None)


@pytest.fixture
def hostile(trained: Path, tmp_path: Path) -> Path:
    """A detector's file whose backbone is code."""
    file = trained / "checkpoints" / "last" / "model.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    del metadata["checksum"]  # which whoever changes the rest would make anew
    text = json.loads(metadata["detres"])
    text["model"]["backbone"]["name"], text["backbone"] = NAME, None
    (tmp_path / "checkpoints" / "last").mkdir(parents=True)
    out = tmp_path / "checkpoints" / "last" / "model.safetensors"
    save_file(load_file(file), out, metadata | {"detres": json.dumps(text)})
    return out


@pytest.mark.slow
def test_no_command_runs_what_a_weights_file_names(
    capsys: pytest.CaptureFixture[str], hostile: Path, trace: Path, tiny: Any, tiny_classes: Any, tmp_path: Path
) -> None:
    end = ("--device", "cpu")
    own = (*end, "model.backbone.name=resnet18")
    train = ("train_det", "--cfg", tiny.cfg, "--weights", hostile, "--out", tmp_path / "run")
    for command in (
        ("predict", "--weights", hostile, tiny.pictures()[0], "--out", tmp_path / "out", *end),
        ("eval_det", "--weights", hostile, "--data", tiny.voc, "--out", tmp_path / "out", *end),
        ("eval_det", "--weights", hostile, "--cfg", tiny.cfg, "--out", tmp_path / "out", *end),
        ("eval_det", "--weights", hostile, "--cfg", tiny.cfg, "--out", tmp_path / "out", *own),
        ("visualize", "--weights", hostile, "--cfg", tiny.cfg, "--out", tmp_path / "out", *end),
        (*train, *end),
        (*train, "--dry-run", *end),
        (*train, *own),
        ("eval_cls", "--weights", hostile, "--data", tiny_classes.root, *end),
        ("train_cls", "--cfg", tiny_classes.cfg, "--weights", hostile, *end),
        ("convert_weights", "--from", "torchvision", hostile, tmp_path / "o.safetensors"),
        ("convert_weights", "--from", "torchvision", "--architecture", NAME, hostile, tmp_path / "o.safetensors"),
        ("convert_weights", "--to", "torchvision", hostile, tmp_path / "o.pth"),
        ("convert_weights", "--to", "detectron2", hostile, tmp_path / "o.pkl"),
    ):
        assert main([str(part) for part in command]) == 2, command
        assert "Traceback" not in capsys.readouterr().err
        assert not trace.exists(), command
    assert not (tmp_path / "out").exists()


def test_nor_do_the_commands_of_classifiers(
    capsys: pytest.CaptureFixture[str], trained_classifier: Path, trace: Path, tiny_classes: Any, tmp_path: Path
) -> None:
    file = trained_classifier / "checkpoints" / "last" / "model.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    text = json.loads(metadata["detres"])
    text["model"]["backbone"]["name"] = text["backbone"]["architecture"] = NAME
    named = {"detres": json.dumps(text), "backbone": json.dumps(text["backbone"])}
    kept = {key: value for key, value in metadata.items() if key != "checksum"}
    hostile = tmp_path / "hostile.safetensors"
    save_file(load_file(file), hostile, kept | named)
    for command in (
        ("eval_cls", "--weights", hostile, "--data", tiny_classes.root, "--device", "cpu"),
        ("train_cls", "--cfg", tiny_classes.cfg, "--weights", hostile, "--out", tmp_path / "run", "--device", "cpu"),
        ("train_cls", "--cfg", tiny_classes.cfg, "--out", tmp_path / "run", f"model.backbone.weights={hostile}"),
        ("analyze", "responses", hostile, "--data", tiny_classes.root, "--out", tmp_path / "a.png"),
    ):
        assert main([str(part) for part in command]) == 2, command
        assert "Traceback" not in capsys.readouterr().err
        assert not trace.exists(), command


@pytest.mark.slow
def test_nor_does_the_library(hostile: Path, trace: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("hub_of_the_tests", ROOT / "hubconf.py")
    hub = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hub)
    beside = tmp_path / "w.safetensors"
    metadata = {"architecture": NAME, "pixel_stats": {"mean": [0, 0, 0], "std": [1, 1, 1], "order": "rgb"}}
    save_file(load_file(hostile), beside, {"backbone": json.dumps(metadata)})
    for run in (
        lambda: Detector.from_checkpoint(hostile, device="cpu"),
        lambda: Classifier.from_checkpoint(hostile, device="cpu"),
        lambda: build_backbone("resnet18", weights=hostile),
        lambda: build_backbone("resnet18", weights=beside),
        lambda: build_backbone("timm/resnet18", weights=beside),
        lambda: hub.resnet18(weights=str(beside)),
        lambda: hub.build_classifier("resnet18", num_classes=2, weights=str(beside)),
    ):
        with pytest.raises(WeightsError):
            run()
        assert not trace.exists()


@pytest.mark.slow
def test_the_user_s_own_config_and_command_line_may_name_it(
    done: Done, refused: Refused, trace: Path, tiny: Any, tmp_path: Path
) -> None:
    cfg, run = tmp_path / "own.yaml", tmp_path / "run"
    cfg.write_text(tiny.cfg.read_text().replace("name: resnet18", f'name: "{NAME}"'))
    end = ("--device", "cpu", "training.steps=1")
    done("train_det", "--cfg", cfg, "--out", run, *end)
    assert trace.exists()
    evaluate = ("eval_det", "--weights", run, "--out", tmp_path / "eval", "--device", "cpu")
    assert "mAP" in done(*evaluate, "--cfg", cfg)
    assert "mAP" in done(*evaluate, "--cfg", run / "config.yaml")
    assert "mAP" in done(*evaluate, f"model.backbone.name={NAME}")
    assert "names code to run" in refused(*evaluate)
    done("train_det", "--cfg", cfg, "--weights", run, "--dry-run", *end)
    done("train_det", "--cfg", cfg, "--out", run, "--resume", "--device", "cpu", "training.steps=2")
