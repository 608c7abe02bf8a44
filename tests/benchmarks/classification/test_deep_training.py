"""The peak of a recipe's step is measured in a process of its own, against what it shall be below."""

import pytest
import torch

from detres.benchmarks.classification.cifar_training import CifarWork
from detres.benchmarks.classification.deep_training import MemoryWork, measure_deep_training
from detres.benchmarks.machine import Machine
from detres.benchmarks.suite import PARTS
from detres.benchmarks.timing import Plan
from detres.config.loading import load_config

MACHINE = Machine(torch.device("cpu"), threads=1, compile=False, rates={"float32": 1e9, "bf16": 1e9})


@pytest.mark.slow
def test_a_peak_is_held_against_its_limit() -> None:
    work = MemoryWork(CifarWork("cifar10_resnet20", batch=4, steps=2), limit=100.0)
    row = measure_deep_training(MACHINE, work, Plan())[0]
    assert (row.name, row.unit) == ("train_cls/cifar10_resnet20/memory", "MiB")
    assert 200 < row.ours < 4000
    assert row.ratio is not None
    assert row.ratio < 1


def test_the_deepest_net_is_weighed_as_its_recipe_trains_it() -> None:
    work = PARTS["train_cls_memory"].on_cpu
    config = load_config(work.training.recipe)
    assert (work.limit, work.training.batch, work.training.recipe) == (8192, 128, "cifar10_resnet1202")
    assert config.model.checkpoint_blocks
    assert config.training.batch == 128
