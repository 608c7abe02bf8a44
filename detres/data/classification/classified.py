"""A classification set in a few flat arrays, so that loader workers share them instead of copying objects.

I images, K classes, H, W height and width.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.data.images.pillow import of_any_size, open_image
from detres.data.images.reading import decode_image
from detres.data.packing import gather_ranges, offsets_of, pack_names
from detres.data.problems import Problem
from detres.draws import Purpose, numpy_generator
from detres.errors import DataError

UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class ClassifiedImages:
    """Images, each with one label: files, parts of tar files, or pixels that came decoded.

    name: what the set is called, such as imagenet/val. root: the folder that file names are relative to.
    class_names: K names; labels index them. labels: (I,) int64; UNKNOWN where nobody says, as in ImageNet's test set.
    file_names: the UTF-8 names of all images in one uint8 array, image i's in file_offsets[i]:file_offsets[i + 1].
    spans: (I, 2) int64, where an image's bytes begin in its tar file and how many they are; its file name is that of
    the tar, a slash and its own. None: every image is a file. pixels: (I, H, W, 3) uint8 RGB of a set that came
    decoded; its names are names alone. exif: whether images are turned as their EXIF orientation says.
    max_pixels: of an image, as images.read_image takes it.
    problems: what was found wrong; the images concerned are already left out.
    """

    name: str
    root: Path
    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    file_names: NDArray[np.uint8]
    file_offsets: NDArray[np.int64]
    spans: NDArray[np.int64] | None = None
    pixels: NDArray[np.uint8] | None = None
    exif: bool = True
    max_pixels: int | None = None
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def image_id(self, i: int) -> str:
        """The file's name below the root: no two images have the same."""
        return self.file_names[self.file_offsets[i] : self.file_offsets[i + 1]].tobytes().decode()

    def path(self, i: int) -> Path:
        """The image's file, or the tar file that holds it."""
        name = self.image_id(i)
        return self.root / (name if self.spans is None else name[: name.index(".tar/") + len(".tar")])

    def encoded(self, i: int) -> bytes:
        """The bytes of an image's file; of a set that did not come decoded.

        Raises DataError where it cannot be read or breaks off, which decoders fill up and say nothing.
        """
        path = self.path(i)
        try:
            with path.open("rb") as file:
                if self.spans is None:
                    data = file.read()
                else:
                    start, length = self.spans[i].tolist()
                    file.seek(start)
                    data = file.read(length)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
        if breaks_off(data):
            raise DataError(
                f"{self.root / self.image_id(i)}: this image breaks off or is damaged; replace or remove it"
            )
        return data

    def read(self, i: int) -> NDArray[np.uint8]:
        """Uint8 RGB (H, W, 3); grey, CMYK and 16-bit images too. DataError where it cannot be decoded."""
        if self.pixels is not None:
            return self.pixels[i]
        data, source = np.frombuffer(self.encoded(i), np.uint8), str(self.root / self.image_id(i))
        return decode_image(data, source, self.exif, max_pixels=self.max_pixels)

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> ClassifiedImages:
        """Some images, in the order given. The problems stay with the whole set."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            labels=self.labels[chosen],
            file_names=self.file_names[gather_ranges(self.file_offsets, chosen)],
            file_offsets=offsets_of(np.diff(self.file_offsets)[chosen]),
            spans=None if self.spans is None else self.spans[chosen],
            pixels=None if self.pixels is None else self.pixels[chosen],
            problems=(),
        )

    def counts(self) -> NDArray[np.int64]:
        """(K,) images of each class; those of unknown class are in none."""
        return np.bincount(self.labels[self.labels != UNKNOWN], minlength=len(self.class_names))

    def digest(self) -> str:
        """16 hex digits that change with any class, label or file name, and with nothing else."""
        state = hashlib.blake2b("\n".join(self.class_names).encode(), digest_size=8)
        for array in (self.labels, self.file_offsets, self.file_names):
            state.update(array.tobytes())
        return state.hexdigest()


def classified(
    name: str, root: Path, class_names: Sequence[str], labels: NDArray, file_names: Sequence[str], **more: Any
) -> ClassifiedImages:
    """A set from plain names; `more` are the other fields of ClassifiedImages."""
    letters, offsets = pack_names(file_names)
    return ClassifiedImages(
        name, root, tuple(class_names), np.asarray(labels, dtype=np.int64), letters, offsets, **more
    )


def joined(sets: Sequence[ClassifiedImages]) -> ClassifiedImages:
    """All images of one or more sets of the same root and classes, in order."""
    first = sets[0]
    if len(sets) == 1:
        return first

    def all_of(field: str) -> NDArray | None:  # None where sets have no such thing.
        parts = [getattr(part, field) for part in sets]
        return None if parts[0] is None else np.concatenate(parts)

    return replace(
        first,
        name="+".join(dict.fromkeys(part.name for part in sets)),
        labels=np.concatenate([part.labels for part in sets]),
        file_names=np.concatenate([part.file_names for part in sets]),
        file_offsets=offsets_of(np.concatenate([np.diff(part.file_offsets) for part in sets])),
        spans=all_of("spans"),
        pixels=all_of("pixels"),
        problems=tuple(problem for part in sets for problem in part.problems),
    )


def with_classes(images: ClassifiedImages, class_names: Sequence[str]) -> ClassifiedImages:
    """The images of some classes, whose names are the set's, with labels in the order of `class_names`."""
    if tuple(class_names) == images.class_names:
        return images
    label_of = np.full(len(images.class_names) + 1, UNKNOWN, dtype=np.int64)  # the last is for UNKNOWN itself
    for label, name in enumerate(class_names):
        label_of[images.class_names.index(name)] = label
    labels = label_of[images.labels]
    kept = images.subset(np.flatnonzero((labels != UNKNOWN) | (images.labels == UNKNOWN)))
    return replace(kept, class_names=tuple(class_names), labels=label_of[kept.labels], problems=images.problems)


