"""Two processes train and test a classifier as one does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from detres.checkpoints.reading import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one_and_two(
    tmp_path_factory: pytest.TempPathFactory, tiny_classes: Any, start_ranks: Callable[..., list[str]]
) -> tuple[Path, Path]:
    """The folders that one rank and two ranks left."""
    folder = tmp_path_factory.mktemp("ranks")
    for processes in (1, 2):
        start_ranks(processes, "classification_ranks.py", tiny_classes.cfg, folder / str(processes))
    return folder / "1", folder / "2"


def test_half_the_batch_on_each_of_two_ranks_gives_the_weights_of_one(one_and_two: tuple[Path, Path]) -> None:
    one, two = (load_file(folder / "weights.safetensors") for folder in one_and_two)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert tensor.dtype == torch.float64
        assert (tensor - two[name]).norm() <= 1e-9 * tensor.norm(), name


def test_ranks_evaluate_every_image_once(one_and_two: tuple[Path, Path]) -> None:
    one, two = (json.loads((folder / "ranks.json").read_text()) for folder in one_and_two)
    assert sorted(map(len, two)) == [3, 3]
    assert sorted(two[0] + two[1]) == sorted(one[0])
    assert len(set(one[0])) == 6
    for folder in one_and_two:
        assert json.loads((folder / "eval" / "metrics.json").read_text())["images"] == 6


def test_a_whole_run_of_two_ranks_leaves_one_folder_as_a_run_of_one_does(one_and_two: tuple[Path, Path]) -> None:
    """Batch norms see half of the images on each rank, so losses are alike but not the same."""
    kinds, names = [], []
    for folder in one_and_two:
        run = folder / "run"
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        kinds.append([(line["kind"], line["step"]) for line in lines])
        names.append({path.relative_to(run).parts[0] for path in run.rglob("*")})
        assert load_checkpoint(run / "checkpoints" / "last").trainer["finished"] == 4
        assert "fc.weight" in load_file(run / "backbone.safetensors")
    assert kinds[0] == kinds[1] == [("train", 1), ("train", 2), ("eval", 2), ("train", 3), ("train", 4), ("eval", 4)]
    assert names[0] == names[1]
