"""A classification network forward, and one step of training it, against torchvision's and timm's."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from detres.backbones.norms import fold_norms
from detres.benchmarks.contenders import Comparison, Contender, Makers, autocast, loss_of, measure
from detres.benchmarks.machine import Machine, Precision, count_operations, exact_float32
from detres.benchmarks.rows import Check, Row
from detres.benchmarks.timing import Plan
from detres.classification.classifier import Classifier, build_classifier
from detres.prediction import weights_as_constants
from detres.structures import ClassificationBatch
from detres.training.loop import train_steps
from detres.training.optimizers import build_optimizer

PEERS = ("torchvision", "timm")
_RATE = 1e-9
# Relative to the largest logit, or to the loss. bf16 has three digits, and random networks many layers to lose them in.
_TOLERANCE = {"float32": 1e-4, "bf16": 0.1}


@dataclass(frozen=True)
class Pictures:
    """What is classified in one call: `images` of side × side pixels."""

    backbone: str = "resnet50"
    images: int = 8
    side: int = 224
    classes: int = 1000

    @property
    def work(self) -> str:
        return f"{self.images} images of {self.side}×{self.side} a call"

    def rgb(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randint(256, (self.images, self.side, self.side, 3), generator=generator, dtype=torch.uint8)

    def labels(self) -> Tensor:
        return torch.arange(self.images) % self.classes


def measure_backbone(machine: Machine, pictures: Pictures, plan: Plan) -> list[Row]:
    """Rows of backbone/…: forward and train, time an image."""
    rows = []
    peers = [peer for peer in PEERS if importlib.util.find_spec(peer)]
    for kind, ours, theirs in (
        ("forward", make_our_forward, make_their_forward),
        ("train", make_our_step, make_their_step),
    ):
        makers: Makers = {
            "ours float32": partial(ours, pictures, machine.device, "float32", machine.compile),
            "ours bf16": partial(ours, pictures, machine.device, "bf16", machine.compile),
            **{f"{peer} float32": partial(theirs, peer, pictures, machine.device, "float32") for peer in peers},
            **{f"{peer} bf16": partial(theirs, peer, pictures, machine.device, "bf16") for peer in peers},
        }
        contenders = {name: make() for name, make in makers.items()}
        comparison = Comparison(
            name=f"backbone/{pictures.backbone}/{kind}",
            work=pictures.work,
            images=pictures.images,
            operations=count_operations(contenders["torchvision float32"]),
            peers=peers,
            targets={},
            checks=_checks(contenders),
        )
        rows += measure(comparison, makers, contenders, machine, plan)
    return rows


def _checks(contenders: dict[str, Contender]) -> dict[str, Check]:
    """What every contender computes (logits, or the loss of its next step), held against torchvision's in float32."""
    with exact_float32():
        found = {name: contender().float().cpu() for name, contender in contenders.items()}
    expected = found.pop("torchvision float32")
    scale = float(expected.abs().max())
    checks = {}
    for precision, tolerance in _TOLERANCE.items():
        gaps = {
            name: float((value - expected).abs().max()) / scale
            for name, value in found.items()
            if name.endswith(precision)
        }
        worst = max(gaps.values())
        checks[precision] = Check(worst <= tolerance, f"outputs agree to {worst:.1e} of the largest, same weights")
    return checks


def peer_network(name: str, pictures: Pictures) -> nn.Module:
    """A network of torchvision or timm with the weights that torchvision's has at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.get_model(pictures.backbone, weights=None, num_classes=pictures.classes)
    if name == "torchvision":
        return model
    timm = importlib.import_module("timm")  # importing it takes a second, and a GPU's machine may lack it
    other = timm.create_model(pictures.backbone, num_classes=pictures.classes)
    other.load_state_dict(model.state_dict())
    return other


def our_network(pictures: Pictures) -> Classifier:
    model = build_classifier(pictures.backbone, num_classes=pictures.classes)
    model.load_state_dict(peer_network("torchvision", pictures).state_dict())
    return model


def make_our_forward(pictures: Pictures, device: torch.device, precision: Precision, compile: bool) -> Contender:
    """Norms folded into convolutions, channels_last, compiled where that can be done."""
    model = fold_norms(our_network(pictures)).to(device).to(memory_format=torch.channels_last)
    images = model.normalize(pictures.rgb().to(device))
    logits: Callable[[Tensor], Tensor] = torch.compile(model.logits, dynamic=False) if compile else model.logits

    @torch.no_grad()
    def call() -> Tensor:
        with autocast(device, precision), weights_as_constants(compile and device.type == "cpu"):
            return logits(images)

    return Contender(call, lambda: model.parameters())


def make_their_forward(peer: str, pictures: Pictures, device: torch.device, precision: Precision) -> Contender:
    """As it comes: float32 or autocast, NCHW."""
    images = our_network(pictures).normalize(pictures.rgb()).contiguous().to(device)
    model = peer_network(peer, pictures).eval().to(device)

    @torch.inference_mode()
    def call() -> Tensor:
        with autocast(device, precision):
            return model(images)

    return Contender(call, lambda: [*model.parameters(), *model.buffers()])


def make_our_step(pictures: Pictures, device: torch.device, precision: Precision, compile: bool) -> Contender:
    """detres's own loop; gives the loss before the step's update."""
    model: Any = our_network(pictures).to(device).to(memory_format=torch.channels_last)
    if compile:
        model.compile()
    batch = ClassificationBatch(pictures.rgb(), pictures.labels(), tuple(range(pictures.images)))
    steps = train_steps(
        model,
        itertools.repeat(batch),
        build_optimizer(model, lr=_RATE),
        lambda step: _RATE,
        steps=2**40,
        device=device,
        precision=precision,
    )
    return Contender(lambda: torch.tensor(loss_of(next(steps))), lambda: model.parameters())


def make_their_step(peer: str, pictures: Pictures, device: torch.device, precision: Precision) -> Contender:
    """The plain step: forward, cross-entropy, backward, SGD."""
    images, labels = (
        our_network(pictures).normalize(pictures.rgb()).contiguous().to(device),
        pictures.labels().to(device),
    )
    model = peer_network(peer, pictures).train().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=_RATE, momentum=0.9, weight_decay=1e-4)

    def call() -> Tensor:
        with autocast(device, precision):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Contender(call, lambda: model.parameters())
