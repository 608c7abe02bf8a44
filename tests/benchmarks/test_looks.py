"""What a piece of a test costs is measured beside the plain test, on the same image."""

import pytest
import torch

from detres.benchmarks.looks import PIECES, LooksWork, measure_looks
from detres.benchmarks.machine import Machine
from detres.benchmarks.timing import Plan
from detres.config.loading import load_config

MACHINE = Machine(torch.device("cpu"), threads=1, compile=False, rates={"float32": 1e9, "bf16": 1e9})
TINY = ("model.backbone.name=resnet18", "data.shortest_side=64")


@pytest.mark.slow
def test_pieces_stand_beside_one_look_and_context_costs_parameters() -> None:
    pieces = {"one look": (), "context": ("model.global_context=true",), "flip it": ("test.flip=true",)}
    work = LooksWork("coco_r50", 64, TINY, pieces)
    rows = {row.name: row for row in measure_looks(MACHINE, work, Plan(rounds=1, memory=False, warm_up=False))}
    assert list(rows) == ["test/context", "test/flip_it", "test/context/parameters"]
    assert all(rows[name].check.passed and rows[name].ours > 0 for name in ("test/context", "test/flip_it"))
    # The two sibling layers read 512 channels more: 81 logits and 80 boxes.
    parameters = rows["test/context/parameters"]
    assert round(1e6 * (parameters.ours - parameters.peer)) == 512 * (81 + 4 * 80)


def test_the_full_work_is_the_papers_five_scales() -> None:
    for piece in ("scales", "all three"):
        config = load_config("coco_r101", PIECES[piece])
        assert config.test.scales == (200, 400, 600, 800, 1000)
    assert LooksWork().side == 1000
