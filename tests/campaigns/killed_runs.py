"""The runs that kills.py kills: a toy's, a detector's and a classifier's, each with its data, in a second or less."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import detres.tasks.training as experiment
from detres.config.loading import load_config

TOY = Path(__file__).resolve().parents[1] / "training" / "toy_run.py"
TASKS = ("toy", "detection", "classification")
Run = Callable[[Path, bool], None]  # the folder, and whether it goes on there

# Saves, kept ones, evaluations and bests at steps of their own and together.
TRAINING = (
    "training: {steps: 12, batch: 2, clip_norm: 10.0, checkpoint_every: 2, keep_every: 4, eval_every: 5, log_every: 1, "
)
DETECTION = (
    """model:
  layout: fpn
  backbone: {name: timm/test_resnet, norm: batch}
  fpn: {channels: 8}
  roi: {batch_per_image: 8, sampling_ratio: 1, head_fc_channels: 16, pool: 2}
  anchors: {sizes: [[16], [32], [64], [128], [256]]}
  rpn: {pre_nms_train: 20, post_nms_train: 10, pre_nms_test: 10, post_nms_test: 5, batch_per_image: 16}
data:
  format: coco
  root: ROOT
  train: [instances.json]
  val: [instances.json]
  shortest_side: [64]
  longest_side: 96
  workers: 0
  augment: [{HorizontalFlip: {p: 0.5}}, {RandomBrightnessContrast: {p: 0.5}}]
"""
    + TRAINING
    + """best_metric: mAP50, ema: EMA}
optimizer: {lr: 0.01}
schedule: {name: cosine, warmup_steps: 5}
test: {batch: 4}
"""
)
CLASSIFICATION = (
    """task: classification
model: {backbone: {name: cifar10_resnet20}}
data: {format: folder, root: ROOT, train: [train], val: [train], crop: 16, cropping: pad, padding: 2, workers: 0}
"""
    + TRAINING
    + """ema: EMA, recompute_norms: 2}
optimizer: {lr: 0.05}
schedule: {name: plateau, patience: 1}
test: {scales: [16]}
"""
)


def runs_of(kind: str, folder: Path) -> Run:
    """kind: a task, with +ema where weights are averaged. folder: for its data."""
    task, _, averaged = kind.partition("+")
    decay = 0.9 if averaged else 0.0
    if task == "toy":
        return toy_run(steps=8, checkpoint=2, keep=4, evaluate=3, ema=decay, accumulate=1, log=1)
    write, text = (write_scenes, DETECTION) if task == "detection" else (write_class_folders, CLASSIFICATION)
    if not folder.exists():
        write(folder)
    recipe = folder / f"{kind}.yaml"
    recipe.write_text(text.replace("ROOT", str(folder)).replace("EMA", str(decay)))
    config = load_config(recipe)
    return lambda run, resume: experiment.train(config, run, resume=resume, device="cpu") and None


def toy_run(**options: Any) -> Run:
    spec = importlib.util.spec_from_file_location("toy_run", TOY)
    toy = importlib.util.module_from_spec(spec)
    sys.modules["toy_run"] = toy
    spec.loader.exec_module(toy)
    return lambda run, resume: toy.train_toy(run, resume=resume, **options)


def write_scenes(folder: Path) -> None:
    """Six pictures with a bright rectangle each, as COCO has them."""
    folder.mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, 7):
        rgb = np.random.default_rng(number).integers(0, 90, (64, 80, 3), dtype=np.uint8)
        x, y = 4 * number, 3 * number
        rgb[y : y + 30, x : x + 24] = 220
        cv2.imwrite(str(folder / f"{number}.png"), rgb)
        images.append({"id": number, "file_name": f"{number}.png", "height": 64, "width": 80})
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1 + number % 2, "bbox": [x, y, 24, 30], "area": 720}
            | {"iscrowd": 0}
        )
    names = [{"id": 1, "name": "even"}, {"id": 2, "name": "odd"}]
    everything = {"images": images, "annotations": annotations, "categories": names}
    (folder / "instances.json").write_text(json.dumps(everything))


def write_class_folders(folder: Path) -> None:
    for label, name in enumerate(("dark", "light")):
        (folder / "train" / name).mkdir(parents=True)
        for number in range(6):
            noise = np.random.default_rng([label, number]).integers(0, 90, (16, 16, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "train" / name / f"{number}.png"), noise + np.uint8(90 * label))
