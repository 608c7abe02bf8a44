"""The recipe `finetune` fitted to a set: facts, a trial, and the choices that follow, told as key=value."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from detres.config.detection_schema import Config
from detres.config.epochs import with_steps
from detres.config.lengths import steps_of
from detres.config.loading import KeyPath, Layer, layer_of, leaves
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_dataset
from detres.data.places import SplitName
from detres.devices import check_precision
from detres.errors import ConfigError
from detres.tasks.detection.finetune import choices
from detres.tasks.detection.finetune.beginning import Beginning
from detres.tasks.detection.finetune.choices import Choice
from detres.tasks.detection.finetune.costs import Costs
from detres.tasks.detection.finetune.facts import Facts
from detres.tasks.detection.finetune.time_limit import in_words
from detres.tasks.detection.finetune.trial import Trial, try_steps
from detres.tasks.detection.models import build_detector, prepare_detector
from detres.tasks.detection.weights import detector_from_weights
from detres.tasks.runs.opened_model import OpenedModel
from detres.words import set_in_words

_APART = 0.1
"""Of the images, where there is nothing to evaluate on."""
_LEAST_STEPS = 50
_START = 30.0
"""Seconds that a run takes before its first step, and after its last."""
_LONG = 6 * 3600.0
"""Seconds of a run that one would not wait for unasked."""
_LEAST_SIDE = 128
"""Pixels: pictures that are made smaller still show hardly any object."""
_SLACK = 1.1
"""Of the time there is: pictures wait for disks, and machines for other work."""
_UNKNOWN = Costs(learning=0.0, evaluating=0.0)


@dataclass
class _Growing:
    """A config that grows by choices; what the user stated is taken as it is, and not chosen."""

    config: Config
    stated: Collection[KeyPath]
    made: list[Choice]

    def take(self, choice: Choice | None) -> None:
        if choice is None or tuple(choice.key.split(".")) in self.stated:
            return
        values = self.config.model_dump()
        group: Any = values
        *above, last = choice.key.split(".")
        for part in above:
            group = group[part]
        group[last] = choice.value
        self.config = Config.model_validate(values)
        self.made.append(choice)


@dataclass(frozen=True)
class Fitted:
    """choices: what the recipe chose, to be laid over the config. lines: the same for people, with reasons.

    batch: of the run, whoever chose it.
    """

    batch: int
    choices: tuple[Choice, ...]
    lines: tuple[str, ...]

    def layers(self) -> list[Layer]:
        """Where the user states a batch, the rate was chosen for it, and is not scaled to it once more."""
        chosen = [(choice.key, choice.value) for choice in self.choices]
        values = [("training.batch", self.batch), *chosen]
        return [layer_of("fitted to the set", key.split("."), value) for key, value in values]

    def overrides(self) -> list[str]:
        """As one would type them: key=value."""
        return [f"{choice.key}={_text(choice.value)}" for choice in self.choices]


def fit(
    config: Config,
    beginning: Beginning,
    weights: OpenedModel | None,
    stated: Collection[KeyPath],
    device: torch.device,
    seconds: float | None = None,
) -> Fitted:
    """What the recipe chooses for the config's set.

    weights: of the detector that it begins with, if it begins with one. stated: keys that the user set. seconds: that
    the run may take; None: what it needs. Raises UserError.
    """
    check_precision(config.training.precision, device, "training.precision")
    growing = _Growing(config, stated, [])
    images = load_dataset(config.data, "train")
    if not (config.data.val or config.data.test or config.data.val_fraction) and len(images) > 1:
        growing.take(Choice("data.val_fraction", _APART, "there is nothing to evaluate on, so a tenth is set apart"))
        growing.take(Choice("data.val_groups", "near_duplicates", "pictures that look alike stay on one side"))
        images = load_dataset(growing.config.data, "train")
    facts = Facts.of(images)
    growing.take(choices.trunk(beginning))
    growing.take(choices.frozen_stages(beginning))
    growing.take(choices.shortest_side(facts))
    growing.take(choices.longest_side(facts, max(growing.config.data.shortest_side)))
    growing.take(choices.augmentation(facts))
    growing.take(choices.most_detections(facts))
    trial = _tried(growing.config, weights, images, device)
    if trial is not None:
        growing.take(_precision(trial))
    costs = _costs(growing.config, trial)
    _choose_length(growing, facts, beginning, costs, _affordable(growing.config, costs, seconds))
    if trial is not None:
        growing.take(_at_once(growing.config.training.batch, trial))
    return Fitted(growing.config.training.batch, tuple(growing.made), tuple(_lines(growing, facts, costs)))


def _choose_length(
    growing: _Growing, facts: Facts, beginning: Beginning, costs: Costs | None, affordable: int | None
) -> None:
    """Epochs, then the batch that leaves updates enough, the rate of that batch, and how often it is evaluated.

    costs: None where nobody measured them. affordable: pictures that fit into the time there is.
    """
    if ("training", "steps") in growing.stated:
        training = growing.config.training
        epochs = training.steps * training.batch / facts.images
    else:
        growing.take(choices.epochs(facts, beginning, affordable))
        epochs = growing.config.training.epochs or 1.0
    growing.take(choices.batch(facts, epochs))
    growing.take(choices.learning_rate(growing.config.training.batch, beginning))
    if growing.config.data.val or growing.config.data.test or growing.config.data.val_fraction:
        growing.take(choices.evaluations(epochs, (costs or _UNKNOWN).evaluations(epochs * facts.images)))
        growing.take(choices.best_metric())


def _tried(config: Config, weights: OpenedModel | None, images: AnnotatedImages, device: torch.device) -> Trial | None:
    """None where several processes would each try, and choose otherwise."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return None
    begin = partial(_begun, config, weights, images.class_names, device)
    return try_steps(begin, config, images, device)


