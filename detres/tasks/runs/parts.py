"""What a task contributes to an experiment. The run itself (training.py, dry_run.py) is the same for every task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import nn

from detres.reporter import Reporter

if TYPE_CHECKING:
    from detres.tasks.runs.opened_model import OpenedModel
    from detres.training.logging.logs import Pictures
    from detres.training.loop import Batch
    from detres.training.running import Evaluate

Model = TypeVar("Model", bound=nn.Module)
OneBatch = TypeVar("OneBatch", bound="Batch")
OneConfig = TypeVar("OneConfig")
Images = TypeVar("Images", bound=Sized)


@dataclass(frozen=True)
class Start:
    """run: the run's folder. Its model is its own checkpoint's, else that of other weights, else that of its config."""

    run: Path
    checkpoint: Path | None = None
    weights: str | Path | OpenedModel | None = None

    def begin(
        self,
        *,
        of_checkpoint: Callable[[Path], Model],
        of_weights: Callable[[str | Path | OpenedModel], Model],
        of_config: Callable[[], Model],
    ) -> Model:
        """The model that the run begins or goes on with, by the one of these that makes it."""
        if self.checkpoint is not None:
            return of_checkpoint(self.checkpoint)
        return of_weights(self.weights) if self.weights is not None else of_config()


@dataclass(frozen=True)
class TrainingParts:
    """What is trained, on what, and how it is measured.

    model: on its device. metadata: of every model.safetensors of the run. batches: from a step to this rank's endless
    micro-batches. accumulate: how many of them make a step. evaluate, finish, pictures: as Run has them.
    publish: called on the main rank with a checkpoint's folder whenever it is the one that the run is judged by.
    warnings: what turned out to be wrong with the data, asked for when the run ends. best_counts: whether the best
    evaluation so far was of the same images as those to come.
    """

    model: nn.Module
    metadata: Mapping[str, str]
    batches: Callable[[int], Iterator[Batch]]
    accumulate: int
    evaluate: Evaluate | None = None
    finish: Callable[[], None] | None = None
    publish: Callable[[Path], None] | None = None
    warnings: Callable[[], list[str]] = list
    best_counts: bool = True
    pictures: Pictures | None = None


@dataclass(frozen=True)
class Training(Generic[OneConfig, Images]):
    """A task, as the trainer of all tasks sees it. An entry of tables.TRAININGS.

    load: the training images, what is wrong with them said; as many as an epoch has. parts: what a run on them is made
    of: (config, images, start, device, reporter).
    """

    load: Callable[[OneConfig, Reporter], Images]
    parts: Callable[[OneConfig, Images, Start, torch.device, Reporter], TrainingParts]


@dataclass(frozen=True)
class DryParts(Generic[OneBatch]):
    """A model on its device, an embedded batch for one step, and one prediction on it, put into words.

    images: the training set; None where it is not here.
    """

    model: nn.Module
    batch: OneBatch
    predict: Callable[[OneBatch], str]
    images: Sized | None
