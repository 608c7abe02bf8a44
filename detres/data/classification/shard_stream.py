"""Training from tar shards that are read one after the other, from a disk, a pipe or an address, by webdataset.

R ranks with W workers each make R × W *lanes*. In each epoch the shards are permuted and dealt out to the lanes; a lane
reads its own through a buffer from which images are drawn in disorder. The micro-batches of a rank come from its lanes
in turns. An epoch has as many steps as the number of images allows; a lane whose shards run out begins them again, one
that has more leaves the rest for another epoch.

So the stream is a function of (seed, R, W): unlike that of a set on a disk it changes with the number of ranks and of
workers. A run that is resumed with the same numbers goes on bit for bit; its lanes first read over what they used of
the epoch, which takes as long as reading it did, without the decoding. With others it goes on in another order.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from detres.data.classification.classified import breaks_off
from detres.data.classification.loaders import ClassificationSample, collate
from detres.data.classification.transforms import ClassificationTransform
from detres.data.formats.tar_reading import stream_files, told_of_tar
from detres.data.formats.tar_shards import LABEL_ENDINGS, image_of, is_wanted, key_and_ending, label_bytes, label_of
from detres.data.loading.batch_memory import shared_zeros
from detres.data.loading.loader import GREY, ImageLoader
from detres.data.loading.samplers import Share, split_batch
from detres.data.loading.worker_pool import worker_lane
from detres.data.problems import Problem
from detres.draws import Purpose, key, numpy_generator
from detres.errors import ConfigError, DataError
from detres.structures import ClassificationBatch

# Encoded images that a lane holds to draw from: about 100 MB of photographs.
BUFFER = 1000

# Not as many as the machine has cores: the order of the images depends on it.
_USUAL_WORKERS = 2

# Bytes a worker has to name images that could not be decoded.
_NAMES_BYTES = 1 << 14


@dataclass(frozen=True)
class ShardedImages:
    """Training images in shards that can be read from their beginnings alone.

    shards: paths, pipes and addresses. images: how many there are in all, an epoch's length.
    """

    name: str
    class_names: tuple[str, ...]
    shards: tuple[str, ...]
    images: int
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return self.images

    def digest(self) -> str:
        """16 hex digits that change with any class, shard's name or the number of images, and with nothing else."""
        names = [shard.rpartition("/")[2] for shard in self.shards]
        text = "\n".join([*self.class_names, "", *names, str(self.images)])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class EncodedImage(NamedTuple):
    """One image as its file's bytes. image_id: its shard and its key."""

    image_id: str
    data: bytes
    label: int


def read_lane(
    shards: Sequence[str], class_count: int, *, seed: int, epoch: int, lane: int, lanes: int, buffer: int = BUFFER
) -> Iterator[EncodedImage]:
    """The images of one lane in one epoch, endlessly: its shards are begun again where they run out.

    Raises DataError that names the shard where one cannot be read, and where a sample has no image or no label.
    """
    import webdataset

    order = numpy_generator(seed, Purpose.ORDER, epoch).permutation(len(shards))
    mine = [shards[i] for i in order[lane::lanes]]
    for turn in itertools.count():
        draws = random.Random(key(seed, Purpose.ORDER, epoch, lane, turn))
        read = itertools.chain.from_iterable(map(_samples, mine))
        count = 0
        for sample in webdataset.shuffle(buffer, initial=buffer, rng=draws)(read):
            count += 1
            yield _encoded(sample, class_count)
        if not count:
            raise DataError(f"{', '.join(mine[:3])}: there is no image in these shards")


class _Sample(NamedTuple):
    """The files of one sample, as they stand in its shard, by their endings."""

    shard: str
    key: str
    parts: dict[str, bytes]


def _samples(shard: str) -> Iterator[_Sample]:
    """A shard's samples: neighbours of one key. DataError that names the shard where it cannot be read."""
    from webdataset.gopen import gopen

    with told_of_tar(f"{shard}: this shard cannot be read", "copy it again"), ExitStack() as stack:
        source = gopen(shard)
        stack.callback(_close, source)
        current: _Sample | None = None
        for name, size, read in stream_files(source):
            at, ending = key_and_ending(name)
            if not at or not is_wanted(name):
                continue
            if current is None or current.key != at:
                if current is not None:
                    yield current
                current = _Sample(shard, at, {})
            if ending in current.parts:
                raise DataError(f"{shard}: {at}.{ending} stands twice; which of them is meant?")
            is_label = ending in LABEL_ENDINGS
            current.parts[ending] = label_bytes(size, read, f"{shard}: {at}") if is_label else read()
        if current is not None:
            yield current


def _close(source: BinaryIO) -> None:
    """A command whose output is not read to its end ends as it likes."""
    with suppress(OSError):
        source.close()


def _encoded(sample: _Sample, class_count: int) -> EncodedImage:
    shard = sample.shard.rpartition("/")[2].rstrip("'\"")
    image_id = f"{shard}/{sample.key}"
    _, data = image_of(sample.parts, image_id)
    return EncodedImage(image_id, data, label_of(sample.parts, class_count, image_id))


