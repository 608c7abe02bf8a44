"""What each piece of a test costs, beside one look at one size: refinement, context, scales, mirrors, an ensemble.

The image is noise and the weights are random, their logits sharpened so that there is something to merge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn

from detres.benchmarks.machine import Machine
from detres.benchmarks.memory import peak_of_device, peak_of_process
from detres.benchmarks.rows import Check, Row
from detres.benchmarks.timing import Call, Plan, alternate
from detres.config.detection_schema import Config
from detres.config.loading import load_config, of_schema
from detres.data.detection.image_copies import copies_of
from detres.data.detection.loaders import DetectionSample
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.testing.plan import DetectionTest, Member
from detres.structures import DetectionTarget
from detres.tasks.detection.models import build_detector

_PLAIN = "one look"
# Blocks start as their shortcuts: else random weights overflow in a hundred layers, and nothing would be proposed.
_RANDOM = ("model.backbone.weights=null", "model.backbone.frozen_stages=0", "model.backbone.zero_init_last=true")
_FIVE = "test.scales=[200,400,600,800,1000]"
PIECES: dict[str, tuple[str, ...]] = {
    _PLAIN: (),
    "refine": ("test.refine=1",),
    "context": ("model.global_context=true",),
    "scales": (_FIVE,),
    "all three": ("test.refine=1", "model.global_context=true", _FIVE),
    "scales and mirrors merged": (_FIVE, "test.flip=true", "test.fusion=nms"),
}


@dataclass(frozen=True)
class LooksWork:
    """A config's detector on one image of `side` by `side` pixels. pieces: overrides by name, the plain test first."""

    config: str = "coco_r101"
    side: int = 1000
    overrides: tuple[str, ...] = ()
    pieces: dict[str, tuple[str, ...]] = field(default_factory=lambda: PIECES)


def measure_looks(machine: Machine, work: LooksWork, plan: Plan) -> list[Row]:
    """The rows test/PIECE, seconds and parameters, and test/PIECE/memory, each beside the plain test's."""
    calls = {piece: make_test(work, piece, machine.device) for piece in work.pieces}
    found: dict[str, int] = {}

    def kept(piece: str) -> None:
        found[piece] = len(calls[piece]())

    timed = alternate({piece: partial(kept, piece) for piece in calls}, machine.device, plan)
    times = {piece: float(np.median(each)) for piece, each in timed.items()}
    peaks = {piece: _peak(machine, work, piece) for piece in work.pieces} if plan.memory else {}
    plain, *pieces = work.pieces
    what = f"{work.config} on an image of {work.side}×{work.side}"
    rows = []
    for piece in pieces:
        named, rounds = f"test/{piece.replace(' ', '_')}", len(timed[piece])
        # A detector that proposes nothing would be quick.
        check = Check(min(found[piece], found[plain]) > 0, f"{found[piece]} detections, {found[plain]} in one look")
        rows.append(Row(named, times[piece], times[plain], "s/image", plain, what, rounds=rounds, check=check))
        if peaks:
            rows.append(Row(f"{named}/memory", peaks[piece], peaks[plain], "MiB", plain, what))
    return [*rows, *_parameter_rows(work, plain, pieces)]


def make_test(work: LooksWork, piece: str, device: torch.device) -> Call:
    """A test of one image whose copies lie ready on the device."""
    config = of_schema(load_config(work.config, [*_RANDOM, *work.overrides, *work.pieces[piece]]), Config)
    test = DetectionTest([Member(_detector(config).to(device), config.data)], config.test)
    rgb = np.random.default_rng(0).integers(0, 256, (work.side, work.side, 3), dtype=np.uint8)
    sample = DetectionSample(rgb, (work.side, work.side), 0, DetectionTarget.empty(), sample_key=0)
    copies = [copy.to(device) for copy in copies_of(sample, test.copies)]
    return partial(test, copies)


def _detector(config: Config) -> FasterRCNN:
    model = build_detector(config).eval()
    nn.init.normal_(model.roi.class_logits.weight, std=1.0)
    return model.to(memory_format=torch.channels_last)


def _peak(machine: Machine, work: LooksWork, piece: str) -> float:
    if machine.device.type == "cuda":
        return peak_of_device(make_test(work, piece, machine.device), (), machine.device)
    return peak_of_process(partial(make_test, work, piece, machine.device), machine.threads)


def _parameter_rows(work: LooksWork, plain: str, pieces: list[str]) -> list[Row]:
    """Of pieces that change the model."""
    counts = {}
    for piece in (plain, *pieces):
        changes = tuple(text for text in work.pieces[piece] if text.startswith("model."))
        config = of_schema(load_config(work.config, [*_RANDOM, *work.overrides, *changes]), Config)
        counts[piece] = sum(parameter.numel() for parameter in build_detector(config).parameters()) / 1e6
    return [
        Row(f"test/{piece.replace(' ', '_')}/parameters", counts[piece], counts[plain], "10⁶", plain, work.config)
        for piece in pieces
        if counts[piece] != counts[plain]
    ]
