"""A training step with training.deterministic runs nothing that torch has no repeatable algorithm for on a GPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.pretended_gpu import building
from tests.pretended_gpu.test_budgets import ROOT, waits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(building.missing() is not None, reason=f"pretends a CUDA device: {building.missing()}"),
]

# What torch.use_deterministic_algorithms says it refuses on CUDA, as its dispatcher names them, and torchvision's own.
REFUSED = re.compile(
    r"aten\.(avg_pool3d_backward|_?adaptive_(avg|max)_pool[23]d_backward|fractional_max_pool[23]d_backward|"
    r"max_pool3d_with_indices_backward|max_unpool[123]d|reflection_pad[123]d_backward|nll_loss2d_forward|"
    r"_?upsample_(linear1d|bilinear2d|bicubic2d|trilinear3d)(_aa)?_backward|_ctc_loss_backward|put_?|histc|bincount|"
    r"_embedding_bag_(dense_)?backward|grid_sampler_[23]d_backward|scatter_reduce|(nan)?median|kthvalue)\.|"
    r"torchvision\._?\w+_backward\."
)
LEARNED = ("c4", "c4 of one sampling", "dc5", "fpn", "classifier", "vgg classifier", "class rpn")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    environment = os.environ | building.build(tmp_path_factory.mktemp("runtime"))
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "tests.pretended_gpu.repeated"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return {count["name"]: count for count in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", LEARNED)
def test_no_operator_is_one_that_torch_refuses(seen: dict[str, dict[str, Any]], name: str) -> None:
    operators = seen[name]["operators"]
    assert "aten.convolution_backward.default" in operators, "nothing was learned"
    assert [operator for operator in operators if REFUSED.match(operator)] == []
    assert seen[name]["mixed"] == {}


def test_torchvisions_kernel_would_be_found(seen: dict[str, dict[str, Any]]) -> None:
    operators = seen["torchvision, 0 samples, 1 levels"]["operators"]
    assert any(REFUSED.match(operator) for operator in operators), operators


@pytest.mark.parametrize("ratio", [0, 2])
def test_rows_of_several_levels_wait_as_often_as_torchvisions_kernel(
    seen: dict[str, dict[str, Any]], ratio: int
) -> None:
    """Once, for how many RoIs a level has; how many terms these are is asked with it."""
    rows, kernel = (waits(seen[f"{method}, {ratio} samples, 3 levels"]) for method in ("rows", "torchvision"))
    assert rows == kernel == 1


def test_rows_of_one_level_wait_where_the_rois_decide_how_much_is_read(seen: dict[str, dict[str, Any]]) -> None:
    assert waits(seen["rows, 2 samples, 1 levels"]) == 0
    assert waits(seen["rows, 0 samples, 1 levels"]) == 1


@pytest.mark.parametrize("name", LEARNED[:4])
def test_a_step_that_repeats_waits_no_oftener_than_six_times(seen: dict[str, dict[str, Any]], name: str) -> None:
    assert waits(seen[name]) <= 6, seen[name]["waits"]
