"""An evaluation finds the same on any number of ranks and workers, also where images of many sizes share batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import detres.tasks.runs.sharing as sharing
from detres import build_detector
from detres.config.loading import load_config
from detres.data.detection.datasets import load_dataset
from detres.detection.testing.plan import Member
from detres.structures import Detections
from detres.tasks.detection.data import evaluation_set
from detres.tasks.detection.measuring import measure, predict_set

CPU = torch.device("cpu")
SIZES = ((64, 96), (96, 64), (80, 80), (64, 90), (70, 64))


@pytest.fixture(scope="module")
def unequal(tmp_path_factory: pytest.TempPathFactory, write_tiny_set: Callable[..., Any]) -> Any:
    """The tiny set with five images of five sizes, and two more of the first's, to be tested on."""
    tiny = write_tiny_set(tmp_path_factory.mktemp("unequal") / "set", sizes=SIZES)
    listed = tiny.root / "ImageSets" / "Main" / "test.txt"
    listed.write_text(listed.read_text() + "".join(f"{number:06d}\n" for number in (3, 5)))
    return tiny


def found_by_ranks(
    unequal: Any, world: int, monkeypatch: pytest.MonkeyPatch, *stated: str
) -> dict[int | str, Detections]:
    """What the ranks of a world find together, each simulated in this process."""
    config = load_config(unequal.cfg, ["test.batch=8", "test.score=0.0", "model.backbone.norm=batch", *stated])
    images = load_dataset(config.data, "test")
    member = Member(build_detector(config, images.class_names), config.data)
    monkeypatch.setattr(sharing, "world_size", lambda: world)
    found: dict[int | str, Detections] = {}
    for rank in range(world):
        monkeypatch.setattr(sharing, "rank", lambda rank=rank: rank)
        for image_id, detections in predict_set([member], config, evaluation_set(config, images, strict=True), CPU):
            assert image_id not in found
            found[image_id] = detections
    assert len(found) == len(images) == 7
    assert any(map(len, found.values()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_find_together_to_the_last_bit_what_one_finds(
    unequal: Any, world: int, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    alone, shared = (found_by_ranks(unequal, each, monkeypatch) for each in (1, world))
    for image_id, detections in alone.items():
        for name in ("boxes", "scores", "labels"):
            assert torch.equal(getattr(detections, name), getattr(shared[image_id], name)), (image_id, name)


@pytest.mark.slow
def test_an_image_is_found_on_as_if_it_were_tested_alone(
    unequal: Any, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    together, alone = (found_by_ranks(unequal, 1, monkeypatch, f"test.batch={batch}") for batch in (8, 1))
    for image_id, detections in alone.items():
        torch.testing.assert_close(together[image_id].boxes, detections.boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(together[image_id].scores, detections.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_one_two_and_three_processes_leave_the_same_files(
    unequal: Any, trained: Path, start_ranks: Callable[..., list[str]], tmp_path: Path
) -> None:
    for processes in (1, 2, 3):
        start_ranks(processes, "evaluation_ranks.py", trained, tmp_path / str(processes), unequal.root)
    for name in ("metrics.json", "detections.json"):
        one, two, three = ((tmp_path / str(processes) / name).read_text() for processes in (1, 2, 3))
        assert one == two == three
    assert json.loads(one), "nothing was detected: equal files would say nothing"


@pytest.mark.slow
def test_workers_change_nothing(unequal: Any) -> None:
    figures = []
    for workers in (0, 2):
        config = load_config(unequal.cfg, ["test.batch=8", "test.score=0.0", f"data.workers={workers}"])
        images = load_dataset(config.data, "test")
        measured = measure(
            [Member(build_detector(config, images.class_names), config.data)], config, images, CPU, leave_out=False
        )
        assert measured is not None
        figures.append((measured.metrics, measured.detections))
    assert figures[0] == figures[1]
