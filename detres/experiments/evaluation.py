"""Measure whatever weights are given: a detector's, a classifier's, those of several as one, or a localizer's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from detres.backbones.architectures import BACKBONES
from detres.config.loading import Layer
from detres.data.places import SplitName
from detres.errors import WeightsError
from detres.reporter import SILENT, Reporter
from detres.tables import EVALUATIONS
from detres.training.checkpoint_reading import find_weights_file, read_metadata


def evaluate(
    weights: str | Path | Sequence[str | Path],
    *,
    cfg: str | None = None,
    layers: Sequence[Layer] = (),
    overrides: Sequence[str] = (),
    split: SplitName | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    reporter: Reporter = SILENT,
) -> dict[str, Any] | None:
    """The content of metrics.json; None on ranks that are not the main one.

    weights: a run folder, a checkpoint, a file or a tag; several are an ensemble, tested as one. They decide the model
    and how images are fed to it. The data are those of cfg, of layers (--data), or of the run the weights lie in;
    overrides win. split: None is test where there is one, else val. out: None is RUN/eval/SET-SPLIT-CHECKPOINT.
    Raises UserError.
    """
    several = [weights] if isinstance(weights, str | Path) else list(weights)
    options: dict[str, Any] = {
        "cfg": cfg,
        "layers": layers,
        "overrides": overrides,
        "split": split,
        "out": out,
        "device": device,
        "reporter": reporter,
    }
    tasks = {task_of_weights(each) for each in several}
    # Of several tasks, the classifiers' says which of them is none.
    return EVALUATIONS[tasks.pop() if len(tasks) == 1 else "classification"](several, **options)


def task_of_weights(weights: str | Path) -> Literal["detection", "classification", "localization"]:
    """What the weights are for, by their tag or by what their file says; detection where it says nothing."""
    publisher, _, name = str(weights).partition("/")
    if publisher in ("torchvision", "timm") and not Path(weights).exists():
        return "classification" if name.partition(".")[0] in BACKBONES else "detection"
    try:
        stated = json.loads(read_metadata(find_weights_file(weights)).get("detres", "{}"))
    except (WeightsError, ValueError):
        return "detection"  # Whoever reads them tells what is wrong.
    task = stated.get("task") if isinstance(stated, dict) else None
    return task if task in ("classification", "localization") else "detection"
