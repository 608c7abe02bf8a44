"""Where a run begins: what killed processes left of it is put in order, and the checkpoint to go on from is found.

One rule finds a checkpoint: it lies under its name, else where it stepped aside (checkpoints/places.py). A run goes on
from `last` alone. A folder that has other checkpoints and no `last`, or a damaged one, is begun by nobody but its user.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from detres.checkpoints.places import (
    aside,
    checkpoint_names,
    commands_to_go_on,
    examine_checkpoints,
    is_leftover,
    where_it_lies,
)
from detres.errors import ConfigError
from detres.files.remove import remove
from detres.files.whole import clean_partials, told_of_disk

# What safetensors calls a file that it writes, and what a file of weights is called while it is written.
_UNFINISHED_WEIGHTS = re.compile(r"\.tmp\w{6}|\..+\.safetensors\.\d+")


def settle(run: Path) -> None:
    """Put back what stepped aside, and take away what was not finished; the caller alone writes in the folder."""
    folder = run / "checkpoints"
    for name in checkpoint_names(run):
        if where_it_lies(folder / name) == aside(folder / name):
            with suppress(OSError):  # Where it cannot be moved it is found all the same.
                aside(folder / name).rename(folder / name)
    for path in folder.glob(".*"):
        if is_leftover(path):
            remove(path)
    for path in run.glob(".*"):
        if _UNFINISHED_WEIGHTS.fullmatch(path.name):
            remove(path)
    clean_partials(run)


def checkpoint_to_resume(run: Path, resume: bool) -> Path | None:
    """The `last` checkpoint of a run that is to go on, None where the run has no checkpoint at all.

    Raises ConfigError where the folder holds checkpoints and the run would begin anew or there is no `last`: a new run
    would replace `best` and cut back what was logged.
    """
    names = checkpoint_names(run)
    if not names:
        return None
    if "last" not in names:
        commands = commands_to_go_on(run, examine_checkpoints(run))
        ways = f"to go on from one, give its command and then --resume:{commands}\n" if commands else "none is whole; "
        raise ConfigError(
            f"{run}: this run folder has checkpoints ({', '.join(names)}) but no last, from which a run goes on; "
            f"{ways}--out names another folder for a new run"
        )
    if not resume:
        raise ConfigError(
            f"{run}: this run folder has checkpoints ({', '.join(names)}); --resume goes on with it, --out names "
            "another folder"
        )
    return where_it_lies(run / "checkpoints" / "last")


def set_aside_log(run: Path) -> int:
    """Add the lines of a run that begins anew to metrics.before.jsonl; returns how many. UserError for a full disk."""
    with told_of_disk(run / "metrics.before.jsonl"):
        lines = (run / "metrics.jsonl").read_bytes() if (run / "metrics.jsonl").is_file() else b""
        if lines:
            with (run / "metrics.before.jsonl").open("ab") as kept:
                kept.write(lines)
            (run / "metrics.jsonl").unlink()
    return lines.count(b"\n")
