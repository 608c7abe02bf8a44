"""A data set's annotations in a few flat arrays, so that loader workers share them instead of copying objects.

I images, T boxes of all images together, K classes. Boxes of image i are the rows offsets[i]:offsets[i + 1].
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from detres.data.images.reading import read_filled
from detres.data.packing import gather_ranges, offsets_of, pack_names
from detres.data.problems import Problem
from detres.errors import DataError
from detres.structures import DetectionTarget


@dataclass(frozen=True, eq=False)
class AnnotatedImages:
    """Images and their boxes, frozen.

    name: what the set is called, such as voc-2007/test. root: the folder that file names are relative to.
    class_names: K names; labels index them. category_ids: K ids of the COCO file, or None for other formats.
    file_names: the UTF-8 names of all images in one uint8 array, image i's in file_offsets[i]:file_offsets[i + 1].
    image_ids: (I,) int64 for COCO, text elsewhere (a file's stem) and where COCO's file has text or more than 64 bits.
    sizes: (I, 2) int64, height and width as read.
    turned: (I,) bool, whether EXIF orientation is applied when an image is read.
    boxes: (T, 4) float32, xyxy inside the image, each with area. labels: (T,) int64.
    ignore: (T,) bool, crowd or difficult. crowd: (T,) bool, COCO's iscrowd. truncated: (T,) bool, VOC's flag.
    areas: (T,) float64, COCO's area of the segmentation, else width times height.
    annotated: (T, 4) float64, x, y, width, height as the file has them (continuous pixels, before clipping).
    problems: what was found wrong; the rows concerned are already clipped or left out.
    max_pixels: of an image, as images.read_image takes it.
    other_ids: ids of the COCO file that mean a class as well, each with the one in category_ids: of a category that
    stands there under several.
    """

    name: str
    root: Path
    class_names: tuple[str, ...]
    category_ids: tuple[int | str, ...] | None
    file_names: NDArray[np.uint8]
    file_offsets: NDArray[np.int64]
    image_ids: NDArray
    sizes: NDArray[np.int64]
    turned: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    areas: NDArray[np.float64]
    annotated: NDArray[np.float64]
    problems: tuple[Problem, ...] = ()
    max_pixels: int | None = None
    other_ids: Mapping[int | str, int | str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sizes)

    def file_name(self, i: int) -> str:
        name = self.file_names[self.file_offsets[i] : self.file_offsets[i + 1]]
        return name.tobytes().decode(errors="surrogateescape")

    def path(self, i: int) -> Path:
        return self.root / self.file_name(i)

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, as read_image gives it. Raises DataError where it cannot be decoded."""
        return self.pixels_and_filling(i)[0]

    def pixels_and_filling(self, i: int) -> tuple[NDArray[np.uint8], bool]:
        """The pixels, and whether the image breaks off and was filled up."""
        return read_filled(self.path(i), bool(self.turned[i]), max_pixels=self.max_pixels)

    def breaking_off(self, places: Sequence[int]) -> list[Problem]:
        """What is wrong with images that had to be filled up."""
        detail = "its file ends before its last pixels, which are filled up; its boxes are used"
        return [Problem("image breaks off", self.file_name(i), detail) for i in places]

    def image_id(self, i: int) -> int | str:
        """A plain int or str, so that it can be a key and go into JSON."""
        return self.image_ids[i].item()

    def size(self, i: int) -> tuple[int, int]:
        height, width = self.sizes[i].tolist()
        return height, width

    def target(self, i: int) -> DetectionTarget:
        """What is to be found on image i, in pixels of the file. The tensors are the caller's own."""
        rows = slice(self.offsets[i], self.offsets[i + 1])
        return DetectionTarget(
            boxes=torch.from_numpy(self.boxes[rows].copy()),
            labels=torch.from_numpy(self.labels[rows].copy()),
            ignore=torch.from_numpy(self.ignore[rows].copy()),
        )

    def aspect_ratios(self) -> NDArray[np.float64]:
        """(I,) width over height."""
        return self.sizes[:, 1] / self.sizes[:, 0]

    def box_images(self) -> NDArray[np.int64]:
        """(T,) the image of each box."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def problem_counts(self) -> dict[str, int]:
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> AnnotatedImages:
        """Some images, in the order given, with their boxes; without the problems that are of other images."""
        images = np.asarray(indices, dtype=np.int64)
        rows = gather_ranges(self.offsets, images)
        letters = gather_ranges(self.file_offsets, images)
        return replace(
            self.select_boxes(rows),
            file_names=self.file_names[letters],
            file_offsets=offsets_of(np.diff(self.file_offsets)[images]),
            image_ids=self.image_ids[images],
            sizes=self.sizes[images],
            turned=self.turned[images],
            offsets=offsets_of(np.diff(self.offsets)[images]),
            problems=self._problems_without(np.setdiff1d(np.arange(len(self)), images)),
        )

    def _problems_without(self, images: NDArray[np.int64]) -> tuple[Problem, ...]:
        if not self.problems:
            return ()
        # By stems: a label file is called as its image is.
        others = {_stem(self.file_name(i)) for i in images.tolist()}
        kept = {_stem(self.file_name(i)) for i in np.setdiff1d(np.arange(len(self)), images).tolist()}
        gone = others - kept
        return tuple(problem for problem in self.problems if _stem(problem.file) not in gone)

    def select_boxes(self, rows: NDArray) -> AnnotatedImages:
        """The boxes of `rows` (a mask or ascending indices); every image stays."""
        kept = self.box_images()[rows]
        return replace(
            self,
            offsets=offsets_of(np.bincount(kept, minlength=len(self))),
            **{name: getattr(self, name)[rows] for name in _BOX_FIELDS},
        )

    def with_difficult(self, treatment: Literal["ignore", "positive", "drop"]) -> AnnotatedImages:
        """Difficult and crowd boxes as they are, as ordinary objects, or left out: for training, not for evaluation."""
        if treatment == "positive":
            return replace(self, ignore=np.zeros_like(self.ignore))
        return self.select_boxes(~self.ignore) if treatment == "drop" else self

    def digest(self) -> str:
        """16 hex digits that change with any annotation, class, file name or size, and with nothing else."""
        state = hashlib.blake2b(digest_size=8)
        state.update("\n".join(self.class_names).encode(errors="surrogatepass"))
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.ndarray):
                state.update(f"{each.name}{value.shape}".encode())
                texts = "\n".join(map(str, value.tolist())) if value.dtype.kind == "U" else None
                state.update(value.tobytes() if texts is None else texts.encode(errors="surrogatepass"))
        return state.hexdigest()


_BOX_FIELDS = ("boxes", "labels", "ignore", "crowd", "truncated", "areas", "annotated")


def concatenate(sets: Sequence[AnnotatedImages]) -> AnnotatedImages:
    """All images of one or more sets of the same classes, in order.

    Where an image id would stand twice, ids become text: the set's place, a slash, the id. Files that stand in two of
    them stay, and are a problem each.
    Raises DataError where the classes differ.
    """
    first = sets[0]
    if len(sets) == 1:
        return first
    for other in sets[1:]:
        if other.class_names != first.class_names:
            raise DataError(
                f"{first.name} and {other.name} are joined and differ in classes: {_some(first.class_names)}; "
                f"{_some(other.class_names)}. Select common ones, in one order, with data.classes=[…]"
            )
    one_root = all(part.root == first.root for part in sets)
    names = [part.file_name(i) if one_root else str(part.path(i)) for part in sets for i in range(len(part))]
    file_names, file_offsets = pack_names(names)
    return replace(
        first,
        name="+".join(dict.fromkeys(part.name for part in sets)),
        file_names=file_names,
        file_offsets=file_offsets,
        image_ids=_joined_ids(sets),
        sizes=np.concatenate([part.sizes for part in sets]),
        turned=np.concatenate([part.turned for part in sets]),
        offsets=offsets_of(np.concatenate([np.diff(part.offsets) for part in sets])),
        problems=(*(problem for part in sets for problem in part.problems), *_in_two_sets(sets)),
        **_joined_boxes(sets),
    )


def _joined_boxes(sets: Sequence[AnnotatedImages]) -> dict[str, Any]:
    """Of all sets, the arrays with a row a box, by the names of their fields."""
    return {name: np.concatenate([getattr(part, name) for part in sets]) for name in _BOX_FIELDS}


def _in_two_sets(sets: Sequence[AnnotatedImages]) -> Iterator[Problem]:
    first_in: dict[str, AnnotatedImages] = {}
    for part in sets:
        root = os.path.join(os.path.abspath(part.root), "")
        for i in range(len(part)):
            name = part.file_name(i)
            first = first_in.setdefault(os.path.normpath(root + name if name[:1] != "/" else name), part)
            if first is not part:
                yield Problem("image repeated", name, f"it is in {first.name} and in {part.name}; both are kept")


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


def _some(class_names: Sequence[str]) -> str:
    return ", ".join(class_names[:12]) + (", …" if len(class_names) > 12 else "")


def _joined_ids(sets: Sequence[AnnotatedImages]) -> NDArray:
    ids = np.concatenate([part.image_ids for part in sets])
    if len(np.unique(ids)) == len(ids):
        return ids
    return np.array([f"{place}/{image_id}" for place, part in enumerate(sets) for image_id in part.image_ids.tolist()])
