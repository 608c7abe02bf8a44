"""What came with data or weights runs nothing, whatever the command; the same named by the user does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from detres.config.yaml_dialect import read_yaml, write_yaml

Refused = Callable[..., str]
QUICK = ("training.steps=1", "--device", "cpu")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What the code would make."""
    return tmp_path / "code-ran"


def _changed(run: Path, key: str, value: Any) -> None:
    """Another value in the config that a run keeps."""
    values, _ = read_yaml((run / "config.yaml").read_text(), "config.yaml")
    *groups, leaf = key.split(".")
    group = values
    for name in groups:
        group = group[name]
    group[leaf] = value
    (run / "config.yaml").write_text(write_yaml(values))


@pytest.mark.parametrize(
    "augment",
    [
        "download: 'mkdir {made}'\naugment: [{{os:mkdir: {{path: '{made}'}}}}]",
        "augment: [{{os:mkdir: {{path: '{made}'}}}}]",
        "augment: [{{OneOf: {{transforms: [{{'os:mkdir': {{path: '{made}'}}}}]}}}}]",
        "x: &x {{os:mkdir: {{path: '{made}'}}}}\naugment: [*x]",
    ],
)
@pytest.mark.parametrize("command", ["train_det", "check_data"])
def test_a_data_file_names_no_augmentation_of_its_own(
    refused: Refused, tmp_path: Path, made: Path, tiny: Any, augment: str, command: str
) -> None:
    file = tmp_path / "theirs.yaml"
    file.write_text(f"format: coco\nroot: {tiny.root}\ntrain: a.json\n" + augment.format(made=made))
    more = ("--cfg", tiny.cfg, "--dry-run") if command == "train_det" else ()
    message = refused(command, "--data", file, *more)
    assert f"{file}: data.augment names code to run (os:mkdir)" in message
    assert "(line " in message
    assert not made.exists()


@pytest.mark.parametrize(
    "shard", ["pipe:mkdir {made}", "{{p,q}}ipe:mkdir {made}", "a.tar::pipe:mkdir {made}", "gs://a'b"]
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_data_file_names_no_command_as_a_shard(
    refused: Refused, tmp_path: Path, made: Path, shard: str, dry: tuple[str, ...]
) -> None:
    file = tmp_path / "theirs.yaml"
    shown = shard.format(made=made)
    file.write_text(f'format: webdataset\nroot: .\nclasses: [a, b]\nimages: 10\ntrain: "{shown}"\nval: []\n')
    message = refused("train_cls", "--cfg", "cifar10_resnet20", "--data", file, *dry, "--out", tmp_path / "run")
    assert f"{file}: data.train names code to run" in message
    assert not made.exists()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["data.augment", "training.logs"])
def test_a_runs_config_names_no_code_when_the_run_goes_on(
    refused: Refused, tmp_path: Path, made: Path, trained: Path, key: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    _changed(run, key, [{"os:mkdir": {"path": str(made)}}] if key == "data.augment" else ["os:mkdir"])
    message = refused("train_det", "--resume", "--out", run, *QUICK)
    assert f"config.yaml: {key} names code to run (os:mkdir)" in message
    assert not made.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.augment", [{"os:mkdir": {"path": "x"}}]),
        ("model.backbone.name", "os:mkdir"),
        ("training.logs", ["os:getcwd"]),
    ],
)
def test_an_evaluation_takes_nothing_from_a_runs_config_that_would_run(
    done: Callable[..., str], tmp_path: Path, trained: Path, key: str, value: Any
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    _changed(run, key, value)
    assert "mAP" in done("eval_det", "--weights", run, "--out", tmp_path / "eval", "--device", "cpu")


@pytest.mark.slow
def test_a_weights_file_names_no_backbone_even_beside_a_config(
    refused: Refused, tmp_path: Path, trained: Path, tiny: Any
) -> None:
    source = next(trained.glob("checkpoints/*/model.safetensors"))
    with safe_open(source, "pt") as opened:
        metadata = dict(opened.metadata())
    del metadata["checksum"]  # which whoever changes the rest would make anew
    hostile = {key: _with_backbone(value, "os:getcwd") for key, value in metadata.items()}
    assert hostile != metadata
    file = tmp_path / "theirs.safetensors"
    save_file(load_file(source), file, metadata=hostile)

    end = ("--weights", file, "--cfg", tiny.cfg, "--device", "cpu")
    told = refused("eval_det", *end)
    assert f"{file}: model.backbone.name names code to run (os:getcwd)" in told
    told = refused("train_det", *end, "--dry-run", kind="WeightsError")
    assert f"{file}: its backbone is os:getcwd, code of yours or of whoever made the file" in told


def _with_backbone(text: str, name: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    backbone = value.get("model", value).get("backbone") if isinstance(value, dict) else None
    if isinstance(backbone, dict) and "name" in backbone:
        backbone["name"] = name
    return json.dumps(value)
