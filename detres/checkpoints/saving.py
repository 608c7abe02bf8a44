"""Checkpoints that are there whole or not at all, whenever the process or the machine stops.

A checkpoint is a folder with `model.safetensors` (weights and what feeds them) and `trainer.pt` (all else a run goes
on from). It is written under a hidden name, flushed to the disk, and renamed. A folder cannot be replaced by one
rename, so the old one steps aside first, and readers look there while the place is empty. The next start puts it back
(training/resuming.py), so that whoever trains finds every checkpoint under its name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detres.checkpoints.contents import MODEL_FILE, TRAINER_FILE
from detres.checkpoints.places import aside, unfinished
from detres.files.checksums import with_checksum
from detres.files.patience import patiently
from detres.files.remove import remove
from detres.files.safetensors import save_file
from detres.files.whole import flush

Tell = Callable[[str], None]


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