def _begun(config: Config, weights: OpenedModel | None, names: tuple[str, ...], device: torch.device) -> Any:
    model = detector_from_weights(config, names, weights) if weights is not None else build_detector(config, names)
    return prepare_detector(model, config, device)


def _precision(trial: Trial) -> Choice | None:
    if trial.faster == "float32":
        return None
    times = trial.seconds["float32"] / trial.seconds[trial.faster]
    return Choice("training.precision", trial.faster, f"{times:.1f} times as fast as float32 here")


def _at_once(batch: int, trial: Trial) -> Choice | None:
    if trial.at_once is None or trial.at_once >= batch:
        return None
    at_once = max(size for size in range(1, batch + 1) if batch % size == 0 and size <= trial.at_once)
    return Choice("training.per_device_batch", at_once, f"about {trial.at_once} images fit into the memory")


def _costs(config: Config, trial: Trial | None) -> Costs | None:
    if trial is None:
        return None
    split: SplitName | None = (
        "val" if config.data.val or config.data.val_fraction else "test" if config.data.test else None
    )
    measured = len(load_dataset(config.data, split)) if split else 0
    return Costs(_SLACK * trial.seconds[config.training.precision], _SLACK * trial.test_seconds * measured)


def _affordable(config: Config, costs: Costs | None, seconds: float | None) -> int | None:
    """Pictures that a run can learn from in so many seconds. Raises ConfigError where that is hardly any."""
    if seconds is None:
        return None
    if costs is None:
        raise ConfigError("--time is measured by one process; with torchrun, state training.epochs or training.steps")
    affordable = max(costs.affordable(seconds - _START), 0)
    least = _LEAST_STEPS * 2
    if affordable < least:
        evaluation = f" and {in_words(costs.evaluating)} for an evaluation" if costs.evaluating >= 1 else ""
        raise ConfigError(
            f"--time: {in_words(seconds)} are enough for {affordable} images here, at {costs.learning:.2g} s "
            f"each{evaluation}; a run that learns anything takes {in_words(costs.of(least) + _START)} at least. "
            f"Give it more{_smaller(config, affordable / least)}"
        )
    return affordable


def _smaller(config: Config, share: float) -> str:
    """How to a run that takes this share of the time, if pictures can be made that small: it goes with their area."""
    side = int(0.9 * max(config.data.shortest_side) * math.sqrt(max(share, 0.0))) // 32 * 32
    return f", or make the pictures smaller, by data.shortest_side={side}" if side >= _LEAST_SIDE else ""


def _lines(growing: _Growing, facts: Facts, costs: Costs | None) -> Iterator[str]:
    said = [(f"{choice.key}={_text(choice.value)}", choice.reason) for choice in growing.made]
    width = max((len(key) for key, _ in said), default=0)
    yield f"fitted to {facts.name}: {set_in_words(facts.images, facts.boxes, facts.classes)}"
    yield from (f"  {key:<{width}}  {reason}" for key, reason in said)
    if costs is not None:
        takes = _duration(growing.config, facts, costs)
        yield f"  about {in_words(takes)} on this machine" + ("; --time 2h fits it into less" if takes > _LONG else "")


def _duration(config: Config, facts: Facts, costs: Costs) -> float:
    """The last evaluation is the one at the end, whatever is left of the last interval."""
    training = with_steps(config, facts.images)[0].training
    every = steps_of(training.eval_every) if training.eval_every else training.steps
    return (
        _START + training.steps * training.batch * costs.learning + math.ceil(training.steps / every) * costs.evaluating
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def stated_paths(layers: Collection[Layer]) -> Iterator[KeyPath]:
    """Keys that the user set, on the command line or in the file of --data: they are not chosen."""
    for layer in layers:
        if layer.origin != "made":
            yield from leaves(layer.values)
