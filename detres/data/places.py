"""Where a data set's folder is looked for, and what to say where it, or a split of it, is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detres.config.detection_schema import DataConfig
from detres.errors import DataError
from detres.files.places import local_place

if TYPE_CHECKING:
    from detres.config.classification_schema import ClassificationDataConfig
    from detres.config.localization_schema import LocalizationDataConfig

SplitName = Literal["train", "val", "test"]


def find_set(given: str, kind: str, base: Path | None = None, *, mend: str) -> Path:
    """The folder `given` of a set of this kind.

    A relative one is looked for in `base`, in the current folder and in datasets_root(), there without a leading
    datasets/. DataError that says what was looked for and how to get the data, which is `mend`.
    """
    candidates = places_of_set(given, base)
    for candidate in candidates:
        if os.path.exists(candidate):
            return candidate
    raise DataError(
        f"data.root: the {kind} set was looked for at {', '.join(map(str, candidates))} and is not there. Set "
        "data.root=FOLDER, or DETRES_DATASETS to the folder that holds your sets; " + mend
    )


def find_made_set(given: str | None, usual: str, base: Path | None = None) -> Path:
    """The folder of a set that detres makes itself, which need not be there yet; `usual` below datasets_root()."""
    if given is None:
        return datasets_root() / usual
    candidates = places_of_set(given, base)
    return next((candidate for candidate in candidates if os.path.exists(candidate)), candidates[0])


def places_of_set(given: str | Path, base: Path | None = None) -> list[Path]:
    """Where a set's folder is looked for, as find_set says, first to last."""
    folder, below = local_place(given, f"data.root={given}"), datasets_root()
    inside = Path(*folder.parts[1:]) if folder.parts[:1] == ("datasets",) else folder
    # Joining an absolute path to a folder leaves it as it is.
    candidates = [*([base / folder] if base else []), Path.cwd() / folder, below / inside]
    return list(dict.fromkeys(candidates))


def datasets_root() -> Path:
    """The folder that holds data sets: DETRES_DATASETS, else datasets/ here, else the clone's, else datasets/ here.

    A folder `datasets` beside an installed detres is another project's package of that name, not a clone's.
    """
    named = os.environ.get("DETRES_DATASETS")
    if named:
        return Path(named).expanduser()
    here, clone = Path.cwd() / "datasets", Path(__file__).parents[2]
    in_clone = (clone / "pyproject.toml").is_file() and (clone / "datasets").is_dir()
    return clone / "datasets" if in_clone and not here.is_dir() else here


def describe_missing_split(
    data: DataConfig | ClassificationDataConfig | LocalizationDataConfig, split: SplitName
) -> str:
    """What to say where a config does not name the split that is asked for."""
    there = [name for name in ("train", "val", "test") if getattr(data, name)]
    apart = split == "val" and hasattr(data, "val_fraction")
    mend = f"set data.{split}" + (" or data.val_fraction" if apart else "")
    if split == "train" and not there:
        mend = "name a set with --data, or its splits with data.train and its neighbours"
    mend += f", or use --split {there[-1]}" if there and split != "train" else ""
    return f"data.{split}: the config names no {split} split (it has {', '.join(there) or 'none'}); {mend}"
