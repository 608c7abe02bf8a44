"""CIFAR's steps become minutes, timm has rows where it is installed, and operations are counted of an image."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from detres.benchmarks.backbone import Pictures
from detres.benchmarks.classification.cifar_training import CifarWork
from detres.benchmarks.classification.imagenet_training import ImagenetWork
from detres.benchmarks.gpu import classifiers
from detres.benchmarks.gpu.classifiers import cifar_entries, operations_of_picture, resnet_entries
from detres.benchmarks.gpu.clock import Effort
from detres.benchmarks.gpu.measuring import Bench
from detres.benchmarks.machine import Machine

CPU = torch.device("cpu")
BENCH = Bench(Machine(CPU, threads=1, compile=False, rates={"float32": 1e9, "bf16": 1e9}), Effort())
RESNET = ImagenetWork(Pictures("resnet18", images=8, side=32, classes=10), steps=2)


@pytest.mark.slow
def test_steps_become_the_minutes_of_the_papers_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "measure_call", lambda call, bench, work: {"ms": 15.0})
    monkeypatch.setattr(classifiers, "operations_of_cifar_step", lambda work, device: 0)
    ours, *_ = cifar_entries(BENCH, CifarWork(batch=4, steps=2, workers=0))
    found = ours.measure(1)
    assert found["steps_per_s"] == pytest.approx(66.667, rel=1e-3)
    assert found["minutes_for_64k_steps"] == pytest.approx(16.0)  # 64,000 times 15 ms are 960 s.


def test_timm_has_rows_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("timm" in row.name for row in resnet_entries(BENCH, RESNET)) == bool(importlib.util.find_spec("timm"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not any("timm" in row.name for row in resnet_entries(BENCH, RESNET))


@pytest.mark.slow
def test_an_image_has_the_same_operations_whatever_the_batch() -> None:
    counts = [
        operations_of_picture(replace(RESNET, pictures=replace(RESNET.pictures, images=images), steps=1), CPU)
        for images in (2, 8)
    ]
    assert counts[0] == counts[1] > 1e6
