"""Yaml, configs, overrides, names and archives that nobody should have written, read as every command reads them.

python -m tests.campaigns.texts --minutes 5         a seed is drawn and printed
python -m tests.campaigns.texts --only config --seed 7 --number 1234
"""

from __future__ import annotations

import itertools
import json
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from detres.config.finding import list_configs
from detres.config.loading import Layer, load_config, read_override, resolve
from detres.data.archives import unpack, unpack_nested
from detres.data.classification.shard_stream import read_lane
from detres.data.data_file import load_classification_file, load_data_file, task_of_data_file
from detres.data.detection.transforms import build_augmentation
from detres.data.formats.tar_shards import load_shards
from detres.detection.model import losses  # noqa: F401  (what a check of keys asks of tables, imported before it is watched)
from detres.errors import UserError
from detres.files.names import unique_names
from detres.files.shard_names import expand_names
from tests.campaigns import archive_inputs, yaml_inputs
from tests.campaigns.watched import Campaign, main

_RECIPES = [path for stem, _, path in list_configs() if stem in ("coco_r50", "cifar10_resnet20")]
_SHARD_IMAGES = 20


def _each(reads: Iterable[Callable[[], object]]) -> int:
    """How many were read. Raises what the last was told where none was."""
    results, told = 0, None
    for read in reads:
        try:
            read()
            results += 1
        except UserError as error:
            told = error
    if told is not None and not results:
        raise told
    return results


def _write_data_file(rng: Random, folder: Path) -> None:
    (folder / "data.yaml").write_bytes(yaml_inputs.data_file(rng))


def read_own_data(folder: Path) -> int:
    """Its task, and the set as each task reads it and as a run's settings take it over."""
    file = folder / "data.yaml"

    def settle(task: str) -> None:
        data = (load_data_file if task == "detection" else load_classification_file)(file)
        resolve([Layer(str(file), {"task": task, "data": data.model_dump(mode="json", exclude_unset=True)})])

    tasks = ("detection", "classification")
    return _each([lambda: task_of_data_file(file), *(lambda task=task: settle(task) for task in tasks)])


def _write_config(rng: Random, folder: Path) -> None:
    (folder / "config.yaml").write_bytes(yaml_inputs.config(rng))
    _write_json(folder, yaml_inputs.overrides(rng) if rng.random() < 0.3 else [])


def read_config(folder: Path) -> int:
    """As one's own and as one that came with a run."""
    file, overrides = folder / "config.yaml", _read_json(folder)
    return _each(lambda trusted=trusted: load_config(file, overrides, trusted=trusted) for trusted in (True, False))


def read_overrides(folder: Path) -> int:
    texts = _read_json(folder)
    return _each(
        [
            *(lambda path=path: load_config(path, texts) for path in _RECIPES),
            lambda: resolve([read_override(text) for text in texts]),
        ]
    )


def _write_shards(rng: Random, folder: Path) -> None:
    (folder / "s.tar").write_bytes(archive_inputs.shard(rng))
    if rng.random() < 0.8:
        (folder / "classes.txt").write_bytes(yaml_inputs.class_list(rng))


def read_shards(folder: Path) -> int:
    """As a set that is measured on, image by image, and as a stream that is learned from."""

    def measure() -> None:
        images = load_shards(folder, "s.tar")
        _each(lambda i=i: images.read(i) for i in range(len(images)))

    def learn() -> None:
        lane = read_lane([str(folder / "s.tar")], 2, seed=0, epoch=0, lane=0, lanes=1)
        list(itertools.islice(lane, _SHARD_IMAGES))

    return _each([measure, learn])


def _write_archive(rng: Random, folder: Path) -> None:
    (folder / "a.zip").write_bytes(archive_inputs.archive(rng))


def read_archive(folder: Path) -> int:
    """Unpacked below a folder, and nowhere else."""
    file, targets = folder / "a.zip", (folder / "flat", folder / "nested")
    try:
        return _each([lambda: unpack(file, targets[0]), lambda: unpack_nested(file, targets[1])])
    finally:
        written = [path for path in folder.rglob("*") if path != file]
        outside = [path for path in written if not any(path.is_relative_to(target) for target in targets)]
        if outside:
            raise AssertionError(f"written outside the target: {outside[:3]}")


def make_files(folder: Path) -> int:
    """A file for each name, none of them another's."""
    names = _read_json(folder)
    below = folder / "files"
    below.mkdir()
    chosen = unique_names(names)
    for name in chosen:
        (below / name).touch()
    if len(os.listdir(below)) != len(names):
        raise AssertionError(f"{names!a} became {chosen!a}")
    return len(names)


def read_augmentation(folder: Path) -> int:
    warnings.simplefilter("ignore")
    build_augmentation(_read_json(folder), "data.augment.0")
    return 1


def _json_of(make: Callable[[Random], object]) -> Callable[[Random, Path], None]:
    return lambda rng, folder: _write_json(folder, make(rng))


def _write_json(folder: Path, value: object) -> None:
    (folder / "input.json").write_text(json.dumps(value), encoding="ascii")


def _read_json(folder: Path):
    return json.loads((folder / "input.json").read_text(encoding="ascii"))


CAMPAIGNS = (
    Campaign("data_file", _write_data_file, read_own_data),
    Campaign("config", _write_config, read_config),
    Campaign("overrides", _json_of(yaml_inputs.overrides), read_overrides),
    Campaign("shard_names", _json_of(yaml_inputs.shard_names), lambda folder: expand_names(_read_json(folder))),
    Campaign("shards", _write_shards, read_shards),
    Campaign("archives", _write_archive, read_archive),
    Campaign("file_names", _json_of(yaml_inputs.names), make_files),
    Campaign("augmentations", _json_of(yaml_inputs.augmentation), read_augmentation),
)

if __name__ == "__main__":
    raise SystemExit(main(CAMPAIGNS))
