"""A few steps on the set's own pictures, thrown away: how fast they are here, and how many pictures fit at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.optim import Optimizer

from detres.config.detection_schema import Config
from detres.data.detection.annotations import AnnotatedImages
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.devices import computing_in, has_bf16
from detres.peak_memory import forget_high_water_mark, high_water_mark
from detres.precision import Precision
from detres.structures import DetectionBatch
from detres.system_errors import out_of_memory
from detres.tasks.detection.data import training_batches, training_set
from detres.tasks.runs.assembly import optimizer_of

_MARGIN = 0.7
"""Share of the free memory that a step may take: pictures differ, and others use the machine."""
_ENOUGH, _LEAST_ROUNDS, _MOST_ROUNDS = 2.0, 3, 10
"""Seconds of steps that are timed, and how many of each precision at least and at most."""
_MIB = 2**20


@dataclass(frozen=True)
class Trial:
    """seconds: of training, for a picture, in each precision that the device computes in. test_seconds: of a
    prediction. at_once: pictures that fit into the memory; None where nobody knows.
    """

    seconds: dict[Precision, float]
    test_seconds: float
    at_once: int | None

    @property
    def faster(self) -> Precision:
        """Half of float32 where it is worth its rounding."""
        fastest = min(self.seconds, key=self.seconds.__getitem__)
        return fastest if self.seconds[fastest] < self.seconds["float32"] / 1.2 else "float32"


def try_steps(make: Callable[[], FasterRCNN], config: Config, images: AnnotatedImages, device: torch.device) -> Trial:
    """make: the model as the run will begin with it, on the device; it is made anew there, from the same weights.

    Raises UserError where a picture cannot be read.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        model = make()
        one, two = (_batch_of(config, images, count, device) for count in (1, 2))
        half: Precision = "bf16" if has_bf16(device) else "float16"
        # The stated one, too: a user may ask for another than would be chosen.
        precisions: tuple[Precision, ...] = tuple(dict.fromkeys(("float32", half, config.training.precision)))
        step = partial(_step, model, _resting_optimizer(model, config), device)
        seconds = _seconds(step, one, precisions)
        precision: Precision = Trial(seconds, 0.0, None).faster
        at_once = _at_once(partial(step, precision), one, two, device)
        return Trial(seconds, _test_seconds(model, one, device, precision), at_once)


def _batch_of(config: Config, images: AnnotatedImages, count: int, device: torch.device) -> DetectionBatch:
    """One micro-batch of a run's beginning, read by this process."""
    training = config.training.model_copy(update={"batch": count, "per_device_batch": None})
    data = config.data.model_copy(update={"workers": 0})
    alone = config.model_copy(update={"training": training, "data": data})
    batches, _ = training_batches(alone, training_set(alone, images), device)
    return next(batches(0)).to(device)


def _resting_optimizer(model: FasterRCNN, config: Config) -> Optimizer:
    """A rate of nothing: random layers would drive the weights to infinity, and what is measured is the same."""
    optimizer = optimizer_of(model, config)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    return optimizer


def _step(
    model: FasterRCNN, optimizer: Optimizer, device: torch.device, precision: Precision, batch: DetectionBatch
) -> float:
    """Seconds that it takes."""
    model.train()
    start = _now(device)
    with computing_in(precision, device):
        losses = model(batch)
    sum(loss for name, loss in losses.items() if name.startswith("loss")).backward()
    optimizer.step()
    optimizer.zero_grad()
    return _now(device) - start


def _seconds(
    step: Callable[[Precision, DetectionBatch], float], one: DetectionBatch, precisions: tuple[Precision, ...]
) -> dict[Precision, float]:
    """Of the fastest step, by precision, for what else the machine does only adds to one.

    The precisions take turns, so that a busy moment meets all. Their first steps prepare kernels and memory.
    """
    rounds: list[dict[Precision, float]] = []
    begin = time.perf_counter()
    while len(rounds) <= _LEAST_ROUNDS or (time.perf_counter() - begin < _ENOUGH and len(rounds) <= _MOST_ROUNDS):
        rounds.append({precision: step(precision, one) for precision in precisions})
    return {precision: min(times[precision] for times in rounds[1:]) for precision in precisions}


def _test_seconds(model: FasterRCNN, batch: DetectionBatch, device: torch.device, precision: Precision) -> float:
    """Of the faster of two predictions: the first prepares its kernels."""
    model.eval()
    times: list[float] = []
    with torch.inference_mode(), computing_in(precision, device):
        for _ in range(2):
            start = _now(device)
            model.predict(batch)
            times.append(_now(device) - start)
    return min(times) / len(batch.image_ids)


def _at_once(
    step: Callable[[DetectionBatch], float], one: DetectionBatch, two: DetectionBatch, device: torch.device
) -> int | None:
    """By what a second picture takes besides the first."""
    _forget_peak(device)
    free, held = _free(device), _peak(device)
    if free is None or held is None:
        return None
    peaks: list[float] = []
    for batch in (one, two):
        _forget_peak(device)
        try:
            step(batch)
        except RuntimeError as error:
            if batch is one or not (out_of_memory(error) or isinstance(error, torch.OutOfMemoryError)):
                raise
            return 1
        peaks.append(_peak(device) or 0.0)
    each = max(peaks[1] - peaks[0], 32.0)  # What the allocator had left over would look like nothing.
    return 1 + max(0, int((_MARGIN * (free + held) - peaks[0]) / each))


def _forget_peak(device: torch.device) -> None:
    """Else a step in float32 that came before would hide what one in half of it takes."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:
        forget_high_water_mark()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _peak(device: torch.device) -> float | None:
    """MiB that were held at most since the last _forget_peak."""
    return torch.cuda.max_memory_reserved(device) / _MIB if device.type == "cuda" else high_water_mark()


def _free(device: torch.device) -> float | None:
    """MiB that can be had besides; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / _MIB
    file = Path("/proc/meminfo")
    if not file.is_file():
        return None
    lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable")), None)
