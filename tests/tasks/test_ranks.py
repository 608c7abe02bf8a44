"""Two processes do what one does: in training, in evaluation, and where one of them has nothing to learn from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from detres import build_detector
from detres.checkpoints.reading import load_checkpoint
from detres.config.loading import load_config
from detres.data.detection.datasets import load_dataset
from detres.structures import DetectionTarget
from detres.tasks.detection.data import training_batches, training_set


@pytest.fixture(scope="module")
def one_and_two(
    tmp_path_factory: pytest.TempPathFactory,
    write_tiny_set: Callable[..., Any],
    trained: Path,
    start_ranks: Callable[..., list[str]],
) -> Iterator[tuple[Path, Path]]:
    """The folders that one rank and two ranks left; all training images have one size, so that padding is the same."""
    folder = tmp_path_factory.mktemp("ranks")
    tiny = write_tiny_set(folder / "set", sizes=((64, 64),))
    for processes in (1, 2):
        start_ranks(processes, "ranks.py", tiny.cfg, trained, folder / str(processes))
    yield folder / "1", folder / "2"
    for weights in (*folder.rglob("*.safetensors"), *folder.rglob("*.pt")):
        weights.unlink()


@pytest.mark.slow
def test_half_the_batch_on_each_of_two_ranks_gives_the_weights_of_one(one_and_two: tuple[Path, Path]) -> None:
    one, two = (load_file(folder / "weights.safetensors") for folder in one_and_two)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert tensor.dtype == torch.float64
        assert (tensor - two[name]).norm() <= 1e-9 * tensor.norm(), name


@pytest.mark.slow
def test_ranks_evaluate_every_image_once_and_measure_what_one_measures(one_and_two: tuple[Path, Path]) -> None:
    one, two = (json.loads((folder / "ranks.json").read_text()) for folder in one_and_two)
    shares = [told["images"] for told in two]
    assert sorted(map(len, shares)) == [2, 3]
    assert sorted(shares[0] + shares[1]) == sorted(one[0]["images"])
    assert len(set(one[0]["images"])) == 5
    for name in ("metrics.json", "detections.json"):
        alone, shared = (json.loads((folder / "eval" / name).read_text()) for folder in one_and_two)
        assert alone == shared
    assert alone, "nothing was detected: equal metrics would say nothing"


@pytest.mark.slow
def test_a_whole_run_of_two_ranks_leaves_one_folder_as_a_run_of_one_does(one_and_two: tuple[Path, Path]) -> None:
    """Batch norms see half of the images on each rank, so losses are alike but not the same."""
    runs = [folder / "run" for folder in one_and_two]
    kinds = []
    for run in runs:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        kinds.append([(line["kind"], line["step"]) for line in lines])
        assert load_checkpoint(run / "checkpoints" / "last").trainer["step"] == 3
    assert kinds[0] == kinds[1] == [("train", 1), ("train", 2), ("train", 3), ("eval", 3)]
    one, two = ((run / "config.yaml").read_text() for run in runs)
    assert one == two


@pytest.mark.slow
def test_a_rank_without_objects_touches_every_parameter(one_and_two: tuple[Path, Path]) -> None:
    for folder in one_and_two:
        for told in json.loads((folder / "ranks.json").read_text()):
            assert told["untouched"] == []


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["c4", "dc5", "fpn"])
@pytest.mark.parametrize("least_side", [0, 1000], ids=["proposals", "nothing proposed"])
def test_images_without_objects_give_every_parameter_a_gradient(tiny: Any, layout: str, least_side: int) -> None:
    sizes = {"fpn": [[16], [32], [64], [128], [256]]}.get(layout, [[16, 32, 64]])
    overrides = [f"model.layout={layout}", f"model.anchors.sizes={sizes}", f"model.rpn.min_size={least_side}"]
    config = load_config(tiny.cfg, overrides)
    images = load_dataset(config.data, "train")
    model = build_detector(config, images.class_names)
    batches, _ = training_batches(config, training_set(config, images), torch.device("cpu"))
    batch = next(batches(0))
    losses = model(replace(batch, targets=(DetectionTarget.empty(),) * len(batch)))
    assert list(losses) == ["loss_rpn_objectness", "loss_rpn_box", "loss_roi_class", "loss_roi_box"]
    assert losses["loss_rpn_box"] == losses["loss_roi_box"] == 0
    assert (losses["loss_roi_class"] == 0) == bool(least_side)
    sum(losses.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert all(buffer.isfinite().all() for buffer in model.buffers())
    if least_side:
        assert [len(found) for found in model.eval().predict(batch)] == [0, 0]