def set_apart(images: ClassifiedImages, fraction: float) -> tuple[ClassifiedImages, ClassifiedImages]:
    """The images without a share of them, and that share: the same of every class, as far as whole images allow.

    Which ones depends on the labels alone. Every class keeps an image to learn from.
    Raises DataError where that leaves none to set apart.
    """
    counts = images.counts()
    quota, most = fraction * counts, np.maximum(counts - 1, 0)
    taken = np.minimum(np.floor(quota).astype(np.int64), most)
    lacking = max(round(fraction * len(images)), 1) - int(taken.sum())
    # What rounding down left over goes to the classes it cut most.
    by_loss = np.argsort(taken - quota, kind="stable")
    taken[by_loss[taken[by_loss] < most[by_loss]][: max(lacking, 0)]] += 1
    if not taken.sum():
        raise DataError(
            f"{images.name}: data.val_fraction={fraction} of {len(images)} images in {len(counts)} classes leaves none "
            "to train on; add images, or name a val split with data.val"
        )
    order = numpy_generator(0, Purpose.DATA_SET, len(images)).permutation(len(images))
    by_class = order[np.argsort(images.labels[order], kind="stable")]
    place = np.arange(len(images)) - np.repeat(offsets_of(counts)[:-1], counts)
    chosen = np.zeros(len(images), dtype=bool)
    chosen[by_class[place < np.repeat(taken, counts)]] = True
    # Both parts come from one reading: what was wrong with it is said with the one that is trained on.
    rest = replace(images.subset(np.flatnonzero(~chosen)), problems=images.problems)
    return rest, images.subset(np.flatnonzero(chosen))


def breaks_off(data: bytes) -> bool:
    """Whether an image's bytes end before its last row: OpenCV fills up a JPEG that breaks off, and says nothing.

    A JPEG or PNG that ends as it must is believed at once. Whatever does not is decoded by Pillow, which knows: a sound
    file may have something behind its end.
    """
    if (data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9") or (data[:4] == b"\x89PNG" and data[-8:-4] == b"IEND"):
        return False
    try:
        with of_any_size(), open_image(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return True
    return False
