"""The precisions that a model computes in: float32, or half of it where torch's autocast says it does no harm.

Weights, losses, boxes and the optimizer are float32 in all of them. devices.py has what a device makes of them.
"""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["float32", "bf16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
