"""What every rank of a run does in test_ranks.py: python ranks.py CONFIG RUN OUT, started as torchrun starts it.

Writes to OUT: the weights after five steps, the names of parameters without a gradient, the images each rank was given
to evaluate, an evaluation of RUN, and a run of three steps.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

import detres.tasks.detection.measuring as evaluating
from detres import build_detector
from detres.config.detection_schema import Config
from detres.config.loading import load_config
from detres.data.detection.datasets import load_dataset
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.distributed import data_parallel, gather_to_main, process_group, rank, world_size
from detres.structures import DetectionBatch, DetectionTarget
from detres.tasks.detection.data import training_batches, training_set
from detres.tasks.evaluation import evaluate
from detres.tasks.runs.assembly import optimizer_of, schedule_of
from detres.tasks.training import train
from detres.training.loop import train_steps

CPU = torch.device("cpu")


def wrapped(model: FasterRCNN) -> nn.Module:
    return data_parallel(model, torch.device("cpu"))


def double_detector(config: Config) -> tuple[FasterRCNN, Iterator[DetectionBatch]]:
    images = load_dataset(config.data, "train")
    batches, accumulate = training_batches(config, training_set(config, images), CPU)
    assert accumulate == 1
    return build_detector(config, images.class_names).double(), batches(0)


def five_steps(config: Config) -> dict[str, torch.Tensor]:
    model, batches = double_detector(config)
    reports = train_steps(
        wrapped(model),
        batches,
        optimizer_of(model, config),
        schedule_of(config).lr_at,
        steps=5,
        device=CPU,
        clip_norm=config.training.clip_norm,
    )
    assert all(report.losses["loss_roi_box"] > 0 for report in reports)
    return model.state_dict()


def untouched_by_an_empty_rank(config: Config) -> list[str]:
    """Parameters that this rank has no gradient for, where the last rank's images are all without objects."""
    model, batches = double_detector(config)
    batch = next(batches)
    if rank() == world_size() - 1:
        batch = replace(batch, targets=tuple(DetectionTarget.empty() for _ in batch.targets))
    sum(wrapped(model)(batch).values()).backward()
    return [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def evaluated_images(run: Path, out: Path) -> list[Any]:
    """The ids of the images of this rank; the metrics go to `out`."""
    seen: list[Any] = []
    gather = evaluating.gather_to_main

    def watching(value: Any) -> Any:
        seen.extend(value if isinstance(value, dict) else ())
        return gather(value)

    evaluating.gather_to_main = watching
    evaluate(run, out=out, device="cpu", overrides=["test.score=0.01"])
    evaluating.gather_to_main = gather
    return seen


def main(cfg: str, run: str, out: str) -> None:
    torch.set_num_threads(1)
    folder = Path(out)
    with process_group(CPU):
        # Both normalizers, and every anchor that is not ignored: ranks then have different numbers of samples.
        normalizers = ["model.rpn.normalizer=samples", "model.roi.normalizer=constant", "model.rpn.batch_per_image=512"]
        stated = [*normalizers, "training.batch=4", "optimizer.lr=0.02", "model.backbone.norm=group"]
        config = load_config(Path(cfg), stated)
        tensors = five_steps(config)
        if rank() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "weights.safetensors")
        told: dict[str, Any] = {"untouched": untouched_by_an_empty_rank(config)}
        told["images"] = evaluated_images(Path(run), folder / "eval")
        short = load_config(Path(cfg), ["training.steps=3", "training.batch=4", "training.ema=0.9", "data.workers=1"])
        train(short, folder / "run", device="cpu")
        by_rank = gather_to_main(told)
        if by_rank is not None:
            (folder / "ranks.json").write_text(json.dumps(by_rank))


if __name__ == "__main__":
    main(*sys.argv[1:])
