"""Which images a step takes: pure functions of (seed, step), so that any process can begin anywhere.

I images, B images of a global batch, R ranks. A step's place in the run is its number, from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from detres.draws import Purpose, numpy_generator


class Place(NamedTuple):
    """One image of a run: its place in the set, the step it is used in and its position in that step's batch."""

    image: int
    step: int
    position: int


def grouped_batches(aspect_ratios: NDArray, batch: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The global batches of an epoch, (ceil(I / B), B), in the order they are used: for images of their own shapes.

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


def shuffled_batches(count: int, batch: int, seed: int, epoch: int, repeats: int = 1) -> NDArray[np.int64]:
    """The global batches of an epoch, (ceil(I / B), B), in the order they are used: for images of one shape.

    count: I. Images are permuted and cut into batches; the last is filled up as grouped_batches does it. With repeats,
    every image of the order stands so many times in a row (where B is no multiple, the last image of a batch goes on
    in the next), so that an epoch of as many steps holds the first ones of its order alone. Within a batch the first
    repeats of all images come before the second ones: ranks and micro-batches get different images.
    Source of repeats: Hoffer et al. 2020, as used by Wightman et al. 2021.
    """
    steps = -(-count // batch)
    distinct = -(-steps * batch // repeats)
    order = _order(count, seed, epoch)
    if distinct > count:
        whole = (steps - 1) * batch // repeats
        order = np.concatenate([order[:whole], _filled(order[whole:], distinct - count, count, seed, epoch)])
    batches = np.repeat(order[:distinct], repeats)[: steps * batch].reshape(steps, batch)
    number = np.tile(np.arange(repeats), distinct)[: steps * batch].reshape(steps, batch)
    return np.take_along_axis(batches, number.argsort(axis=1, kind="stable"), axis=1) if repeats > 1 else batches


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


def split_batch(batch: int, world: int, per_device_batch: int | None = None) -> tuple[int, int]:
    """Images of a rank in a step, and of one of its micro-batches; ValueError where they cannot all be as large."""
    share, uneven = divmod(batch, world)
    micro = share if per_device_batch is None else min(per_device_batch, share)
    if uneven or not share or share % micro:
        raise ValueError(f"a batch of {batch} does not split evenly over {world} ranks into parts of {micro}")
    return share, micro


class MicroBatch(NamedTuple):
    """What one rank takes at once: indices (N,) of images, whose positions in the step's batch begin at `first`."""

    step: int
    first: int
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """What one of several processes does of the work, and where it begins.

    batch: images of a step over all processes, or of an evaluation's batch. per_device_batch: images of a micro-batch
    at most; None: the whole share of a step. seed: of the order, and of all that is drawn for an image. rank, world:
    which of how many processes. start_step: the step to begin with.
    """

    batch: int = 1
    per_device_batch: int | None = None
    seed: int = 0
    rank: int = 0
    world: int = 1
    start_step: int = 0


class TrainingSampler(Sampler[list[Place]]):
    """An endless batch sampler: the micro-batches of one rank, from share.start_step on.

    epoch_batches: the global batches of an epoch, (ceil(I / B), B), such as grouped_batches or shuffled_batches with
    the set's own arguments. Rank r of R takes the r-th equal slice of each, cut into micro-batches of per_device_batch
    in order. So a step's images and draws do not depend on the number of ranks.
    Raises ValueError where split_batch does, and where there are no images.
    """

    def __init__(
        self,
        count: int,
        share: Share,
        epoch_batches: Callable[[int], NDArray[np.int64]],
    ) -> None:
        if not count:
            raise ValueError("there are no images to draw from")
        self.share, self.micro = split_batch(share.batch, share.world, share.per_device_batch)
        self.first, self.start_step = share.rank * self.share, share.start_step
        self.epoch_batches, self.steps_of_an_epoch = epoch_batches, -(-count // share.batch)

    def __iter__(self) -> Iterator[list[Place]]:
        for step, first, indices in self.index_batches():
            yield [Place(index, step, first + offset) for offset, index in enumerate(indices.tolist())]

    def index_batches(self) -> Iterator[MicroBatch]:
        """The same, without a Place for every image."""
        step = self.start_step
        while True:
            epoch, within = divmod(step, self.steps_of_an_epoch)
            for indices in self.epoch_batches(epoch)[within:]:
                for start in range(self.first, self.first + self.share, self.micro):
                    yield MicroBatch(step, start, indices[start : start + self.micro])
                step += 1


def evaluation_indices(count: int, rank: int, world: int) -> range:
    """The images a rank evaluates: over all ranks every one exactly once."""
    return range(rank, count, world)


def batches_of_one_shape(shapes: NDArray[np.int64], batch: int) -> list[list[int]]:
    """All images of a set in batches of up to B whose images have one shape, in the order of their first images.

    shapes: (I, 2), such as the padded height and width. Formed before ranks share them out (rank r of R takes every
    R-th from r on), batches are the same ones on any number of ranks, and no image is padded for another's sake.
    """
    filling: dict[tuple[int, ...], list[int]] = {}
    batches: list[list[int]] = []
    for index, shape in enumerate(map(tuple, shapes.tolist())):
        if shape not in filling or len(filling[shape]) == batch:
            filling[shape] = []
            batches.append(filling[shape])
        filling[shape].append(index)
    return batches
