"""Networks that are held against each other: made, checked by their caller, timed in turn, and weighed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

from detres.benchmarks.machine import Machine, Precision
from detres.benchmarks.memory import peak_of_device, peak_of_process
from detres.benchmarks.rows import Check, Row
from detres.benchmarks.timing import Plan, alternate
from detres.training.loop import StepReport


@dataclass(frozen=True)
class Contender:
    """Something that can be called again and again. own: the tensors that lie on its device between two calls."""

    call: Callable[[], Any]
    own: Callable[[], Iterable[Tensor]] = tuple

    def __call__(self) -> Any:
        return self.call()


Makers = Mapping[str, Callable[[], Contender]]
"""How to make each contender, picklable, by its name: "ours float32", "ours bf16", "PEER float32", "PEER bf16"."""


@dataclass(frozen=True)
class Comparison:
    """A kind of work that networks are timed at.

    name: of its rows, such as detector/r50_fpn. work: what one call does. images: of one call (or steps, where these
    are the unit), by which times are divided. operations: of one call, floating-point. peers: by name. targets: ratios
    to be reached against the first peer, by precision of ours. checks: by precision of ours. unit: of the figures.
    """

    name: str
    work: str
    images: int
    operations: float
    peers: Sequence[str]
    targets: Mapping[str, float]
    checks: Mapping[str, Check]
    unit: Literal["s/image", "images/s", "steps/s"] = "s/image"

    def rows(self, times: Mapping[str, Sequence[float]], machine: Machine) -> list[Row]:
        """times: seconds of each round, by contender.

        Each precision of ours that was timed is held against every peer as it comes, which is in float32; then bf16
        against the peers that were timed in bf16, too.
        """
        found = []
        for precision in ("float32", "bf16"):
            for place, peer in enumerate(self.peers):
                if not {f"ours {precision}", f"{peer} float32"} <= times.keys():
                    continue
                name = f"{self.name}/{precision}" + (f"/{peer}" if place else "")
                target = None if place else self.targets.get(precision)
                found.append(self._row(name, times, machine, (precision, "float32"), peer, target))
        found += [
            self._row(f"{self.name}/bf16_both" + (f"/{peer}" if place else ""), times, machine, ("bf16", "bf16"), peer)
            for place, peer in enumerate(self.peers)
            if {"ours bf16", f"{peer} bf16"} <= times.keys()
        ]
        return found

    def memory_rows(self, peaks: Mapping[str, float]) -> list[Row]:
        """peaks: MiB by contender; ours in both precisions against the first peer as it comes."""
        peer = self.peers[0]
        theirs = peaks[f"{peer} float32"]
        return [
            Row(
                f"{self.name}/{precision}/memory",
                peaks[f"ours {precision}"],
                theirs,
                "MiB",
                f"{peer} (float32)",
                self.work,
                target=1.0,
            )
            for precision in ("float32", "bf16")
        ]

    def _row(
        self,
        name: str,
        times: Mapping[str, Sequence[float]],
        machine: Machine,
        precisions: tuple[Precision, Precision],
        peer: str,
        target: float | None = None,
    ) -> Row:
        contenders = (f"ours {precisions[0]}", f"{peer} {precisions[1]}")
        ours, theirs = (median(times[contender]) for contender in contenders)
        return Row(
            name=name,
            ours=self._figure(ours),
            peer=self._figure(theirs),
            unit=self.unit,
            peer_name=f"{peer} ({precisions[1]})",
            work=self.work,
            limit_share=machine.limit_share(self.operations, ours, precisions[0]),
            peer_limit_share=machine.limit_share(self.operations, theirs, precisions[1]),
            target=target,
            rounds=len(times[contenders[0]]),
            check=self.checks[precisions[0]],
        )

    def _figure(self, seconds: float) -> float:
        """Of a call's time, in the unit."""
        return self.images / seconds if self.unit.endswith("/s") else seconds / self.images


def measure(
    comparison: Comparison, makers: Makers, contenders: Mapping[str, Contender], machine: Machine, plan: Plan
) -> list[Row]:
    """Time all contenders in turn, and weigh them one by one where the plan asks for it."""
    rows = comparison.rows(alternate(contenders, machine.device, plan), machine)
    if plan.memory:
        weighed = ("ours float32", "ours bf16", f"{comparison.peers[0]} float32")
        rows += comparison.memory_rows({name: _peak(makers[name], contenders[name], machine) for name in weighed})
    return rows


def _peak(make: Callable[[], Contender], contender: Contender, machine: Machine) -> float:
    if machine.device.type == "cuda":
        return peak_of_device(contender, contender.own(), machine.device)
    return peak_of_process(make, machine.threads)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which a call of this precision runs."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def loss_of(report: StepReport) -> float:
    """The total that was read from the device, as of every step of a benchmark."""
    assert report.losses is not None, "a report was due"
    return report.losses["loss"]
