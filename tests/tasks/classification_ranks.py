"""What every rank of a classifier's run does in test_classification_ranks.py: python … CONFIG OUT, as torchrun does it.

Writes to OUT: the weights after five steps, a run of four steps with its evaluations, and an evaluation of that run
with the images that each rank was given.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import detres.tasks.classification.measuring as evaluating
from detres import evaluate, train
from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import load_config
from detres.data.classification.datasets import load_classified
from detres.distributed import data_parallel, gather_to_main, process_group, rank
from detres.tasks.classification.data import training_batches
from detres.tasks.classification.models import classifier_of_config, lessons_of
from detres.tasks.runs.assembly import optimizer_of, schedule_of
from detres.training.loop import train_steps

CPU = torch.device("cpu")


def five_steps(config: ClassificationConfig) -> dict[str, torch.Tensor]:
    """In float64, with a norm that sees one image at a time, so that only the order of sums may differ."""
    images = load_classified(config.data, "train")
    batches = training_batches(config, images, CPU)
    model = classifier_of_config(config, images.class_names).double()
    model.lessons = lessons_of(config, len(images.class_names))
    reports = train_steps(
        data_parallel(model, torch.device("cpu")),
        batches.from_step(0),
        optimizer_of(model, config),
        schedule_of(config).lr_at,
        steps=5,
        device=CPU,
        accumulate=batches.accumulate,
    )
    assert all(report.losses["loss"] > 0 for report in reports)
    return model.state_dict()


def evaluated_images(run: Path, out: Path) -> list[str]:
    """The ids of the images of this rank; the metrics go to `out`."""
    seen: list[str] = []
    found = evaluating.predict_views

    def watching(*arguments: Any, **options: Any) -> Any:
        for image_ids, probabilities in found(*arguments, **options):
            seen.extend(image_ids)
            yield image_ids, probabilities

    evaluating.predict_views = watching
    evaluate(run, split="val", out=out, device="cpu")
    evaluating.predict_views = found
    return seen


def main(cfg: str, out: str) -> None:
    torch.set_num_threads(1)
    folder = Path(out)
    with process_group(CPU):
        tensors = five_steps(load_config(Path(cfg), ["model.backbone.norm=group"]))
        if rank() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "weights.safetensors")
        short = ["training.steps=4", "training.eval_every=2", "training.ema=0.9", "training.recompute_norms=10"]
        run = train(load_config(Path(cfg), short), folder / "run", device="cpu")
        by_rank = gather_to_main(evaluated_images(run, folder / "eval"))
        if by_rank is not None:
            (folder / "ranks.json").write_text(json.dumps(by_rank))


if __name__ == "__main__":
    main(*sys.argv[1:])
