"""The two files of a checkpoint as they are read: whole, or with what is wrong with them in words."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detres.errors import kind_of
from detres.files import safetensors
from detres.files.checksums import CHECKSUM_KEY, is_as_written
from detres.system_errors import out_of_memory

MODEL_FILE = "model.safetensors"
TRAINER_FILE = "trainer.pt"


class Damaged(Exception):
    """Why a file cannot be used; its name goes before it."""


@dataclass(frozen=True)
class Condition:
    """step: what the weights say, None where they say nothing. damage: what is wrong, None of a whole checkpoint.

    has_checksum: whether the weights carry one; without, only their header could be checked.
    """

    step: int | None
    damage: str | None
    has_checksum: bool


def condition_of(folder: Path) -> Condition:
    """Of a checkpoint folder, all of whose bytes are read."""
    step, has_checksum = None, False
    try:
        _, metadata, has_checksum = tensors_of(folder / MODEL_FILE)
        step = int(metadata["step"]) if metadata.get("step", "").isdecimal() else None
    except Damaged as error:
        return Condition(step, f"{MODEL_FILE}: {error}", has_checksum)
    try:
        trainer_of(folder / TRAINER_FILE)
    except Damaged as error:
        return Condition(step, f"{TRAINER_FILE}: {error}", has_checksum)
    return Condition(step, None, has_checksum)


def tensors_of(path: Path) -> tuple[dict[str, Tensor], dict[str, str], bool]:
    """The tensors and the metadata of a safetensors file, less the checksum, and whether it had one.

    Raises Damaged.
    """
    try:
        tensors, metadata = safetensors.read_tensors(path)
    except ValueError as error:
        raise Damaged("it is missing" if not path.exists() else str(error)) from None
    as_written = is_as_written(tensors, metadata)
    if as_written is False:
        raise Damaged("its bytes are not those that were written: the checksum differs")
    return tensors, {key: text for key, text in metadata.items() if key != CHECKSUM_KEY}, as_written is not None


def trainer_of(path: Path) -> dict[str, Any]:
    """What a run goes on from besides its weights. Raises Damaged."""
    try:
        with zipfile.ZipFile(path) as parts:
            # torch writes a checksum of each part, and reads none.
            damaged = parts.testzip()
        # A changed pickle may ask for any amount of memory.
        trainer = None if damaged is not None else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Damaged("it is missing") from None
    except OSError as error:
        raise Damaged(error.strerror or str(error)) from None
    except pickle.UnpicklingError:  # Its words tell how to run what is in it.
        raise Damaged("it holds other things than tensors, numbers and text, which might run code") from None
    except Exception as error:  # zipfile and torch raise what their parts raise
        if out_of_memory(error):
            raise
        size = path.stat().st_size
        raise Damaged(f"of its {size} bytes, some are lost or changed ({_first_line(error)})") from None
    if damaged is not None:
        raise Damaged(f"its bytes are not those that were written: the checksum of {damaged} differs")
    if not isinstance(trainer, dict):
        raise Damaged(f"it holds {kind_of(trainer)}, and no trainer's state")
    return trainer


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:200]
