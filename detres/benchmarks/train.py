"""One training step of a detector: forward, backward and the update, on the same pictures and targets."""

from __future__ import annotations

import itertools
from functools import partial

import torch

from detres.benchmarks.agreement import same_losses
from detres.benchmarks.contenders import Comparison, Contender, Makers, autocast, measure
from detres.benchmarks.machine import Machine, Precision, count_operations, exact_float32
from detres.benchmarks.rows import Check, Row
from detres.benchmarks.scenes import Scene, detres_detector, their_images, their_targets, torchvision_detector
from detres.benchmarks.timing import Plan
from detres.training.loop import train_steps
from detres.training.optimizers import build_optimizer

TARGETS = {"float32": 1.25, "bf16": 2.5}
# So small that the weights, and with them the work, stay what they were.
_RATE = 1e-9


def measure_train(machine: Machine, scene: Scene, plan: Plan) -> list[Row]:
    """Rows of train/…: a step's time by its images, and peak memory."""
    same = check_losses(scene, machine.device)
    makers: Makers = {
        "ours float32": partial(make_ours, scene, machine.device, "float32", machine.compile),
        "ours bf16": partial(make_ours, scene, machine.device, "bf16", machine.compile),
        "torchvision float32": partial(make_theirs, scene, machine.device, "float32"),
        "torchvision bf16": partial(make_theirs, scene, machine.device, "bf16"),
    }
    contenders = {name: make() for name, make in makers.items()}
    comparison = Comparison(
        name=f"train/{scene.name}",
        work=scene.work,
        images=scene.images,
        operations=count_operations(contenders["torchvision float32"]),
        peers=["torchvision"],
        targets=TARGETS,
        checks={"float32": same, "bf16": same},
    )
    return measure(comparison, makers, contenders, machine, plan)


def check_losses(scene: Scene, device: torch.device) -> Check:
    """Whether the losses of both sides agree in float32."""
    theirs = torchvision_detector(scene)
    ours, _ = detres_detector(theirs, scene)
    images = [image.to(device) for image in their_images(scene.pictures())]
    with exact_float32():
        return same_losses(
            ours.to(device), theirs.to(device), scene.batch().to(device), images, their_targets(scene.targets(), device)
        )


def make_ours(scene: Scene, device: torch.device, precision: Precision, compile: bool) -> Contender:
    """detres's own loop, losses read and watched at every step."""
    model, _ = detres_detector(torchvision_detector(scene), scene)
    model = model.to(device).to(memory_format=torch.channels_last)
    if compile:
        model.backbone.compile()
        model.neck.compile()
    optimizer = build_optimizer(model, lr=_RATE)
    batches = itertools.repeat(scene.batch())
    steps = train_steps(model, batches, optimizer, lambda step: _RATE, steps=2**40, device=device, precision=precision)
    return Contender(lambda: next(steps), lambda: _resident(model, optimizer))


def make_theirs(scene: Scene, device: torch.device, precision: Precision) -> Contender:
    """The plain step of torchvision's reference training, without its logging."""
    model = torchvision_detector(scene).to(device).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=_RATE, momentum=0.9, weight_decay=1e-4)
    images, targets = their_images(scene.pictures()), scene.targets()

    def call() -> None:
        with autocast(device, precision):
            losses = model([image.to(device) for image in images], their_targets(targets, device))
            total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return Contender(call, lambda: _resident(model, optimizer))


def _resident(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Weights, buffers, gradients and momentum: what a step finds there when it begins."""
    parameters = list(model.parameters())
    momenta = [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    gradients = [p.grad for p in parameters if p.grad is not None]
    return [*parameters, *model.buffers(), *gradients, *momenta]
