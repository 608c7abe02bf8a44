"""Where a run's checkpoints lie, also while one of them is being replaced, and which of them are whole."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from detres.checkpoints.contents import MODEL_FILE, TRAINER_FILE, Condition, condition_of

_ASIDE = ".old"
_UNFINISHED = ".new"


def aside(folder: Path) -> Path:
    """Where a checkpoint goes while another takes its place."""
    return folder.with_name(f".{folder.name}{_ASIDE}")


def unfinished(folder: Path) -> Path:
    """Where a checkpoint is written."""
    return folder.with_name(f".{folder.name}{_UNFINISHED}")


def is_leftover(path: Path) -> bool:
    """Whether a path beside the checkpoints is one that stepped aside, or one that was not finished."""
    return path.name.startswith(".") and path.name.endswith((_ASIDE, _UNFINISHED))


def where_it_lies(folder: Path) -> Path:
    """The folder, or where its checkpoint stepped aside if a replacement was cut short. The one rule of finding one."""
    return aside(folder) if not folder.exists() and aside(folder).exists() else folder


def checkpoint_names(run: Path) -> list[str]:
    """The names under which a run has anything of a checkpoint, whole or not."""
    names = set()
    for file in (MODEL_FILE, TRAINER_FILE):
        for path in (run / "checkpoints").glob(f"*/{file}"):
            folder = path.parent.name
            if not folder.startswith("."):
                names.add(folder)
            elif folder.endswith(_ASIDE):
                names.add(folder.removeprefix(".").removesuffix(_ASIDE))
    return sorted(names)


@dataclass(frozen=True)
class Found:
    """A checkpoint of a run: its name, where it lies, and how it is."""

    name: str
    folder: Path
    condition: Condition


def examine_checkpoints(run: Path) -> list[Found]:
    """All of a run's checkpoints, every byte of them read, in the order of their steps."""
    folders = {name: where_it_lies(run / "checkpoints" / name) for name in checkpoint_names(run)}
    found = [Found(name, folder, condition_of(folder)) for name, folder in folders.items()]
    return sorted(found, key=lambda one: (one.condition.step or 0, one.name))


def commands_to_go_on(run: Path, found: list[Found]) -> str:
    """Of each whole checkpoint but `last`, a line with the command that lets --resume go on from it.

    Raises nothing; "" where there is none.
    """
    last = where_it_lies(run / "checkpoints" / "last")
    away = f"rm -r {shlex.quote(str(last))}; " if last.exists() else ""
    place = shlex.quote(str(run / "checkpoints" / "last"))
    return "".join(
        f"\n  {one.name} (step {one.condition.step}): {away}cp -r {shlex.quote(str(one.folder))} {place}"
        for one in found
        if one.name != "last" and one.condition.damage is None
    )


def others_of(folder: Path) -> str:
    """Of a run's checkpoint that cannot be read: which beside it can be used instead, and how to go on from one."""
    if folder.parent.name != "checkpoints":
        return ""
    run = folder.parent.parent
    found = [one for one in examine_checkpoints(run) if one.folder != folder]
    whole = [one.name for one in found if one.condition.damage is None]
    if not whole:
        return ". No other checkpoint of the run is whole"
    mend = f". Whole beside it: {', '.join(whole)} (name one by --weights)"
    if folder == where_it_lies(run / "checkpoints" / "last"):
        mend += f". To go on from one, give its command and then --resume:{commands_to_go_on(run, found)}"
    return mend
