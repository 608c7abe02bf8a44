"""Weights files that nobody should have written, read by every reader there is.

python -m tests.campaigns.weights --minutes 5       a seed is drawn and printed
python -m tests.campaigns.weights --only npz --seed 7 --number 1234
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from detres.backbones.weights.files import read_weights
from detres.backbones.weights.metadata import WeightsMetadata
from detres.classification.files import ClassifierSettings
from detres.detection.files import DetectorSettings
from detres.errors import WeightsError
from detres.pickles.array_pickle import read_array_pickle
from detres.pickles.inert_pickle import read_torch_file
from detres.structures import IMAGENET_STATS
from tests.campaigns.watched import Campaign, main
from tests.campaigns.weight_inputs import MAKERS

_LONGEST_MESSAGE = 4000
_ENDS_WITHOUT_WORDS = ("()", ": ")


def write(make: Callable[[Random], bytes], rng: Random, folder: Path) -> None:
    (folder / "w").write_bytes(make(rng))


def read_all(folder: Path) -> int:
    """How many readers read it. Raises WeightsError where none did; of the readers of pickles a ValueError is told."""
    path = folder / "w"
    known = WeightsMetadata("resnet18", IMAGENET_STATS)
    readers: list[tuple[type[Exception], Callable[[], object]]] = [
        (WeightsError, lambda: read_weights(path)),
        (WeightsError, lambda: read_weights(path, metadata=known)),
    ]
    if path.read_bytes()[8:9] == b"{":
        models = (DetectorSettings, ClassifierSettings)
        readers += [(WeightsError, lambda model=model: model.load(path)) for model in models]
    else:
        readers += [(ValueError, lambda: read_torch_file(path)), (ValueError, lambda: read_array_pickle(path))]
    results, message = 0, ""
    for told, read in readers:
        try:
            read()
            results += 1
        except told as error:
            message = str(error)
            if not message or message.endswith(_ENDS_WITHOUT_WORDS) or len(message) > _LONGEST_MESSAGE:
                raise AssertionError(f"no message for people: {message[:200]!r}") from error
            if "MemoryError" in message or "allocate" in message:
                raise AssertionError("more memory was asked for than there is") from error
    if not results:
        raise WeightsError(message)
    return results


CAMPAIGNS = tuple(Campaign(kind, partial(write, make), read_all) for kind, make in MAKERS.items())

if __name__ == "__main__":
    raise SystemExit(main(CAMPAIGNS))
