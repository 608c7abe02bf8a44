"""Checkpoints read: where a run's best or last one lies, and what a folder or a weights file holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from detres.checkpoints.contents import MODEL_FILE, TRAINER_FILE, Damaged, tensors_of, trainer_of
from detres.checkpoints.places import others_of, where_it_lies
from detres.errors import WeightsError
from detres.files import safetensors
from detres.files.checksums import CHECKSUM_KEY
from detres.files.places import local_place


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds: tensors on the CPU, the metadata beside them, the trainer's state."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    trainer: dict[str, Any]


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
