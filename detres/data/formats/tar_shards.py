"""Tar files in WebDataset's layout: the files of a sample share a name up to its first dot, and stand together.

KEY.jpg (or another image) is the image; its label stands in KEY.cls, a number, or in KEY.json under "label". What the
labels are called stands in a classes.txt beside the shards, a line a class, or in data.classes.
Here shards that lie on a disk are read as a set of images, each at its place in its tar;
classification/shard_stream.py reads them one after the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from detres.data.classes import select_classes
from detres.data.classification.classified import ClassifiedImages, classified, with_classes
from detres.data.formats.format import Format
from detres.data.formats.tar_reading import MOST_LABEL_BYTES, content_of, open_tar, plain_files, told_of_tar
from detres.data.images.files import IMAGE_SUFFIXES
from detres.errors import DataError
from detres.files.shard_names import expand_names, is_address, is_streamed
from detres.files.text import read_lines

T = TypeVar("T")

IMAGE_ENDINGS = frozenset(suffix[1:] for suffix in IMAGE_SUFFIXES)
LABEL_ENDINGS = ("cls", "json")

# Schemes beside http(s) that webdataset starts a program for; it must be the user who names them.
_PROGRAMS = ("pipe", "gs", "hf", "ais", "htgs", "sftp", "ftps", "scp")

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
        shown = _shown_below(root, shard)
        for key, parts in _samples(Path(shard)).items():
            ending, span = image_of(parts, f"{shard}: {key}")
            labels.append(label_of(parts, len(known), f"{shard}: {key}"))
            names.append(f"{shown}/{key}.{ending}")
            assert isinstance(span, tuple), "of an image, where it lies"
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

    Whoever wrote the split may not have been the user: config/code_names.py refuses commands of others before this.
    Raises DataError where a path is no file, and where an address is none that can be fetched.
    """
    # Absolute: webdataset would take a folder that is called as a command is for one.
    shards = [url if is_streamed(url) else str((root / url).absolute()) for url in expand_names(split)]
    for shard in shards:
        scheme = shard.partition(":")[0]
        if "://" in shard and not is_address(shard) and scheme not in _PROGRAMS:
            raise DataError(f"{shard}: this is no address of a shard; https://HOST/PATH.tar and pipe:COMMAND are")
    missing = [shard for shard in shards if not is_streamed(shard) and not Path(shard).is_file()]
    if missing:
        raise DataError(
            f"{root / split}: {len(missing)} of {len(shards)} shards are not there, the first is {missing[0]}; check "
            "data.root and the range in braces, such as train-{000..146}.tar"
        )
    return shards


def read_class_names(root: Path, stated: Sequence[str] | None) -> tuple[str, ...]:
    """What the labels of shards are called: classes.txt, else what is stated. DataError where nobody says."""
    file = root / "classes.txt"
    if file.is_file():
        return tuple(_SYNSET_LINE.sub("", line) for line in read_lines(file))
    if stated:
        return tuple(stated)
    raise DataError(
        f"{file}: tar files do not say what their labels are called; write the names there, a line a class in the "
        "order of the labels, or in data.classes (for ImageNet, copy detres/data/formats/imagenet_classes.txt there)"
    )


def is_wanted(file_name: str) -> bool:
    """Whether a file in a shard is an image or a label; folders such as __meta__/ are webdataset's own."""
    ending = file_name.rpartition("/")[2].partition(".")[2].lower()
    return (ending in IMAGE_ENDINGS or ending in LABEL_ENDINGS) and not _META.match(file_name)


def image_of(parts: Mapping[str, T], where: str) -> tuple[str, T]:
    """The ending and the value of a sample's image; DataError where there is none or more than one."""
    endings = sorted(ending for ending in parts if ending in IMAGE_ENDINGS)
    if len(endings) != 1:
        raise DataError(f"{where}: it has {', '.join(parts)[:80]}, expected one image such as jpg")
    return endings[0], parts[endings[0]]


def label_of(parts: Mapping[str, Any], classes: int, where: str) -> int:
    """The label of a sample, whose cls and json are bytes. DataError where it is missing or out of range."""
    stated: object = None
    if "cls" in parts:
        stated = parts["cls"].decode(errors="replace").strip()
    elif "json" in parts:
        try:
            content = json.loads(parts["json"])
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}.json: cannot be read: {error}") from None
        stated = content.get("label") if isinstance(content, dict) else None
    if isinstance(stated, bool) or not re.fullmatch(r"[0-9]{1,9}", str(stated)):
        raise DataError(
            f"{where}: got label {repr(stated)[:60]}, expected a number in its .cls, or under `label` in its .json"
        )
    label = int(str(stated))
    if label >= classes:
        raise DataError(f"{where}: label {label} is out of range, there are {classes} classes (from 0)")
    return label


def _samples(shard: Path) -> dict[str, dict[str, tuple[int, int] | bytes]]:
    """Of each sample, where its image lies (offset and length), and the bytes of its labels."""
    found: dict[str, dict[str, tuple[int, int] | bytes]] = {}
    with (
        told_of_tar(f"{shard}: no whole, uncompressed tar file", "copy it again or unpack its gz"),
        open_tar(shard) as opened,
    ):
        for member in plain_files(opened, size=shard.stat().st_size):
            key, ending = key_and_ending(member.name)
            if not key or not is_wanted(member.name):
                continue
            parts = found.setdefault(key, {})
            if ending in parts:
                raise DataError(f"{shard}: {key}.{ending} stands twice; which of them is meant?")
            if ending in IMAGE_ENDINGS:
                parts[ending] = (member.offset_data, member.size)
            else:
                parts[ending] = label_bytes(member.size, content_of(opened, member).read, f"{shard}: {key}")
    return found


def key_and_ending(file_name: str) -> tuple[str, str]:
    """A sample's key, with its folder, and what the file is of it: a/b.seg.PNG is seg.png of a/b.

    What is no text in the name is written out.
    """
    folder, slash, name = file_name.rpartition("/")
    key, _, ending = name.partition(".")
    whole = (folder + slash + key) if key else ""
    return whole.encode(errors="backslashreplace").decode(), ending.lower()


def label_bytes(size: int, read: Callable[[], bytes], where: str) -> bytes:
    """What a cls or json holds; DataError where it is no label's size."""
    if size > MOST_LABEL_BYTES:
        raise DataError(f"{where}: its label has {size:,} bytes; it is a number, or a json of at most 1 MiB")
    return read()


def _shown_below(root: Path, shard: str) -> str:
    """A shard's name below the root, which the names of its images begin with, up to their first `.tar/`."""
    path = Path(shard)
    shown = path.relative_to(root.absolute()).as_posix() if path.is_relative_to(root.absolute()) else path.as_posix()
    if shown.partition(".tar")[1:] != (".tar", ""):
        raise DataError(f"{shard}: a shard's name ends in .tar, and no folder's name on the way to it does; rename it")
    return shown


SHARDS = Format(load_shards, layout="tar files of KEY.jpg with KEY.cls (or KEY.json) lie beside a classes.txt")
