"""All rows of the run, what is asked for first in front; what is compiled takes minutes, and is last."""

from __future__ import annotations

from collections.abc import Sequence

from detres.benchmarks.classification.imagenet_training import ImagenetWork
from detres.benchmarks.gpu.checks import check_entries
from detres.benchmarks.gpu.classifiers import (
    cifar_entries,
    compiled_cifar_entries,
    compiled_resnet_entries,
    resnet_entries,
)
from detres.benchmarks.gpu.detectors import compiled_detector_entries, detector_entries
from detres.benchmarks.gpu.entries import Entry
from detres.benchmarks.gpu.loaders import loader_entries
from detres.benchmarks.gpu.measuring import Bench
from detres.benchmarks.gpu.operators import operator_entries
from detres.benchmarks.gpu.sizes import Sizes
from detres.errors import ConfigError
from detres.lookup import nearest


def planned(bench: Bench, sizes: Sizes) -> list[Entry]:
    """Every row."""
    resnet = ImagenetWork(sizes.pictures, sizes.steps)
    return [
        *check_entries(bench, sizes),
        *detector_entries(bench, "train", sizes.scene, sizes.training_batches),
        *detector_entries(bench, "predict", sizes.scene, sizes.prediction_batches),
        *resnet_entries(bench, resnet),
        *cifar_entries(bench, sizes.cifar),
        *operator_entries(bench, sizes.operators),
        *loader_entries(bench, sizes.loading),
        *compiled_cifar_entries(bench, sizes.cifar),
        *compiled_resnet_entries(bench, resnet),
        *compiled_detector_entries(bench, "train", sizes.scene, sizes.training_batches[0]),
        *compiled_detector_entries(bench, "predict", sizes.scene, sizes.prediction_batches[-1]),
    ]


def chosen(entries: Sequence[Entry], names: Sequence[str]) -> list[Entry]:
    """Those whose name is one of these or begins with one and a slash, in their order; all where none is named.

    Raises ConfigError for a name of none.
    """
    for name in names:
        if not any(_below(entry, name) for entry in entries):
            known = list(dict.fromkeys(part for entry in entries for part in _prefixes(entry.name)))
            close = nearest(name, known)
            first = list(dict.fromkeys(entry.name.partition("/")[0] for entry in entries))
            mend = f"did you mean {' or '.join(close)}?" if close else f"rows begin with {', '.join(first)}"
            raise ConfigError(f"--only {name}: no row has this name; {mend}")
    return [entry for entry in entries if not names or any(_below(entry, name) for name in names)]


def _below(entry: Entry, name: str) -> bool:
    return f"{entry.name}/".startswith(f"{name.rstrip('/')}/")


def _prefixes(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