class ShardDataset(IterableDataset[ClassificationBatch]):
    """One rank's endless micro-batches from share.start_step on, made by any number of workers.

    What is drawn for an image depends on (seed, step, position), as everywhere. An image that cannot be decoded is
    left out and named by undecodable(), and the next one of its micro-batch stands in for it (a grey one where none of
    them can be decoded); with strict it is a DataError.
    """

    def __init__(
        self,
        images: ShardedImages,
        transform: ClassificationTransform,
        share: Share,
        *,
        repeats: int,
        workers: int,
        strict: bool,
    ) -> None:
        self.images, self.transform, self.seed, self.strict = images, transform, share.seed, strict
        self.share, self.micro = split_batch(share.batch, share.world, share.per_device_batch)
        if self.micro % repeats:
            raise ConfigError(
                f"data.repeats={repeats}: a device takes {self.micro} images at once, which is no multiple; set "
                "training.per_device_batch"
            )
        self.repeats, self.rank, self.world, self.start_step = repeats, share.rank, share.world, share.start_step
        self.rank_lanes = max(workers, 1)
        self.steps_of_an_epoch = max(len(images) // share.batch, 1)
        self._names = shared_zeros(self.rank_lanes, _NAMES_BYTES, dtype=torch.uint8)

    def __iter__(self) -> Iterator[ClassificationBatch]:
        own_lane = worker_lane()
        worker = 0 if own_lane is None else own_lane.number
        per_step = self.share // self.micro
        # The loader asks its workers in turns from the first on: where the run begins, another lane may be due.
        first = self.start_step * per_step + worker
        lane = self.rank * self.rank_lanes + first % self.rank_lanes
        epoch = -1
        source: Iterator[EncodedImage] = iter(())
        for number in itertools.count(first, self.rank_lanes):
            step, place = divmod(number, per_step)
            if step // self.steps_of_an_epoch != epoch:
                epoch = step // self.steps_of_an_epoch
                source = self._open(epoch, lane, number - epoch * self.steps_of_an_epoch * per_step)
            taken = list(itertools.islice(source, self.micro // self.repeats))
            yield self._made(taken * self.repeats, step, self.rank * self.share + place * self.micro, worker)

    def undecodable(self) -> list[Problem]:
        """The images found so far, by any worker, that could not be decoded; as many as there is room to name."""
        names = [name for row in self._names.numpy() for name in row.tobytes().rstrip(b"\0").decode().split("\n")]
        found = dict.fromkeys(name for name in names if name)
        return [Problem("image unreadable", name, "cannot be decoded; left out", costs_image=True) for name in found]

    def _open(self, epoch: int, lane: int, before: int) -> Iterator[EncodedImage]:
        """A lane's images of an epoch, less what the micro-batches of this rank `before` took from it."""
        lanes = self.world * self.rank_lanes
        source = read_lane(
            self.images.shards, len(self.images.class_names), seed=self.seed, epoch=epoch, lane=lane, lanes=lanes
        )
        return itertools.islice(source, before // self.rank_lanes * (self.micro // self.repeats), None)

    def _made(self, taken: Sequence[EncodedImage], step: int, first: int, worker: int) -> ClassificationBatch:
        samples = []
        for place, position in enumerate(range(first, first + len(taken))):
            draw_key = key(self.seed, Purpose.AUGMENTATION, step, position)
            image, crop = self._next_readable((*taken[place:], *taken[:place]), draw_key, worker)
            sample_key = key(self.seed, Purpose.SAMPLING, step, position)
            samples.append(ClassificationSample(crop, image.label, image.image_id, sample_key))
        return collate(samples)

    def _next_readable(
        self, wanted: Sequence[EncodedImage], draw_key: int, worker: int
    ) -> tuple[EncodedImage, NDArray[np.uint8]]:
        """The first that can be decoded, and its crop; of none, the first and grey."""
        for image in wanted:
            try:
                if breaks_off(image.data):
                    raise DataError(f"{image.image_id}: this image breaks off or is damaged; replace it")
                return image, self.transform.from_bytes(image.data, image.image_id, draw_key)
            except DataError:
                if self.strict:
                    raise
                self._name(image.image_id, worker)
        side = self.transform.cropping.side
        return wanted[0], np.full((side, side, 3), GREY, dtype=np.uint8)

    def _name(self, image_id: str, worker: int) -> None:
        row = self._names[worker].numpy()
        used, text = int(np.count_nonzero(row)), np.frombuffer(f"{image_id}\n".encode(), np.uint8)
        known = image_id in row[:used].tobytes().decode().split("\n")
        if not known and used + len(text) <= len(row):
            row[used : used + len(text)] = text


def shard_training_loader(
    images: ShardedImages,
    transform: ClassificationTransform,
    share: Share,
    *,
    repeats: int = 1,
    workers: int | None = 0,
    pin_memory: bool = False,
    strict: bool = False,
) -> DataLoader[ClassificationBatch]:
    """An endless loader of one rank's micro-batches from share.start_step on; its .dataset is a ShardDataset.

    No more workers are used than there are shards for them; None: two. Raises DataError where there are fewer shards
    than ranks.
    """
    count, world = len(images.shards), share.world
    if count < world:
        raise DataError(f"{images.name}: {count} shards cannot be dealt out to {world} ranks; write more")
    workers = min(_USUAL_WORKERS if workers is None else workers, count // world)
    dataset = ShardDataset(images, transform, share, repeats=repeats, workers=workers, strict=strict)
    return ImageLoader(dataset, workers=workers, pin_memory=pin_memory, batch_size=None)
