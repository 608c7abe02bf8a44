"""Rows of a benchmark: one figure of detres beside one of a peer, and whether both did the same work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from detres.benchmarks.machine import Machine


@dataclass(frozen=True)
class Check:
    """Whether both sides did the same work, and by what that was judged."""

    passed: bool
    what: str


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ours, peer: medians in `unit`; peer is None where a figure stands alone. work: what one of the unit is.
    limit_share: the least time the arithmetic of `ours` could take on this machine, as a share of what it took.
    peer_limit_share: the same of the peer. target: the ratio to be reached. rounds: how many there were.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    peer_name: str | None = None
    work: str = ""
    limit_share: float | None = None
    peer_limit_share: float | None = None
    target: float | None = None
    rounds: int = 1
    check: Check | None = None

    @property
    def ratio(self) -> float | None:
        """How many times better ours is: above 1 where detres is ahead."""
        if self.peer is None:
            return None
        return self.ours / self.peer if self.unit.endswith("/s") else self.peer / self.ours

    @property
    def failed(self) -> bool:
        return self.check is not None and not self.check.passed

    def to_dict(self, machine: Machine) -> dict[str, Any]:
        """The row as `benchmark --json` writes it."""
        values = asdict(self)
        check = values.pop("check")
        same_work = {"same_work": check["passed"], "check": check["what"]} if check else {}
        return {**values, "ratio": self.ratio, **same_work, **machine.description()}


def machine_rows(machine: Machine) -> list[Row]:
    """The rates that every share is of."""
    return [
        Row(f"machine/matrix_product/{precision}", rate / 1e9, None, "GFLOP/s", limit_share=1.0)
        for precision, rate in machine.rates.items()
    ]


def all_passed(rows: Iterable[Row]) -> bool:
    """Whether every row's check found the same work."""
    return not any(row.failed for row in rows)
