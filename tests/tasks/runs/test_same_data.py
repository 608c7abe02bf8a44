"""A run that goes on learns from the images and classes it was begun with, or says that it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from detres.checkpoints.reading import load_checkpoint
from detres.config.loading import load_config
from detres.errors import ConfigError
from detres.reporter import Reporter
from detres.tasks.runs.same_data import DATA_KEY
from detres.tasks.training import train

SMALL = (
    "model.layout=fpn",
    "model.backbone.name=timm/test_resnet",
    "model.fpn.channels=8",
    "model.roi.head_fc_channels=8",
    "model.anchors.sizes=[[16], [32], [64], [128], [256]]",
    "data.format=coco",
    "data.train=[coco/train.json:JPEGImages]",
    "data.test=[]",
    "training.steps=1",
)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, write_tiny_set: Callable[..., Any]) -> Path:
    """A folder with a set and a detector's run on it, one step long; tests take a copy."""
    folder = tmp_path_factory.mktemp("begun")
    train(load_config(write_tiny_set(folder / "set").cfg, SMALL), folder / "run", device="cpu")
    return folder


@pytest.fixture
def copied(begun: Path, tmp_path: Path) -> Path:
    shutil.copytree(begun / "run", tmp_path / "run")
    shutil.copytree(begun / "set", tmp_path / "set")
    return tmp_path


def resumed(folder: Path, begun: Path, *overrides: str) -> list[str]:
    """Go on to step 2 with the set of the folder; what was said."""
    said: list[str] = []
    # The config names the set's folder, which is part of no digest: the copy is read in its place.
    config = load_config(begun / "set/tiny.yaml", [*SMALL, "training.steps=2", *overrides])
    moved = config.model_copy(update={"data": config.data.model_copy(update={"root": str(folder / "set")})})
    text = (folder / "run/config.yaml").read_text()
    (folder / "run/config.yaml").write_text(text.replace(str(begun), str(folder)))
    train(moved, folder / "run", resume=True, device="cpu", reporter=Reporter(said.append))
    return said


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "set/coco/train.json"
    instances = json.loads(file.read_text())
    edit(instances)
    file.write_text(json.dumps(instances))


def swap_names(instances: dict[str, Any]) -> None:
    first, second = instances["categories"]
    first["name"], second["name"] = second["name"], first["name"]


def add_class(instances: dict[str, Any]) -> None:
    instances["categories"].append({"id": 9, "name": "ring"})


def drop_images(instances: dict[str, Any]) -> None:
    gone = {image["id"] for image in instances["images"][-2:]}
    instances["images"] = instances["images"][:-2]
    instances["annotations"] = [a for a in instances["annotations"] if a["image_id"] not in gone]


def move_a_box(instances: dict[str, Any]) -> None:
    instances["annotations"][0]["bbox"][2] -= 2


