"""Checkpoints that are there whole or not at all, whenever the process or the machine stops.

A checkpoint is a folder with `model.safetensors` (weights and what feeds them) and `trainer.pt` (all else a run goes
on from). It is written under a hidden name, flushed to the disk, and renamed. A folder cannot be replaced by one
rename, so the old one steps aside first, and readers look there while the place is empty. The next start puts it back
(resuming.py), so that whoever trains finds every checkpoint under its name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detres.errors import WeightsError
from detres.files import safetensors
from detres.files.checksums import CHECKSUM_KEY, with_checksum
from detres.files.patience import patiently
from detres.files.places import local_place
from detres.files.remove import remove
from detres.files.safetensors import save_file
from detres.files.whole import flush
from detres.training.checkpoint_files import MODEL_FILE, TRAINER_FILE, Damaged, tensors_of, trainer_of
from detres.training.checkpoint_places import aside, others_of, unfinished, where_it_lies

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds: tensors on the CPU, the metadata beside them, the trainer's state."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    trainer: dict[str, Any]


def save_checkpoint(
    folder: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    trainer_state: Mapping[str, Any],
    *,
    tell: Tell = lambda line: None,
) -> None:
    """Write a checkpoint, replacing the one at `folder` if there is one.

    trainer_state: tensors, numbers, text, lists and dicts only, as torch.load(weights_only=True) takes no more.
    tell: told where the disk refuses and is asked again.
    Raises UserError where it refuses for a minute; the checkpoint that was there is then still whole.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = with_checksum(plain, metadata)

    def fill(new: Path) -> None:
        save_file(plain, new / MODEL_FILE, text)
        os.chmod(new / MODEL_FILE, 0o644)  # safetensors' files are private to their maker
        torch.save(dict(trainer_state), new / TRAINER_FILE)
        for name in (MODEL_FILE, TRAINER_FILE):
            flush(new / name)

    _replace(folder, fill, tell)


def link_checkpoint(source: Path, folder: Path, *, tell: Tell = lambda line: None) -> None:
    """Let `folder` hold the same checkpoint as `source`; files are shared where the file system can, else copied.

    tell, errors: as of save_checkpoint.
    """

    def fill(new: Path) -> None:
        for name in (MODEL_FILE, TRAINER_FILE):
            try:
                os.link(source / name, new / name)
            except OSError:
                shutil.copyfile(source / name, new / name)
                flush(new / name)

    _replace(folder, fill, tell)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU without running code from it.

    Raises WeightsError where it is none, or its bytes are not those that were written.
    """
    folder = where_it_lies(folder)
    tensors, metadata = read_safetensors(folder / MODEL_FILE)
    try:
        trainer = trainer_of(folder / TRAINER_FILE)
    except Damaged as error:
        raise WeightsError(f"{folder / TRAINER_FILE}: cannot be read: {error}{others_of(folder)}") from None
    return Checkpoint(folder, tensors, metadata, trainer)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, less its checksum.

    Raises WeightsError where it is none, or has a checksum that its bytes do not.
    """
    try:
        tensors, metadata, _ = tensors_of(path)
    except Damaged as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}{others_of(path.parent)}") from None
    return tensors, metadata


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, without its tensors; WeightsError where it is none."""
    try:
        return safetensors.read_metadata(path)
    except ValueError as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}{others_of(path.parent)}") from None


def find_checkpoint(run: Path) -> Path:
    """The checkpoint folder a run is judged by: its best, else its last (the folder's name says which).

    run: a run folder, or a checkpoint folder itself. Raises WeightsError where there is neither.
    """
    if (run / MODEL_FILE).is_file():
        return run
    for name in ("best", "last"):
        if found := existing_checkpoint(run, name):
            return found
    raise WeightsError(
        f"{run}: there is no checkpoint here (looked for {MODEL_FILE}, checkpoints/best and checkpoints/last); "
        "give a run folder, a checkpoint folder or a file"
    )


def find_weights_file(weights: str | Path) -> Path:
    """The safetensors file that --weights names: a file, a checkpoint folder, or a run's best, else its last."""
    path = local_place(weights, f"--weights {weights}")
    if path.is_file():
        return path
    if path.is_dir():
        return find_checkpoint(path) / MODEL_FILE
    raise WeightsError(
        f"--weights {weights}: there is no such file or folder; it takes a run folder, a checkpoint folder or a file"
    )


def existing_checkpoint(run: Path, name: str = "last") -> Path | None:
    """The folder of one of a run's checkpoints, None where it was never written."""
    folder = where_it_lies(run / "checkpoints" / name)
    return folder if (folder / MODEL_FILE).is_file() else None


def completed_steps(folder: Path) -> int:
    """How far the run was, from what the weights say of themselves; WeightsError where they cannot be read."""
    return int(read_metadata(folder / MODEL_FILE).get("step", 0))


def has_checksum(folder: Path) -> bool:
    """Whether damage of a checkpoint's weights would be noticed when they are read; WeightsError as completed_steps."""
    return CHECKSUM_KEY in read_metadata(folder / MODEL_FILE)


def step_name(step: int) -> str:
    return f"step_{step:08d}"


def _replace(folder: Path, fill: Callable[[Path], None], tell: Tell) -> None:
    """Have `fill` write the files of a checkpoint into a new folder, which then stands at `folder`."""
    new = unfinished(folder)

    def write() -> None:
        remove(new)
        new.mkdir(parents=True)
        fill(new)
        _put_in_place(new, folder)

    patiently(write, folder, "the checkpoint", undo=lambda: remove(new), tell=tell)


def _put_in_place(new: Path, folder: Path) -> None:
    flush(new)
    old = aside(folder)
    if folder.exists():
        # `old` goes only while `folder` is there, so one whole checkpoint exists at every moment.
        remove(old)
        folder.rename(old)
    new.rename(folder)
    flush(folder.parent)
    remove(old)
