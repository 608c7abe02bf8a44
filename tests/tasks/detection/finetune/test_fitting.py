from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detres.config.detection_schema import Config
from detres.config.loading import load_config, read_override
from detres.errors import ConfigError
from detres.tasks.detection.finetune import fitting
from detres.tasks.detection.finetune.beginning import of_nothing
from detres.tasks.detection.finetune.fitting import fit, stated_paths
from detres.tasks.detection.finetune.trial import Trial, try_steps
from detres.tasks.detection.models import build_detector

SMALL = ("model.backbone.name=resnet18", "data.shortest_side=64", "data.longest_side=96")
CPU = torch.device("cpu")
QUICK = Trial({"float32": 0.5, "bf16": 0.1}, 0.05, at_once=3)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """12 pictures of 96 × 64 pixels, each with one square of 30."""
    images, annotations = [], []
    for number in range(12):
        pixels = np.full((64, 96, 3), 40 + number, np.uint8)
        pixels[10:40, 20:50] = 200
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 64})
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [20, 10, 30, 30], "area": 900, "iscrowd": 0}
        )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "square"}]}
    (tmp_path / "train.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def config_of(coco: Path, *overrides: str) -> tuple[Config, set]:
    said = [f"data.root={coco}", "data.train=train.json", *overrides]
    return load_config("finetune", said), {*stated_paths([read_override(text) for text in said])}


def chosen(coco: Path, *overrides: str, seconds: float | None = None) -> dict[str, object]:
    config, stated = config_of(coco, *overrides)
    fitted = fit(config, of_nothing(), None, stated, CPU, seconds)
    return {choice.key: choice.value for choice in fitted.choices}


@pytest.fixture
def quick(monkeypatch):
    """A machine on which an image takes half a second, without a trial."""
    monkeypatch.setattr(fitting, "try_steps", lambda make, config, images, device: QUICK)


def test_every_choice_of_a_set_by_hand(coco, quick):
    assert chosen(coco) == {
        "data.val_fraction": 0.1,
        "data.val_groups": "near_duplicates",
        "data.shortest_side": [256, 288, 320],
        "data.longest_side": 544,
        "training.precision": "bf16",
        "training.epochs": 580.0,  # 8 * 3000 * (11 / 100) ** 0.6 / 11
        "training.batch": 4,
        "optimizer.lr": 0.01,
        "training.eval_every": "24 epochs",
        "training.best_metric": "mAP50",
        "training.per_device_batch": 2,
    }


def test_what_the_user_stated_is_not_chosen_and_the_rest_is_chosen_for_it(coco, quick):
    made = chosen(coco, "training.epochs=40", "training.batch=16", "data.val=train.json", "data.workers=0")
    assert not made.keys() & {"training.epochs", "training.batch", "data.val_fraction"}
    assert made["optimizer.lr"] == 0.02
    assert made["training.per_device_batch"] == 2  # of the three that fit, what divides 16
    assert chosen(coco, "training.steps=7").get("training.epochs") is None


def test_the_layers_make_the_config_that_was_fitted(coco, quick):
    config, stated = config_of(coco, "training.batch=8")
    fitted = fit(config, of_nothing(), None, stated, CPU)
    again = load_config("finetune", [f"data.root={coco}", "training.batch=8"], layers=fitted.layers())
    assert again.optimizer.lr == pytest.approx(0.014)  # for 8, and not scaled to them once more
    assert again.training.per_device_batch == 2
    assert again.training.eval_every == "24 epochs"
    typed = load_config("finetune", [f"data.root={coco}", "training.batch=8", *fitted.overrides()])
    assert typed == again


def test_time_is_shared_by_training_and_evaluations(coco, quick):
    # 570 s less 25 evaluations of 1.1 * 0.05, at 1.1 * 0.1 a picture: 5169 images, 470 epochs of 11.
    assert chosen(coco, seconds=600)["training.epochs"] == 470.0
    with pytest.raises(ConfigError, match=r"--time: 31 s are enough for 8 images .* takes 42 s at least"):
        chosen(coco, seconds=31)
    # 49 of the 100 images at least: as much of the area, less a tenth of the side, in whole cells.
    with pytest.raises(ConfigError, match=r"Give it more, or make the pictures smaller, by data.shortest_side=480$"):
        chosen(coco, "data.shortest_side=800", seconds=36)
    with pytest.raises(ConfigError, match=r"Give it more$"):
        chosen(coco, "data.shortest_side=800", seconds=1)


def test_evaluations_that_take_long_are_few_and_said(coco, monkeypatch):
    slow = Trial({"float32": 0.1}, 2.0, at_once=None)
    monkeypatch.setattr(fitting, "try_steps", lambda make, config, images, device: slow)
    # Of 570 s a tenth of learning is 51 s, 23 evaluations of 2.2 s: every 19 of the 430 epochs of 11 images.
    made = chosen(coco, seconds=600)
    assert (made["training.epochs"], made["training.eval_every"]) == (430.0, "19 epochs")
    # A run of 20 s has the time for the one at its end: (20 - 2.2) / 0.11.
    made = chosen(coco, seconds=50)
    assert (made["training.epochs"], made["training.eval_every"]) == (15.0, "15 epochs")
    with pytest.raises(ConfigError, match=r"0 images here, at 0.11 s each and 2 s for an evaluation; .* takes 43 s"):
        chosen(coco, seconds=31)


def test_ranks_choose_without_a_trial_and_refuse_a_time(coco, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(fitting, "try_steps", lambda *_: pytest.fail("each rank would find something else"))
    assert "training.precision" not in chosen(coco)
    with pytest.raises(ConfigError, match=r"with torchrun, state training\.epochs"):
        chosen(coco, seconds=600)


def test_one_photo_is_trained_on_without_evaluations(coco, quick):
    content = json.loads((coco / "train.json").read_text())
    content |= {"images": content["images"][:1], "annotations": content["annotations"][:1]}
    (coco / "train.json").write_text(json.dumps(content), encoding="utf-8")
    made = chosen(coco)
    assert "data.val_fraction" not in made
    assert "training.eval_every" not in made


def test_lines_say_each_choice_and_why(coco, quick):
    config, stated = config_of(coco)
    lines = fit(config, of_nothing(), None, stated, CPU).lines
    assert lines[0].endswith("train: 11 images, 11 boxes of 1 class")
    assert any(line.strip().startswith("training.precision=bf16") and "5.0 times as fast" in line for line in lines)
    assert lines[-1].strip().startswith("about ")


@pytest.mark.slow
def test_a_trial_times_real_steps_and_leaves_no_trace(coco):
    from detres.data.detection.datasets import load_dataset

    config, _ = config_of(coco, *SMALL)
    images = load_dataset(config.data, "train")
    before = torch.random.get_rng_state()
    trial = try_steps(lambda: build_detector(config, images.class_names), config, images, CPU)
    assert torch.equal(before, torch.random.get_rng_state())
    assert set(trial.seconds) == {"float32", "bf16"}
    assert all(0 < seconds < 60 for seconds in (*trial.seconds.values(), trial.test_seconds))
    assert trial.at_once is None or trial.at_once >= 1


def test_bf16_is_taken_where_it_is_worth_its_rounding():
    assert Trial({"float32": 1.0, "bf16": 0.8}, 0.0, None).faster == "bf16"
    assert Trial({"float32": 1.0, "bf16": 0.9}, 0.0, None).faster == "float32"
    assert Trial({"float32": 1.0, "float16": 0.5}, 0.0, None).faster == "float16"
    assert Trial({"float32": 1.0}, 0.0, None).faster == "float32"
