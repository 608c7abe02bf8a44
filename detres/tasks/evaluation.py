"""Measure whatever weights are given: a detector's, a classifier's, those of several as one, or a localizer's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detres.config.loading import Layer
from detres.data.places import SplitName
from detres.errors import WeightsError
from detres.reporter import SILENT, Reporter
from detres.tables import EVALUATIONS
from detres.tasks.runs.evaluation_places import Asked
from detres.tasks.runs.opened_model import open_models


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
    models = open_models(weights)
    tasks = {model.task for model in models}
    if len(tasks) > 1:
        told = ", ".join(f"{model.path} of {model.task}" for model in models)
        raise WeightsError(f"models of several tasks are no ensemble: {told}; evaluate them one by one")
    return EVALUATIONS[tasks.pop()](models, Asked(cfg, layers, overrides, split, out, device, reporter))
