"""Looks at runs and networks: a run's losses, error curves of several, responses of layers, and what nets cost.

Each is said line by line, and drawn; the numbers lie beside the picture as JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detres.backbones.complexity import NetCost, cost_of
from detres.classification.files import ClassifierSettings
from detres.classification.published import locate_classifier
from detres.classification.responses import Responses, layer_responses
from detres.classification.testing import member_of
from detres.config.classification_schema import ClassificationDataConfig
from detres.data.classification.classified import ClassifiedImages
from detres.data.classification.datasets import load_classified
from detres.data.classification.views import ViewDataset, ViewPlan, view_loader
from detres.data.loading.samplers import Share
from detres.data.places import SplitName
from detres.distributed import local_device
from detres.files.whole import write_whole
from detres.report.error_curves import error_curves_figure, reached
from detres.report.figures import write_figure
from detres.report.layer_plots import costs_figure, responses_figure
from detres.report.plots import training_figure
from detres.reporter import SILENT, Reporter
from detres.training.logging.metric_log import read_metrics

# Each layer has millions of numbers over so many images: their deviation hardly moves any more.
IMAGES = 256


def analyze_training(run: Path, out: Path, *, reporter: Reporter = SILENT) -> None:
    """Losses, rate and metrics of one run, of either task, against the step. out: the picture's file.

    Raises DataError where the folder is no run's, or the run has no line yet.
    """
    rows = read_metrics(run)
    figure = training_figure(rows, title=run.resolve().name)
    last = {kind: next((row for row in reversed(rows) if row["kind"] == kind), None) for kind in ("train", "eval")}
    for row in filter(None, last.values()):
        numbers = " ".join(f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, float))
        reporter.say(f"last line of {row['kind']}: step {row['step']} {numbers}")
    _write(figure, out, last, reporter)


def analyze_curves(runs: Sequence[Path], out: Path, *, reporter: Reporter = SILENT) -> None:
    """Training and test error of runs against the step (figures 4 and 6). out: the picture's file.

    Raises DataError where a folder is no run's, or no run has an error.
    """
    rows = dict(zip(names_of(runs), (read_metrics(run) for run in runs), strict=True))
    figure = error_curves_figure({"": rows})
    best = {name: reached(lines) for name, lines in rows.items()}
    for name, what in best.items():
        reporter.say(f"{name}: {what.step} steps; {what}")
    _write(figure, out, {name: asdict(what) for name, what in best.items()}, reporter)


def analyze_responses(
    weights: Sequence[str | Path],
    out: Path,
    *,
    data: ClassificationDataConfig | None = None,
    split: SplitName = "val",
    limit: int = IMAGES,
    device: str | None = None,
    reporter: Reporter = SILENT,
) -> None:
    """Standard deviations of the layers' responses of classifiers (figure 7). out: the picture's file.

    weights: runs, checkpoints, files or tags. data: None is the embedded set. limit: how many images are looked at.
    """
    images = load_classified(data or ClassificationDataConfig(format="shapes"), split)
    files, where = [locate_classifier(given) for given in weights], local_device(device)
    found = {
        name: responses_of(file, images, where, limit=limit)
        for name, file in zip(names_of([Path(given) for given in weights]), files, strict=True)
    }
    for name, responses in found.items():
        reporter.say(
            f"{name}: {len(responses.layers)} layers, std of the responses {min(responses.stds):.3f} to "
            f"{max(responses.stds):.3f}, mean {responses.mean:.3f}, over {responses.images} images of {images.name}"
        )
    content = {name: dict(zip(each.layers, each.stds, strict=True)) for name, each in found.items()}
    title = f"Responses of layers on {images.name}"
    _write(responses_figure({name: each.stds for name, each in found.items()}, title=title), out, content, reporter)


def analyze_complexity(nets: Sequence[str], out: Path, *, reporter: Reporter = SILENT, **options: Any) -> None:
    """Parameters and multiply-adds of nets, stage by stage (table 1). options: those of cost_of."""
    costs = {name: cost_of(name, **options) for name in nets}
    for name, cost in costs.items():
        for line in cost_lines(name, cost):
            reporter.say(line)
    stages = {name: {stage.stage: stage.multiply_adds for stage in cost.stages} for name, cost in costs.items()}
    _write(costs_figure(stages), out, {name: asdict(cost) for name, cost in costs.items()}, reporter)


def responses_of(
    file: Path, images: ClassifiedImages, device: torch.device, *, limit: int = IMAGES, batch: int = 32
) -> Responses:
    """Of a classifier's file, to the centre crops of at most `limit` images spread over the set.

    Images are resized and cropped as the classifier is tested; those that cannot be read are left out.
    Raises DataError where none can, WeightsError where the file is no classifier's or has diverged.
    """
    model, settings = ClassifierSettings.load(file)
    one_crop = settings.test.model_copy(update={"crops": 1, "flip": False})
    plan = member_of(model, settings.preprocessing, one_crop).plan
    model = model.to(device).to(memory_format=torch.channels_last)
    return layer_responses(model, _crops(images, plan, limit, batch))


def cost_lines(name: str, cost: NetCost) -> Iterator[str]:
    """The net, then its stages, one a line."""
    height, width = cost.size
    yield f"{name}: {cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds for {height}×{width} pixels"
    for stage in cost.stages:
        cells = f"{stage.channels}×{stage.size[0]}×{stage.size[1]}"
        share = 100 * stage.multiply_adds / cost.multiply_adds
        yield f"  {stage.stage}  {cells:>12}  {stage.parameters:>11,}  {stage.multiply_adds:>14,}  {share:5.1f} %"


def names_of(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, and the one before it where that says too little: resnet20/seed0."""
    counts = Counter(path.name for path in paths)
    short = [counts[path.name] == 1 and not path.name.startswith("seed") for path in paths]
    names = [path.name if own else "/".join(path.parts[-2:]) for path, own in zip(paths, short, strict=True)]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _crops(images: ClassifiedImages, plan: ViewPlan, limit: int, batch: int) -> Iterator[Tensor]:
    chosen = np.linspace(0, len(images) - 1, min(limit, len(images))).round().astype(np.int64)
    for views in view_loader(ViewDataset(images.subset(chosen), (plan,)), Share(batch=batch)):
        yield from (group.pixels for group in (views.views[0] if len(views) else ()))


def _write(figure: Any, out: Path, content: Any, reporter: Reporter) -> None:
    numbers = write_whole(out.with_suffix(".json"), json.dumps(content, indent=1) + "\n")
    reporter.say(f"written: {write_figure(figure, out)}, {numbers}")
