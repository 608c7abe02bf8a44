"""Whether a run that goes on still learns from, and is chosen on, the images it was begun with.

A checkpoint carries a digest of each split. A resumed run promises to end bit for bit as one that was never cut, which
other images break: they are refused, unless training.allow_other_images says that they may be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from detres.backbones.weights.model_settings import METADATA_KEY
from detres.checkpoints.reading import read_metadata
from detres.errors import ConfigError
from detres.reporter import Reporter
from detres.tasks.runs.parts import Start

# Beside the text of every model: what was trained and evaluated on.
DATA_KEY = "detres_data"


class SplitImages(Protocol):
    """A split of any task."""

    @property
    def name(self) -> str: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def digest(self) -> str: ...


class SameData:
    """Holds each split of a run against what its checkpoint says, and keeps what the next checkpoints are to say."""

    def __init__(self, start: Start, allow_other_images: bool, reporter: Reporter) -> None:
        self._run, self._allowed, self._reporter = start.run, allow_other_images, reporter
        self._stated: Mapping[str, str] | None = None
        if start.checkpoint is not None:
            self._stated = read_metadata(start.checkpoint)
        self._splits: dict[str, dict[str, Any]] = {}
        self.best_counts = True
        """Whether the best evaluation so far was of the images that are evaluated on from now on."""

    def check_classes(self, images: SplitImages) -> None:
        """Raises ConfigError where the images to learn from have other classes than the run, or another order."""
        stated = _read(self._stated, METADATA_KEY).get("class_names")
        if stated is not None and tuple(stated) != images.class_names:
            raise ConfigError(
                f"--resume {self._run}: the classes of {images.name} are others than the run was begun with: "
                f"{_differing(tuple(stated), images.class_names)}. Give the set its former classes in their former "
                f"order, or start anew from these weights, whose classes are matched by name: --weights {self._run} "
                "with another folder as --out"
            )

    def check_images(self, split: str, images: SplitImages) -> None:
        """Raises ConfigError where a split is not the one that the run was begun with, and that is not allowed."""
        now = {"set": images.name, "images": len(images), "digest": images.digest()}
        self._splits[split] = now
        if self._stated is None:
            return
        stated = _read(self._stated, DATA_KEY)
        before = stated.get(split)
        if not stated and split == "train":
            self._reporter.say(
                f"{self._run}: its checkpoint is an older version's and does not say which images it learned from, so "
                "nothing tells whether these are the same"
            )
        elif before is not None and before["digest"] != now["digest"]:
            self._differ(split, before, now)

    def to_metadata(self) -> dict[str, str]:
        """Of every model.safetensors of the run."""
        return {DATA_KEY: json.dumps(self._splits, sort_keys=True)}

    def _differ(self, split: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        what = (
            f"{split} is not what the run was begun with: {before['set']} had {before['images']} images (digest "
            f"{before['digest']}), {now['set']} has {now['images']} (digest {now['digest']})"
        )
        if not self._allowed:
            raise ConfigError(
                f"--resume {self._run}: {what}; names, sizes, classes and boxes count. A resumed run ends as one that "
                "was never cut, which other images do not allow: put the former ones back; or go on all the same with "
                f"training.allow_other_images=true; or start anew from these weights: --weights {self._run} with "
                "another folder as --out"
            )
        self._reporter.say(
            f"warning: {what}; it goes on by training.allow_other_images=true, and will not end as one never cut"
        )
        if split != "train":
            self.best_counts = False
            self._reporter.say(
                f"the best evaluation so far was of another {split} and counts no more: the next makes a new `best`"
            )


def _read(metadata: Mapping[str, str] | None, key: str) -> dict[str, Any]:
    """A JSON text of the metadata; {} where there is none."""
    try:
        text = json.loads((metadata or {}).get(key, "{}"))
    except ValueError:
        return {}  # Whoever builds the model says so.
    return text if isinstance(text, dict) else {}


def _differing(before: tuple[str, ...], now: tuple[str, ...], most: int = 10) -> str:
    """Two lists of names, and of long ones the part in which they differ."""
    if len(before) == len(now) > most:
        places = [place for place in range(len(now)) if before[place] != now[place]][:most]
        return "; ".join(f"class {place} was {before[place]}, is {now[place]}" for place in places)
    gone, added = [n for n in before if n not in now], [n for n in now if n not in before]
    if max(len(before), len(now)) > most and (gone or added):
        parts = (("gone", gone), ("new", added))
        return f"{len(before)} then, {len(now)} now; " + "; ".join(
            f"{word}: {', '.join(names[:most])}" for word, names in parts if names
        )
    return f"were {', '.join(before)}; are {', '.join(now)}"
