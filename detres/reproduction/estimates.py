"""About how long runs will take: their own lines where they have begun, else one net's time, scaled to the others."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from detres.backbones.complexity import NetCost, cost_of
from detres.classification.classifier import build_classifier
from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import of_schema
from detres.devices import computing_in
from detres.reproduction.planning import Plan, Run
from detres.structures import ClassificationBatch

# Pixels of the batch that is timed: enough to fill a device, few enough to take seconds.
_PIXELS = {"cpu": 64 * 32 * 32, "cuda": 64 * 224 * 224}


class Estimates:
    """Seconds that are left of runs on a device, roughly: a net that did not run yet is taken to need time as the
    cheapest of them does, by its multiply-adds. Of detectors, what did not run yet is not known.
    """

    def __init__(self, plans: Sequence[Plan], device: torch.device) -> None:
        self._device = device
        runs = [run for plan in plans for run in plan.runs if isinstance(run.config, ClassificationConfig)]
        self._costs = {run.config.recipe: net_cost(of_schema(run.config, ClassificationConfig)) for run in runs}
        unknown = [run for run in runs if run.seconds_per_step is None]
        self._timed = min(unknown, key=lambda run: self._costs[run.config.recipe].multiply_adds, default=None)
        self._seconds_per_image: float | None = None

    def seconds_left(self, run: Run) -> float | None:
        left = max(run.steps - run.step, 0)
        if run.seconds_per_step is not None:
            return left * run.seconds_per_step
        if run.config.recipe not in self._costs:
            return None
        assert self._timed is not None, "it is among those that did not run yet"
        timed = of_schema(self._timed.config, ClassificationConfig)
        if self._seconds_per_image is None:
            self._seconds_per_image = seconds_per_image(timed, self._device)
        share = self._costs[run.config.recipe].multiply_adds / self._costs[timed.recipe].multiply_adds
        return left * run.config.training.batch * self._seconds_per_image * share


def net_cost(config: ClassificationConfig) -> NetCost:
    """What one training image of the config costs."""
    backbone, names = config.model.backbone, config.model.class_names
    return cost_of(
        backbone.name,
        num_classes=len(names) if names else None,
        crop=config.data.crop,
        shortcut=backbone.shortcut,
        stride_in=backbone.stride_in,
    )


def seconds_per_image(config: ClassificationConfig, device: torch.device) -> float:
    """Of forward and backward pass of the config's net, as it is after a warm-up, not compiled."""
    crop, backbone = config.data.crop, config.model.backbone
    batch = max(1, min(config.training.batch, _PIXELS.get(device.type, _PIXELS["cuda"]) // crop**2))
    net = (
        build_classifier(
            backbone.name, num_classes=10, shortcut=backbone.shortcut, stride_in=backbone.stride_in, norm=backbone.norm
        )
        .to(device)
        .to(memory_format=torch.channels_last)
    )
    images = torch.zeros(batch, crop, crop, 3, dtype=torch.uint8, device=device)
    sample = ClassificationBatch(images, torch.zeros(batch, dtype=torch.int64, device=device), tuple(range(batch)))
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        with computing_in(config.training.precision, device):
            loss = net(sample)["loss"]
        loss.backward()
        loss.item()
        seconds = time.perf_counter() - started
    return seconds / batch


def in_words(seconds: float) -> str:
    """`about 3 min`, `about 5 h`, `about 12 days`."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            return f"about {_rounded(seconds / size)} {unit}"
    return "about a minute" if seconds > 20 else "seconds"


def _rounded(number: float) -> str:
    """To three digits, without an exponent: 1.97, 27.8, 1360."""
    return f"{float(f'{number:.3g}'):g}"
