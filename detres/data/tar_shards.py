"""Tar files in WebDataset's layout: the files of a sample share a name up to its first dot, and stand together.

KEY.jpg (or another image) is the image; its label stands in KEY.cls, a number, or in KEY.json under "label". What the
labels are called stands in a classes.txt beside the shards, a line a class, or in data.classes.
Here shards that lie on a disk are read as a set of images, each at its place in its tar; shard_stream.py reads them
one after the other.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from detres.data.classes import select_classes
from detres.data.classified import ClassifiedImages, classified, with_classes
from detres.data.image_files import IMAGE_SUFFIXES
from detres.data.text import read_lines
from detres.errors import DataError

T = TypeVar("T")

IMAGE_ENDINGS = frozenset(suffix[1:] for suffix in IMAGE_SUFFIXES)
LABEL_ENDINGS = ("cls", "json")

_META = re.compile(r"__[^/]*__/")

# A line of ImageNet's own table (imagenet_classes.txt), which may stand as classes.txt beside its shards.
_SYNSET_LINE = re.compile(r"n\d{8} \d+ ")


def load_shards(root: Path, split: str, *, classes: Sequence[str] | None = None, exif: bool = True) -> ClassifiedImages:
    """The images in the shards of a split; their tars' headers and labels are read, their pixels are not.

    split: tar files below root, with braces for a range. classes: select and order them; where there is no classes.txt,
    the names of all labels.
    Raises DataError where a shard is no plain tar file on this machine, and where a label is missing or out of range.
    """
    known = read_class_names(root, classes)
    names: list[str] = []
    spans: list[tuple[int, int]] = []
    labels: list[int] = []
    for shard in expand_shards(root, split):
        if is_streamed(shard):
            raise DataError(
                f"{shard}: shards of a pipe or an address can be streamed for training, but nowhere else: an "
                "evaluation takes each image by its place. Copy them to a disk"
            )
        shown = Path(shard).relative_to(root).as_posix()
        for key, parts in _samples(Path(shard)).items():
            ending, span = image_of(parts, f"{shard}: {key}")
            labels.append(label_of(parts, len(known), f"{shard}: {key}"))
            names.append(f"{shown}/{key}.{ending}")
            spans.append(span)
    if not names:
        raise DataError(f"{root / split}: there is no image in these shards")
    found = classified(
        f"{root.resolve().name}/{split}",
        root,
        known,
        np.array(labels),
        names,
        spans=np.array(spans, dtype=np.int64),
        exif=exif,
    )
    return with_classes(found, select_classes(classes, known, str(root)))


def expand_shards(root: Path, split: str) -> list[str]:
    """The shards of a split, in order: paths, pipes (pipe:COMMAND) and addresses (https://…), braces expanded.

    Raises DataError where a path is no file.
    """
    from webdataset.shardlists import expand_urls

    shards = [url if is_streamed(url) else str(root / url) for url in expand_urls(split)]
    missing = [shard for shard in shards if not is_streamed(shard) and not Path(shard).is_file()]
    if missing:
        raise DataError(
            f"{root / split}: {len(missing)} of {len(shards)} shards are not there, the first is {missing[0]}; check "
            "data.root and the range in braces, such as train-{000..146}.tar"
        )
    return shards


def is_streamed(url: str) -> bool:
    """Whether a shard can be read from its beginning alone."""
    return url.startswith("pipe:") or "://" in url


def read_class_names(root: Path, stated: Sequence[str] | None) -> tuple[str, ...]:
    """What the labels of shards are called: classes.txt, else what is stated. DataError where nobody says."""
    file = root / "classes.txt"
    if file.is_file():
        return tuple(_SYNSET_LINE.sub("", line) for line in read_lines(file))
    if stated:
        return tuple(stated)
    raise DataError(
        f"{file}: tar files do not say what their labels are called; write the names there, a line a class in the "
        "order of the labels, or in data.classes (for ImageNet, copy detres/data/imagenet_classes.txt there)"
    )


def is_wanted(file_name: str) -> bool:
    """Whether a file in a shard is an image or a label; folders such as __meta__/ are webdataset's own."""
    ending = file_name.rpartition("/")[2].partition(".")[2].lower()
    return (ending in IMAGE_ENDINGS or ending in LABEL_ENDINGS) and not _META.match(file_name)


def image_of(parts: Mapping[str, T], where: str) -> tuple[str, T]:
    """The ending and the value of a sample's image; DataError where there is none or more than one."""
    endings = sorted(ending for ending in parts if ending in IMAGE_ENDINGS)
    if len(endings) != 1:
        raise DataError(f"{where}: it has {', '.join(parts)}, expected one image such as jpg")
    return endings[0], parts[endings[0]]


def label_of(parts: Mapping[str, object], classes: int, where: str) -> int:
    """The label of a sample, whose cls and json are bytes. DataError where it is missing or out of range."""
    stated: object = None
    if "cls" in parts:
        stated = parts["cls"].decode(errors="replace").strip()
    elif "json" in parts:
        try:
            content = json.loads(parts["json"])
        except ValueError as error:
            raise DataError(f"{where}.json: cannot be read: {error}") from None
        stated = content.get("label") if isinstance(content, dict) else None
    if not re.fullmatch(r"\d+", str(stated)):
        raise DataError(f"{where}: got label {stated!r}, expected a number in its .cls, or under `label` in its .json")
    label = int(str(stated))
    if label >= classes:
        raise DataError(f"{where}: label {label} is out of range, there are {classes} classes (from 0)")
    return label


def _samples(shard: Path) -> dict[str, dict[str, tuple[int, int] | bytes]]:
    """Of each sample, where its image lies (offset and length), and the bytes of its labels."""
    found: dict[str, dict[str, tuple[int, int] | bytes]] = {}
    try:
        with tarfile.open(shard, "r:") as opened:
            for member in opened:
                folder, slash, name = member.name.rpartition("/")
                key, _, ending = name.partition(".")
                if not member.isfile() or not key or not is_wanted(member.name):
                    continue
                parts, ending = found.setdefault(folder + slash + key, {}), ending.lower()
                if ending in IMAGE_ENDINGS:
                    parts[ending] = (member.offset_data, member.size)
                else:
                    parts[ending] = opened.extractfile(member).read()
        with shard.open("rb") as file:
            file.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
            if any(file.read()):  # tarfile takes a copy that was cut between two files for a whole one
                raise tarfile.ReadError("it breaks off")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{shard}: no whole, uncompressed tar file ({error}); copy it again or unpack its gz") from None
    return found
