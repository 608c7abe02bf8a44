"""Build everything a run would build, take one step and one prediction on two small images, and say what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from detres.config.epochs import asks_for_epochs
from detres.config.lengths import steps_of
from detres.config.loading import AnyConfig, dump_config
from detres.config.sections import TrainingConfig
from detres.devices import computing_in
from detres.distributed import local_device
from detres.reporter import SILENT, Reporter
from detres.tables import DRY_RUNS
from detres.tasks.runs.assembly import in_steps, optimizer_of, schedule_of
from detres.training.deterministic import deterministic, what_it_costs

if TYPE_CHECKING:
    from detres.tasks.runs.opened_model import OpenedModel
    from detres.tasks.runs.parts import DryParts
    from detres.training.loop import Batch


def dry_run(
    config: AnyConfig,
    *,
    weights: str | Path | OpenedModel | None = None,
    device: str | None = None,
    reporter: Reporter = SILENT,
    data_is_stated: bool = False,
) -> None:
    """Print the resolved config, the schedule, parameters and memory; learn from two embedded images once.

    weights: a model of the same task to start from. data_is_stated: the user named the data, so that they must be
    there; else a missing set is only said. So are published weights that are not at hand: a dry run downloads nothing.
    """
    where = local_device(device)
    if others := set(config.training.logs) - set(TrainingConfig().logs):
        from detres.training.logging.making import make_loggers

        make_loggers(sorted(others))  # What cannot be made is told; a dry run starts none.
    with deterministic(config.training.deterministic, where):
        _say_and_try(DRY_RUNS[config.task](config, weights, where, reporter, data_is_stated), config, where, reporter)


def _say_and_try(parts: DryParts[Any], config: AnyConfig, where: torch.device, reporter: Reporter) -> None:
    if parts.images is not None:
        config = in_steps(config, len(parts.images), reporter)
    reporter.say(dump_config(config).rstrip())
    say_schedule(config, reporter)
    say_size(parts.model, config, reporter)
    if config.training.deterministic:
        reporter.say(what_it_costs(where))
    batch = parts.batch.to(where)
    with computing_in(config.training.precision, where):
        losses = _one_step(parts.model, config, batch)
        parts.model.eval()
        with torch.no_grad():
            found = parts.predict(batch)
    reporter.say(
        "one step on two embedded images: " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
    )
    reporter.say(f"one prediction: {found}; dry run done")


def say_schedule(config: AnyConfig, reporter: Reporter) -> None:
    """The learning rate where it changes."""
    if asks_for_epochs(config):
        reporter.say("schedule: it counts in epochs, and how many steps those are, the images say, which are not here")
        return
    schedule, steps = schedule_of(config), config.training.steps
    milestones = map(steps_of, config.schedule.milestones)
    marks = sorted({0, steps_of(config.schedule.warmup_steps), *milestones, steps // 2, steps - 1})
    rates = ", ".join(f"{schedule.lr_at(step):.3g} at {step}" for step in marks if step < steps)
    reporter.say(
        f"schedule: {steps} steps of {config.training.batch} images; learning rate {rates}{_reactions(config)}"
    )


def _reactions(config: AnyConfig) -> str:
    """What the results will do to the rate."""
    schedule = config.schedule
    told = ""
    if schedule.warmup_error is not None:
        told += (
            f"; {1 / schedule.warmup_factor:g} times as much once the training error is below {schedule.warmup_error:g}"
        )
    if schedule.name == "plateau":
        told += f"; times {schedule.gamma:g} after {schedule.patience} evaluations without a better one"
    return told


def say_size(model: nn.Module, config: AnyConfig, reporter: Reporter) -> None:
    """Parameters, and a lower bound of memory: weights, gradients, the optimizer's state and one set of features."""
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    state = 1 if config.optimizer.name == "sgd" else 2
    fixed = 4 * (total + trained * (1 + state))
    reporter.say(f"parameters: {total:,}, of which {trained:,} are trained")
    reporter.say(
        f"memory: {fixed / 2**20:.0f} MiB for weights, gradients and optimizer, and activations of the images on top"
    )


def _one_step(model: nn.Module, config: AnyConfig, batch: Batch) -> dict[str, float]:
    optimizer = optimizer_of(model, config)
    losses = {name: value for name, value in model.train()(batch).items() if name.startswith("loss")}
    sum(losses.values()).backward()
    optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}