@pytest.mark.parametrize(("edit", "told"), [(swap_names, "were square, disc; are disc, square"), (add_class, "ring")])
def test_other_classes_are_refused_and_the_way_by_weights_is_named(
    copied: Path, begun: Path, edit: Callable[..., None], told: str
) -> None:
    change(copied, edit)
    with pytest.raises(ConfigError, match=r"the classes of .* are others than the run was begun with") as caught:
        resumed(copied, begun)
    assert told in str(caught.value)
    assert f"--weights {copied / 'run'}" in str(caught.value)
    assert load_checkpoint(copied / "run/checkpoints/last").trainer["step"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("edit", [drop_images, move_a_box])
def test_other_images_are_refused_unless_they_are_allowed_and_then_told(
    copied: Path, begun: Path, edit: Callable[..., None]
) -> None:
    change(copied, edit)
    with pytest.raises(ConfigError, match=r"train is not what the run was begun with: .* had 7 images") as caught:
        resumed(copied, begun)
    assert "training.allow_other_images=true" in str(caught.value)
    said = resumed(copied, begun, "training.allow_other_images=true")
    assert any("will not end as one never cut" in line for line in said)
    stated = json.loads(load_checkpoint(copied / "run/checkpoints/last").metadata[DATA_KEY])
    assert stated["train"]["images"] == (5 if edit is drop_images else 7)


def test_the_same_images_elsewhere_are_the_same(copied: Path, begun: Path) -> None:
    said = resumed(copied, begun)
    assert load_checkpoint(copied / "run/checkpoints/last").trainer["step"] == 2
    assert not any("begun with" in line or "older version" in line for line in said)


def test_a_checkpoint_that_does_not_say_goes_on_with_a_line(copied: Path, begun: Path) -> None:
    """As versions before wrote it: no digest, no checksum."""
    file = copied / "run/checkpoints/last/model.safetensors"
    with safe_open(file, framework="pt") as read:
        tensors: dict[str, torch.Tensor] = {name: read.get_tensor(name) for name in read.keys()}  # noqa: SIM118
        metadata = read.metadata()
    save_file(tensors, file, {key: metadata[key] for key in metadata if key not in (DATA_KEY, "checksum")})
    change(copied, drop_images)
    said = resumed(copied, begun)
    assert sum("does not say which images" in line for line in said) == 1
    assert sum("have no checksum" in line for line in said) == 1


def test_the_classes_of_a_checkpoint_that_does_not_say_more_are_compared_all_the_same(
    copied: Path, begun: Path
) -> None:
    file = copied / "run/checkpoints/last/model.safetensors"
    with safe_open(file, framework="pt") as read:
        tensors = {name: read.get_tensor(name) for name in read.keys()}  # noqa: SIM118
        metadata = {key: text for key, text in read.metadata().items() if key not in (DATA_KEY, "checksum")}
    save_file(tensors, file, metadata)
    change(copied, swap_names)
    with pytest.raises(ConfigError, match="--weights"):
        resumed(copied, begun)


def test_a_classifier_is_told_as_well(tiny_classes: Any, tmp_path: Path) -> None:
    shutil.copytree(tiny_classes.root, tmp_path / "set")
    options = [f"data.root={tmp_path / 'set'}", "training.steps=1"]
    train(load_config(tiny_classes.cfg, options), tmp_path / "run", device="cpu")
    longer = load_config(tiny_classes.cfg, [*options, "training.steps=2"])

    picture = next((tmp_path / "set/val").rglob("*.png"))
    picture.rename(tmp_path / "set/val/kept")
    with pytest.raises(ConfigError, match="val is not what the run was begun with"):
        train(longer, tmp_path / "run", resume=True, device="cpu")
    (tmp_path / "set/val/kept").rename(picture)

    (tmp_path / "set/train/red").rename(tmp_path / "set/train/rosy")
    with pytest.raises(ConfigError, match="are blue, rosy"):
        train(longer, tmp_path / "run", resume=True, device="cpu")


@pytest.mark.slow
def test_a_best_of_another_val_counts_no_more(write_tiny_set: Callable[..., Any], tmp_path: Path) -> None:
    """A figure of an easier val would stand for ever."""
    cfg, run, said = write_tiny_set(tmp_path / "set").cfg, tmp_path / "run", []
    settings = [*SMALL, "data.val=[coco/test.json:JPEGImages]", "training.eval_every=1"]
    train(load_config(cfg, settings), run, device="cpu")
    assert load_checkpoint(run / "checkpoints/best").trainer["best"]["step"] == 1
    file = tmp_path / "set/coco/test.json"
    instances = json.loads(file.read_text())
    instances["annotations"] = [{**instances["annotations"][0], "bbox": [1, 1, 2, 2]}]
    file.write_text(json.dumps(instances))
    longer = [*settings, "training.steps=2"]
    with pytest.raises(ConfigError, match="val is not what the run was begun with"):
        train(load_config(cfg, longer), run, resume=True, device="cpu")
    allowed = load_config(cfg, [*longer, "training.allow_other_images=true"])
    train(allowed, run, resume=True, device="cpu", reporter=Reporter(said.append))
    assert any("was of another val and counts no more" in line for line in said)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if line["kind"] == "eval"]
    assert [line["step"] for line in evaluations] == [1, 2]
    assert len({line["annotations"] for line in evaluations}) == 1, "the first step is measured anew"
    best = load_checkpoint(run / "checkpoints/last").trainer["best"]
    assert best["value"] == max(line["mAP50"] for line in evaluations)
