"""What every experiment is assembled from, whatever its task: pure functions of the config and the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from detres.backbones.weights.tags import find_published, is_tag
from detres.config.epochs import asks_for_epochs, with_steps
from detres.config.lengths import steps_of
from detres.config.loading import AnyConfig
from detres.distributed import broadcast_from_main, is_main
from detres.draws import Purpose, key
from detres.reporter import Reporter
from detres.training.optimizers import build_optimizer
from detres.training.schedule_building import build_schedule
from detres.training.schedules import Schedule

if TYPE_CHECKING:
    from detres.config.classification_schema import ClassificationConfig
    from detres.config.detection_schema import Config
    from detres.config.localization_schema import LocalizationConfig

T = TypeVar("T")
OneConfig = TypeVar("OneConfig", "Config", "ClassificationConfig", "LocalizationConfig")


def optimizer_of(model: nn.Module, config: AnyConfig) -> torch.optim.Optimizer:
    return build_optimizer(model, **config.optimizer.model_dump())


def schedule_of(config: AnyConfig) -> Schedule:
    """Of a config whose lengths are in steps (config/epochs.py)."""
    section = config.schedule.model_dump()
    section["warmup_steps"] = steps_of(config.schedule.warmup_steps)
    section["milestones"] = tuple(map(steps_of, config.schedule.milestones))
    options, metric = section.pop("options"), config.training.best_metric
    return build_schedule(config.optimizer.lr, config.training.steps, metric=metric, options=options, **section)


def in_steps(config: AnyConfig, images: int, reporter: Reporter) -> AnyConfig:
    """The config with lengths in epochs turned into steps of the set, and told."""
    if not asks_for_epochs(config):
        return config
    config, turned = with_steps(config, images)
    for one in turned:
        reporter.say(f"{one} ({one.to})")
    return config


def memory_format_of(config: AnyConfig) -> torch.memory_format:
    return torch.channels_last if config.training.channels_last else torch.contiguous_format


@contextmanager
def seeded(config: AnyConfig) -> Iterator[None]:
    """Layers draw their first weights from torch's global generator: here from the seed, and nobody else notices."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.training.seed, Purpose.INITIALIZATION))
        yield


def load_once(load: Callable[[], T]) -> T:
    """A data set on every rank, but one process makes or unpacks what must be made first."""
    loaded = load() if is_main() else None
    # By way of the host: a first index of a large set takes long (distributed.PATIENCE).
    broadcast_from_main(None)
    return load() if loaded is None else loaded


def without_absent_weights(config: OneConfig, reporter: Reporter) -> OneConfig:
    """For a dry run, published weights become random ones unless they are in the cache; files are loaded."""
    section = config.model.backbone
    if section.weights is None or not is_tag(section.weights) or section.name.startswith("timm/"):
        return config
    if find_published(section.weights, section.name).file.is_file():
        return config
    reporter.say(
        f"weights: {section.weights} is not in the cache; a dry run downloads nothing, random weights stand in for it"
    )
    section = section.model_copy(update={"weights": None, "frozen_stages": 0})
    return config.model_copy(update={"model": config.model.model_copy(update={"backbone": section})})
