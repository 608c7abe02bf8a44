"""From a config's data section to classified images.

How a split is written, by format:
  imagenet    a folder of synset folders below the root, or a flat folder with labels beside it (formats/imagenet.py)
  folder      a folder of class folders below the root; "." where the root itself holds them
  cifar10     train or test
  webdataset  tar files below the root such as train-{000..146}.tar (formats/tar_shards.py); training streams them, and
              only there a pipe such as "pipe:curl -s URL/{000..146}.tar" will do (shard_stream.py)
  shapes      train, val or test
Several splits are joined in order.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detres.config.classification_schema import ClassificationDataConfig
from detres.data.classification.classified import ClassifiedImages, joined, set_apart
from detres.data.classification.shard_stream import ShardedImages
from detres.data.formats.format import find_format, find_root
from detres.data.formats.tar_shards import expand_shards, read_class_names
from detres.data.places import SplitName, describe_missing_split
from detres.data.problems import HARMLESS
from detres.errors import DataError
from detres.files.shard_names import is_streamed
from detres.optional_package import optional_package
from detres.tables import CLASSIFICATION_FORMATS
from detres.words import number_of


def load_classified(data: ClassificationDataConfig, split: SplitName, *, base: Path | None = None) -> ClassifiedImages:
    """The images of one split and their labels.

    base: the folder that a relative root is looked for in first. Where data.val_fraction is set, that share of the
    training images is val, the same of every class, and the rest are train; which ones depends on the labels alone.
    Only names are read: images that cannot be decoded show when they are used.
    Raises DataError where the root, the split or a class is missing, and with data.strict where anything is wrong.
    """
    from_train = split == "val" and not data.val and data.val_fraction
    listed = data.train if from_train else {"train": data.train, "val": data.val, "test": data.test}[split]
    if not listed:
        raise DataError(describe_missing_split(data, split))
    if len(set(listed)) < len(listed):
        raise DataError(f"data.{split}: {', '.join(listed)}: a split stands twice")
    root = find_root(CLASSIFICATION_FORMATS, data, base)
    chosen = find_format(CLASSIFICATION_FORMATS, data.format)
    keys = {"train": data.train, "classes": data.classes, "exif": data.exif}
    read = [chosen.read(root, name, keys | {"unlabelled": name in data.test}, ClassifiedImages) for name in listed]
    images = replace(joined(read), max_pixels=data.max_pixels)
    bad = [problem for problem in images.problems if problem.kind not in HARMLESS]
    if data.strict and bad:
        shown = "".join(f"\n  {problem}" for problem in bad[:20])
        raise DataError(f"{images.name}: {number_of(len(bad), 'problem')}, and data.strict=true accepts none:{shown}")
    if split == "train" and (images.labels < 0).any():
        raise DataError(f"{images.name}: its images have no labels to learn from; check data.train")
    if data.val_fraction and (from_train or split == "train"):
        rest, apart = set_apart(images, data.val_fraction)
        return apart if from_train else rest
    return images


def load_training_set(data: ClassificationDataConfig, *, base: Path | None = None) -> ClassifiedImages | ShardedImages:
    """What to train on: load_classified's train split, or the shards of a webdataset, which are streamed.

    The shards' images are counted where they lie on a disk and data.images does not say their number.
    Raises DataError as load_classified does, where piped shards come without data.images, and where data.val_fraction
    asks to set images of a stream apart; ConfigError where the package webdataset is absent.
    """
    if data.format != "webdataset":
        return load_classified(data, "train", base=base)
    # Now, since it is the loader's workers who read with it.
    otherwise = "unpack the shards into folders of classes (data.format=folder)"
    optional_package("webdataset", where="data.format=webdataset: training", otherwise=otherwise)
    if not data.train:
        raise DataError(describe_missing_split(data, "train"))
    if data.val_fraction:
        raise DataError("data.val_fraction: no images can be set apart from a stream; name val shards with data.val")
    root = find_root(CLASSIFICATION_FORMATS, data, base)
    shards = tuple(shard for split in data.train for shard in expand_shards(root, split))
    if data.images is None and any(map(is_streamed, shards)):
        raise DataError("data.images: nobody can count the images of piped shards; set it to their number")
    count = len(load_classified(data, "train", base=base)) if data.images is None else data.images
    names = read_class_names(root, data.classes)
    if data.classes is not None and data.classes != names:
        raise DataError(
            f"data.classes: the labels of a stream are those of {root / 'classes.txt'}, none can be left out or moved; "
            "leave data.classes out"
        )
    return ShardedImages(f"{root.resolve().name}/train", names, shards, count)
