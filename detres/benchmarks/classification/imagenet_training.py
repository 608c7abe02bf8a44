"""Images a second of training ResNet-50 as fast as a device can: the batch lies there, and is learned again and again.

The peers: timm's own net under our loop, compiled as ours is; torchvision's under the plain loop, not compiled, as it
comes (float32, NCHW) and in bf16 with channels_last.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detres.backbones.pixels import normalize_pixels
from detres.benchmarks.backbone import Pictures, our_network, peer_network
from detres.benchmarks.contenders import Comparison, Contender, Makers, autocast, measure
from detres.benchmarks.machine import Machine, Precision, count_operations, exact_float32
from detres.benchmarks.rows import Check, Row
from detres.benchmarks.timing import Plan
from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import load_config, of_schema
from detres.structures import IMAGENET_STATS, ClassificationBatch
from detres.tasks.classification.models import prepare_classifier
from detres.training.loop import train_steps
from detres.training.optimizers import build_optimizer

# So small that the weights stay what they were.
_RATE = 1e-9
# Of the largest logit, in float32, batch norm in training mode.
_CHECKED_IMAGES, _TOLERANCE = 8, 1e-3


@dataclass(frozen=True)
class ImagenetWork:
    """`steps` of a call, each on the same pictures."""

    pictures: Pictures
    steps: int = 10

    @property
    def work(self) -> str:
        pictures = self.pictures
        return f"{self.steps} steps of {pictures.images} images of {pictures.side}×{pictures.side} a call"


def measure_imagenet(machine: Machine, work: ImagenetWork, plan: Plan) -> list[Row]:
    """Rows of train_cls/NET/…: ours in bf16 against each peer."""
    device = machine.device
    if machine.compile:
        torch.compiler.reset()  # The compiler gives up on a method that has been compiled for several nets.
    makers: Makers = {
        "ours bf16": partial(make_ours, work, device, machine.compile),
        "torchvision float32": partial(make_torchvision, work, device, "float32"),
        "torchvision bf16": partial(make_torchvision, work, device, "bf16"),
    }
    if importlib.util.find_spec("timm"):
        makers = {**makers, "timm bf16": partial(make_timm, work, device, machine.compile)}
    check = same_logits(work.pictures, device)
    contenders = {name: make() for name, make in makers.items()}
    comparison = Comparison(
        name=f"train_cls/{work.pictures.backbone}",
        work=work.work,
        images=work.pictures.images * work.steps,
        operations=work.steps * count_operations(make_torchvision(replace(work, steps=1), device, "float32")),
        peers=["torchvision", "timm"],
        targets={},
        checks={"bf16": check},
        unit="images/s",
    )
    return measure(comparison, makers, contenders, machine, plan)


class Learner(nn.Module):
    """Another's network in the form that our loop trains: from uint8 pictures to the loss."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: ClassificationBatch) -> dict[str, Tensor]:
        images = normalize_pixels(batch.images, IMAGENET_STATS, torch.float32)
        return {"loss": F.cross_entropy(self.network(images), batch.labels)}


def make_ours(work: ImagenetWork, device: torch.device, compile: bool) -> Contender:
    """As the recipe trains it with training.compile=true."""
    config = of_schema(load_config("imagenet_r50", [f"training.compile={str(compile).lower()}"]), ClassificationConfig)
    return _under_our_loop(prepare_classifier(our_network(work.pictures), config, device), work, device)


def make_timm(work: ImagenetWork, device: torch.device, compile: bool) -> Contender:
    network = peer_network("timm", work.pictures).to(device).to(memory_format=torch.channels_last)
    if compile:
        network.compile()
    return _under_our_loop(Learner(network), work, device)


def _under_our_loop(model: nn.Module, work: ImagenetWork, device: torch.device) -> Contender:
    """In bf16, losses read at every hundredth step."""
    reports = train_steps(
        model,
        itertools.repeat(batch_of(work.pictures).to(device)),
        build_optimizer(model, lr=_RATE),
        lambda step: _RATE,
        steps=2**40,
        device=device,
        precision="bf16",
        due=lambda step: step % 100 == 0,
    )
    return Contender(lambda: [next(reports) for _ in range(work.steps)])


def make_torchvision(work: ImagenetWork, device: torch.device, precision: Precision) -> Contender:
    """The plain loop on normalized images: as it comes, or in bf16 with channels_last."""
    layout = torch.channels_last if precision == "bf16" else torch.contiguous_format
    pictures = work.pictures
    images = our_network(pictures).normalize(pictures.rgb()).to(device).contiguous(memory_format=layout)
    labels = pictures.labels().to(device)
    model = peer_network("torchvision", pictures).train().to(device).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=_RATE, momentum=0.9, weight_decay=1e-4)

    def call() -> None:
        for _ in range(work.steps):
            with autocast(device, precision):
                loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return Contender(call)


def batch_of(pictures: Pictures) -> ClassificationBatch:
    return ClassificationBatch(pictures.rgb(), pictures.labels(), tuple(range(pictures.images)))


@torch.no_grad()
def same_logits(pictures: Pictures, device: torch.device) -> Check:
    """Whether all networks compute the same of a few pictures in training mode, with the same weights."""
    few = replace(pictures, images=min(pictures.images, _CHECKED_IMAGES))
    ours = our_network(few).to(device).train()
    images = ours.normalize(few.rgb().to(device))
    peers = [peer for peer in ("torchvision", "timm") if importlib.util.find_spec(peer)]
    with exact_float32():
        found = ours.logits(images)
        others = [peer_network(peer, few).to(device).train()(images) for peer in peers]
    return compare_logits(found, others)


def compare_logits(ours: Tensor, others: list[Tensor]) -> Check:
    """Within a thousandth of the largest of each other."""
    gap = max(float((ours - other).abs().max() / other.abs().max()) for other in others)
    return Check(gap <= _TOLERANCE, f"logits in training mode agree to {gap:.1e} of the largest, same weights")
