"""A row that is to be measured, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from detres.benchmarks.gpu.measuring import Figures

State = Literal["measured", "failed", "out of memory", "left out"]


@dataclass(frozen=True)
class Entry:
    """One row to come. name: WORK/CONTENDER, such as train/r50_fpn/batch8/ours_bf16.

    measure: given how many images a call has, the figures. batch: how many are asked for. peer: it is what the others
    of the same work are held against. compiles: it is nothing without torch.compile.
    """

    name: str
    measure: Callable[[int], Figures]
    batch: int = 1
    peer: bool = False
    compiles: bool = False

    @property
    def work(self) -> str:
        return self.name.rpartition("/")[0]


@dataclass(frozen=True)
class Outcome:
    """What became of an entry. batch: how many images a call had in the end. seconds: that the whole row took.

    note: why there are no figures, or why they are of fewer images.
    """

    name: str
    state: State
    figures: Figures = field(default_factory=dict)
    batch: int = 1
    seconds: float = 0.0
    note: str = ""
    peer: bool = False

    @property
    def work(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def passed(self) -> bool:
        """Whether it says nothing against the run: what was left out does not, nor what the card has no memory for."""
        return self.state in ("left out", "out of memory") or (
            self.state == "measured" and self.figures.get("passed") is not False
        )

    def to_dict(self) -> dict[str, Any]:
        note = {"note": self.note} if self.note else {}
        return (
            {"name": self.name, "state": self.state, "batch": self.batch, "took_s": self.seconds} | note | self.figures
        )
