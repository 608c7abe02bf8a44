"""Pickles of numpy arrays, read without running what else a pickle may hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

_NUMPY_2 = int(np.__version__.split(".")[0]) >= 2


def read_array_pickle(path: Path) -> Any:
    """What a pickle holds, where that is arrays, numbers, text, and lists and dicts of them.

    Pickles of Python 2 too: their strings become text of one character a byte.
    Raises ValueError that says why where it holds anything else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            # latin1 maps each byte to one character: how numpy's own strings of bytes survive from Python 2.
            return _ArrayUnpickler(file, encoding="latin1").load()
    except _ForbiddenError as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise ValueError(f"not a pickle that can be read ({error})") from error


def _as_bytes(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes where Python 2 is to read them."""
    if encoding != "latin1":
        raise _ForbiddenError(f"this pickle asks for the codec {encoding}; only numpy arrays are read from pickles")
    return text.encode("latin1")


class _ForbiddenError(Exception):
    pass


class _ArrayUnpickler(pickle.Unpickler):
    """Knows how to rebuild numpy arrays, and nothing else."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.numeric", "_frombuffer"),
            ("numpy._core.numeric", "_frombuffer"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _as_bytes
        if (module, name) not in self._ALLOWED:
            raise _ForbiddenError(
                f"this pickle asks for {module}.{name}, and might run any code; only numpy arrays are read from pickles"
            )
        # numpy 2 moved the module; the old name still works but warns.
        return super().find_class(module.replace("numpy.core", "numpy._core") if _NUMPY_2 else module, name)
