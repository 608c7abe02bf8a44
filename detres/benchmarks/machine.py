"""The machine that is measured on: what it is, and the rate of matrix products that nothing on it can exceed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from detres.benchmarks.timing import seconds_of
from detres.environment import device_name, versions

Precision = Literal["float32", "bf16"]

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
# Side of the square matrices: large enough that their product runs at the machine's full rate.
_SIDES = {"cpu": 2048, "cuda": 8192}
_PRODUCTS = 20


@dataclass(frozen=True)
class Machine:
    """Where and how everything is measured.

    threads: of torch, for detres and its peers alike. compile: whether torch.compile has what it needs here.
    rates: floating-point operations a second of a square matrix product, by precision.
    """

    device: torch.device
    threads: int
    compile: bool
    rates: dict[str, float]

    def limit_share(self, operations: float, seconds: float, precision: Precision) -> float:
        """The time the operations would take at the rate of matrix products, as a share of the time they took."""
        return operations / self.rates[precision] / seconds

    def description(self) -> dict[str, object]:
        """device, threads and versions, as they stand in every row."""
        return {"device": device_name(self.device), "threads": self.threads, "versions": versions()}


def measure_machine(device: torch.device, *, compile: bool, side: int | None = None) -> Machine:
    """side: of the matrices; None: what the device needs to run at its full rate.

    The float32 rate is with the shortcuts that convolutions of float32 are allowed by default: TF32 on a GPU.
    """
    side = side or _SIDES.get(device.type, 2048)
    rates: dict[str, float] = {}
    for name, dtype in _DTYPES.items():
        with _as_convolutions_do():
            rates[name] = _matrix_rate(device, dtype, side)
    return Machine(device, torch.get_num_threads(), compile, rates)


def _matrix_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty(side, side, dtype=dtype, device=device)
    seconds_of(lambda: torch.mm(left, right, out=out), device)
    fastest = min(seconds_of(lambda: torch.mm(left, right, out=out), device) for _ in range(_PRODUCTS))
    return 2 * side**3 / fastest


@contextmanager
def _as_convolutions_do() -> Iterator[None]:
    """Matrix products in TF32 where convolutions may use it, so that the limit is one they cannot exceed."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def exact_float32() -> Iterator[None]:
    """No TF32 in convolutions: for checks that two networks compute the same."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def count_operations(call: Callable[[], object]) -> int:
    """Floating-point operations of the convolutions and matrix products in a call, each multiply-add being two.

    The call must not be compiled: what is counted are torch's operators, forward and backward.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return counter.get_total_flops()
