"""What was seen on the pretended device, each with the line of the package that it came from."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, field

import torch

# Operators that start no kernel: views, and memory that is only reserved.
_FREE = re.findall(
    r"\S+",
    """
    aten.view.default aten._unsafe_view.default aten.view.dtype aten._reshape_alias.default aten.as_strided.default
    aten.permute.default aten.t.default aten.transpose.int aten.expand.default aten.detach.default aten.alias.default
    aten.select.int aten.slice.Tensor aten.unsqueeze.default aten.squeeze.dim aten.squeeze.dims aten.squeeze.default
    aten.unbind.int aten.split.Tensor aten.split_with_sizes.default aten.unfold.default aten.diagonal.default
    aten.empty.memory_format aten.empty_like.default aten.new_empty.default aten.empty_strided.default
    aten.new_empty_strided.default aten.resize_.default aten.lift_fresh.default aten.is_pinned.default
    aten._local_scalar_dense.default
    """,
)


@dataclass
class Record:
    """waits, mixed: (line, what). kernels: by line. copies: to the device, by line and kind. operators: by name."""

    waits: Counter[tuple[str, str]] = field(default_factory=Counter)
    kernels: Counter[str] = field(default_factory=Counter)
    copies: Counter[tuple[str, str]] = field(default_factory=Counter)
    mixed: Counter[tuple[str, str]] = field(default_factory=Counter)
    operators: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        for counter in (self.waits, self.kernels, self.copies, self.mixed, self.operators):
            counter.clear()

    def operator(self, name: str, line: str) -> None:
        self.operators[name] += 1
        if name not in _FREE:
            self.kernels[line] += 1

    def copy_to_device(self, source: torch.Tensor, non_blocking: bool, line: str) -> None:
        pinned = source.is_pinned() if source.numel() else True
        self.copies[line, "pinned" if pinned else "pageable"] += 1
        if not non_blocking:
            self.waits[line, "a copy to the device"] += 1


def line_of_package() -> str:
    """file:line of the innermost frame in detres; in autograd's threads, the node."""
    node = torch._C._current_autograd_node()
    if node is not None:
        return f"backward {node.name()}"
    frame = sys._getframe(1)
    while frame is not None:
        _, package, place = frame.f_code.co_filename.rpartition("/detres/")
        if package and "/tests/" not in frame.f_code.co_filename:
            return f"{place}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
