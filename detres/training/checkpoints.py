"""Checkpoints that are there whole or not at all, whenever the process or the machine stops.

A checkpoint is a folder with `model.safetensors` (weights and what feeds them) and `trainer.pt` (all else a run goes
on from). It is written under a hidden name, flushed to the disk, and renamed. A folder cannot be replaced by one
rename, so the old one steps aside first, and readers look there while the place is empty.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from detres.errors import ConfigError, UserError, WeightsError
from detres.files import safetensors

MODEL_FILE = "model.safetensors"
TRAINER_FILE = "trainer.pt"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds: tensors on the CPU, the metadata beside them, the trainer's state."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    trainer: dict[str, Any]


def save_checkpoint(
    folder: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], trainer_state: Mapping[str, Any]
) -> None:
    """Write a checkpoint, replacing the one at `folder` if there is one.

    trainer_state: tensors, numbers, text, lists and dicts only, as torch.load(weights_only=True) takes no more.
    Raises UserError where the disk refuses; the checkpoint that was there is then still whole.
    """
    new = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, new / MODEL_FILE, dict(metadata))
        os.chmod(new / MODEL_FILE, 0o644)  # safetensors' files are private to their maker
        torch.save(dict(trainer_state), new / TRAINER_FILE)
        for name in (MODEL_FILE, TRAINER_FILE):
            _flush(new / name)
        _put_in_place(new, folder)
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise UserError(
            f"{folder}: the checkpoint cannot be written: {error}; mend this and go on with --resume"
        ) from error


def link_checkpoint(source: Path, folder: Path) -> None:
    """Let `folder` hold the same checkpoint as `source`; files are shared where the file system can, else copied."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for name in (MODEL_FILE, TRAINER_FILE):
        try:
            os.link(source / name, new / name)
        except OSError:
            shutil.copyfile(source / name, new / name)
            _flush(new / name)
    _put_in_place(new, folder)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU without running code from it; WeightsError where it is none."""
    folder = _where_it_lies(folder)
    tensors, metadata = read_safetensors(folder / MODEL_FILE)
    try:
        trainer = torch.load(folder / TRAINER_FILE, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{folder / TRAINER_FILE}: cannot be read: {error}{_others(folder)}") from None
    return Checkpoint(folder, tensors, metadata, trainer)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; WeightsError where it is none."""
    try:
        return safetensors.read_tensors(path)
    except ValueError as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}{_others(path.parent)}") from None


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, without its tensors; WeightsError where it is none."""
    try:
        return safetensors.read_metadata(path)
    except ValueError as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}{_others(path.parent)}") from None


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
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        return find_checkpoint(path) / MODEL_FILE
    raise WeightsError(
        f"--weights {weights}: there is no such file or folder; it takes a run folder, a checkpoint folder or a file"
    )


def existing_checkpoint(run: Path, name: str = "last") -> Path | None:
    """The folder of one of a run's checkpoints, None where it was never written."""
    folder = _where_it_lies(run / "checkpoints" / name)
    return folder if (folder / MODEL_FILE).is_file() else None


def checkpoint_to_resume(run: Path, resume: bool) -> Path | None:
    """The `last` checkpoint of a run that is to go on, None where it has none yet.

    Raises ConfigError where the folder holds checkpoints that a new run would overwrite.
    """
    last = existing_checkpoint(run)
    if last and not resume:
        raise ConfigError(
            f"{run}: this run folder has checkpoints; --resume goes on with it, --out names another folder"
        )
    return last


def completed_steps(folder: Path) -> int:
    """How far the run was, from what the weights say of themselves; WeightsError where they cannot be read."""
    return int(read_metadata(folder / MODEL_FILE).get("step", 0))


def step_name(step: int) -> str:
    return f"step_{step:08d}"


def _others(folder: Path) -> str:
    """Of a run's checkpoint that cannot be read: which beside it can be used instead, and how to go on from one."""
    if folder.parent.name != "checkpoints":
        return ""
    whole = [other for other in sorted(folder.parent.glob("[!.]*")) if other != folder and _opens(other)]
    if not whole:
        return ". The file is damaged, and no other checkpoint of the run is whole"
    mend = f". The file is damaged; whole beside it: {', '.join(other.name for other in whole)} (name one by --weights"
    if folder.name == "last":
        mend += f"; to go on from one with --resume: rm -r {folder}; cp -r {whole[-1]} {folder}"
    return f"{mend})"


def _opens(folder: Path) -> bool:
    """Whether both files of a checkpoint are as long as they say they are."""
    try:
        with safe_open(folder / MODEL_FILE, framework="pt"):
            torch.load(folder / TRAINER_FILE, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError):
        return False
    return True


def _put_in_place(new: Path, folder: Path) -> None:
    _flush(new)
    old = _aside(folder)
    if folder.exists():
        # `old` goes only while `folder` is there, so one whole checkpoint exists at every moment.
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    _flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _where_it_lies(folder: Path) -> Path:
    """The folder, or where its checkpoint stepped aside if a replacement was cut short."""
    return _aside(folder) if not folder.exists() and _aside(folder).exists() else folder


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _flush(path: Path) -> None:
    """Force a file or a folder's list of names onto the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders; its file system journals renames
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
