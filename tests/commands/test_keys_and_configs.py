from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from detres.config.finding import config_folder
from detres.config.loading import load_config


def test_keys_are_told_with_what_they_take_and_mean(done: Callable[..., str]) -> None:
    assert done("keys", "training.epochs").splitlines()[0].startswith("training: ")
    told = done("keys", "*.momentum")
    assert "optimizer.momentum  a number from 0 to below 1; default 0.9" in told
    assert "Counts with optimizer.name=sgd or a timm/NAME that has it." in " ".join(told.split())


def test_keys_of_one_task_alone(done: Callable[..., str]) -> None:
    assert "loss.mixup" in done("keys", "mixup")
    assert "default 256" in done("keys", "training.batch", "--task", "classification")


def test_wrong_names_end_in_a_message_with_the_nearest(refused: Callable[..., str]) -> None:
    assert "did you mean optimizer.momentum?" in refused("keys", "momentun")
    assert "expected one of detection, classification, localization" in refused("keys", "--task", "detect")
    assert "did you mean coco_r50_fpn" in refused("configs", "coco_r50_fp")
    assert "did you mean detection?" in refused("configs", "--schema", "detektion")
    assert "leave out NAME and --resolved" in refused("configs", "coco_r50", "--schema", "detection")
    assert "of which config?" in refused("configs", "--resolved")


def test_a_config_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str], done: Callable[..., str]) -> None:
    file = config_folder() / "coco" / "coco_r50_fpn.yaml"
    assert done("configs", "coco_r50_fpn") == file.read_text(encoding="utf-8")
    from detres.commands.main import main

    assert main(["configs", "coco_r50_fpn"]) == 0
    assert capsys.readouterr().err.strip().endswith("coco_r50_fpn.yaml")


def test_a_resolved_config_states_every_key_and_is_read_back(done: Callable[..., str], tmp_path: Path) -> None:
    resolved = tmp_path / "whole.yaml"
    resolved.write_text(done("configs", "cifar10_resnet20", "--resolved"))
    assert load_config(resolved) == load_config("cifar10_resnet20")


def test_a_schema_is_json(done: Callable[..., str]) -> None:
    assert "layout" in json.loads(done("configs", "--schema"))["properties"]["model"]["properties"]
    assert "format" in json.loads(done("configs", "--schema", "data"))["properties"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [("keys",), ("configs", "--schema"), ("completion", "bash")], ids=" ".join)
def test_nothing_that_computes_is_imported(run_python: Callable[..., CompletedProcess[str]], command: tuple) -> None:
    program = "import sys; from detres.commands.main import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    assert run_python("-c", program, *command).stdout.splitlines()[-1] == "False"
