"""Which images a step takes: pure functions of (seed, step), so that any process can begin anywhere.

I images, B images of a global batch, R ranks. A step's place in the run is its number, from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from detres.draws import Purpose, numpy_generator


class Place(NamedTuple):
    """One image of a run: its index in the set, the step it is used in and its position in that step's batch."""

    index: int
    step: int
    position: int


def epoch_batches(aspect_ratios: NDArray, batch: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The global batches of an epoch, (ceil(I / B), B), in the order they are used.

    aspect_ratios: (I,) width over height. Images are permuted, split stably into wide (at least square) and tall, cut
    into batches; what is left over of both is joined into the last, mixed batches; then the batches are shuffled.
    Every image appears once. Where B does not divide I, the mixed batch that lacks images is filled up with the first
    ones of the next epochs' order that it does not hold, so that every step has B images.
    """
    count = len(aspect_ratios)
    order = _order(count, seed, epoch)
    wide = aspect_ratios[order] >= 1.0
    whole, rest = [], []
    for group in (order[wide], order[~wide]):
        cut = len(group) // batch * batch
        whole.append(group[:cut].reshape(-1, batch))
        rest.append(group[cut:])
    left = np.concatenate(rest)
    mixed = _filled(left, -len(left) % batch, count, seed, epoch).reshape(-1, batch)
    batches = np.concatenate([*whole, mixed])
    return batches[numpy_generator(seed, Purpose.ORDER, epoch, 1).permutation(len(batches))]


def _order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return numpy_generator(seed, Purpose.ORDER, epoch, 0).permutation(count)


def _filled(left: NDArray[np.int64], lacking: int, count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """`left` and `lacking` more indices; an image is repeated only where the set is smaller than a batch."""
    filled = left
    while lacking > 0:
        epoch += 1
        following = _order(count, seed, epoch)
        fresh = following[~np.isin(following, filled)]
        taken = (fresh if len(fresh) else following)[:lacking]
        filled = np.concatenate([filled, taken])
        lacking -= len(taken)
    return filled


class TrainingSampler(Sampler[list[Place]]):
    """An endless batch sampler: the micro-batches of one rank, from `start_step` on.

    The global batch of a step is formed first; rank r of R takes its r-th equal slice, cut into micro-batches of
    per_device_batch in order. So a step's images and draws do not depend on the number of ranks.
    Raises ValueError where the batch cannot be shared out evenly.
    """

    def __init__(
        self,
        aspect_ratios: NDArray,
        batch: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        per_device_batch: int | None = None,
        start_step: int = 0,
    ) -> None:
        share, uneven = divmod(batch, world)
        micro = share if per_device_batch is None else min(per_device_batch, share)
        if uneven or not share or share % micro:
            raise ValueError(f"a batch of {batch} does not split evenly over {world} ranks into parts of {micro}")
        if not len(aspect_ratios):
            raise ValueError("there are no images to draw from")
        self.aspect_ratios = np.asarray(aspect_ratios, dtype=np.float64)
        self.batch, self.seed, self.start_step = batch, seed, start_step
        self.first, self.share, self.micro = rank * share, share, micro

    @property
    def micro_batches(self) -> int:
        """Micro-batches of one rank in a step."""
        return self.share // self.micro

    def __iter__(self) -> Iterator[list[Place]]:
        steps = -(-len(self.aspect_ratios) // self.batch)
        step = self.start_step
        while True:
            epoch, within = divmod(step, steps)
            for indices in epoch_batches(self.aspect_ratios, self.batch, self.seed, epoch)[within:]:
                for start in range(self.first, self.first + self.share, self.micro):
                    places = range(start, start + self.micro)
                    yield [Place(int(indices[position]), step, position) for position in places]
                step += 1


def evaluation_indices(count: int, rank: int, world: int) -> range:
    """The images a rank evaluates: over all ranks every one exactly once."""
    return range(rank, count, world)
