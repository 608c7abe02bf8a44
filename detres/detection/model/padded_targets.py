"""The ground truth of several images as tensors of one shape, so that what is done for one is done for all at once.

N images, M boxes of the image that has most, A candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from detres.structures import DetectionTarget

# Overlaps that are computed at once, with some tensors of as many beside them: on the CPU what stays in its caches,
# elsewhere 64 MiB of float32.
_OVERLAPS_ON_CPU, _OVERLAPS = 2**18, 2**24


@dataclass(frozen=True)
class PaddedTargets:
    """boxes: (N, M, 4), M at least 1; padding has no area. ignored: (N, M) bool, True for padding as well.

    none_ignored: the host knows that nothing but padding is ignored.
    """

    boxes: Tensor
    ignored: Tensor
    none_ignored: bool

    @property
    def learned(self) -> Tensor:
        """(N, M) bool: rows that are learned from."""
        return ~self.ignored

    @classmethod
    def of(cls, targets: Sequence[DetectionTarget]) -> PaddedTargets:
        """One or more targets, on one device."""
        boxes = pad_sequence([target.boxes for target in targets], batch_first=True)
        ignored = pad_sequence([target.ignore for target in targets], batch_first=True, padding_value=True)
        none_ignored = all(target.with_ignored_counted().none_ignored for target in targets)
        if boxes.shape[1]:
            return cls(boxes, ignored, none_ignored)
        return cls(boxes.new_zeros(len(targets), 1, 4), ignored.new_ones(len(targets), 1), none_ignored)


def images_at_once(targets: Sequence[DetectionTarget], candidates: int) -> Iterator[slice]:
    """Which images to match at once, so that N × M × A stays within bounds: slices that follow on each other."""
    on_cpu = targets[0].boxes.device.type == "cpu" if targets else True
    bound = (_OVERLAPS_ON_CPU if on_cpu else _OVERLAPS) // max(candidates, 1)
    start, most = 0, 1
    for place, target in enumerate(targets):
        most = max(most, len(target))
        if place > start and most * (place + 1 - start) > bound:
            yield slice(start, place)
            start, most = place, max(1, len(target))
    if targets:
        yield slice(start, len(targets))
