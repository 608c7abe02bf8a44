"""Pickles of numpy arrays, read without running what else a pickle may hold.

numpy builds a dtype and an array from states that it believes, and some write out of bounds. Here both are rebuilt from
the literals in such a state: letters for the type, whole numbers for the shape, and bytes of just this length.
"""

from __future__ import annotations

import math
import mmap
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from detres.pickles.machine import PickleMachine
from detres.pickles.values import Builder, Inert, Unfinished, described
from detres.system_errors import out_of_memory

_MOST_DIMENSIONS = 32
# Kind and bytes of an element: truth, whole numbers, floats, complex numbers, bytes and text of a fixed length.
_LETTERS = re.compile(r"[<>|=]?([biufcSU])([1-9]\d{0,4})|\?")


def read_array_pickle(path: Path) -> Any:
    """What a pickle holds, where that is arrays, numbers, text, and lists and dicts of them.

    Pickles of Python 2 too: their strings become text of one character a byte. Arrays may not be written to.
    Raises ValueError that says why where it holds anything else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise ValueError("the file is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return PickleMachine(content, _find).load()
    except _ForbiddenError as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # what a damaged pickle says to codecs, numpy and the memory is theirs to answer
        if out_of_memory(error):
            raise
        raise ValueError(f"not a pickle that can be read ({str(error) or type(error).__name__})") from error


class _ForbiddenError(Exception):
    pass


def _find(module: str, name: str) -> Builder | Inert:
    # numpy 2 moved its core, and reads both names.
    match module.replace("numpy._core", "numpy.core"), name:
        case "numpy", "ndarray":
            return Builder("numpy.ndarray", _not_called)
        case "numpy", "dtype":
            return Builder("numpy.dtype", _dtype)
        case "numpy.core.multiarray", "_reconstruct":
            return Builder("an array", _array)
        case "numpy.core.numeric", "_frombuffer":
            return Builder("an array", _array_of_buffer)
        case "_codecs", "encode":
            return Builder("_codecs.encode", _as_bytes)
        case "__builtin__" | "builtins", "bytes":
            return Builder("bytes", _no_bytes)
    raise _ForbiddenError(
        f"this pickle asks for {module[:200]}.{name[:200]}, and might run any code; only numpy arrays are read from "
        "pickles"
    )


def _not_called(*_: Any) -> NoReturn:
    raise ValueError("it builds an array without numpy's own function")


def _as_bytes(text: Any, encoding: Any) -> bytes:
    """How Python 3 writes bytes where Python 2 is to read them."""
    if encoding != "latin1" or not isinstance(text, str):
        raise _ForbiddenError(
            f"this pickle asks for the codec {described(encoding)}; only numpy arrays are read from pickles"
        )
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """As above, of an array without elements."""
    return b""


def _dtype(letters: Any, *_: Any) -> Unfinished:
    """Of an element: f4, whose state then says in which order its bytes lie."""
    found = _LETTERS.fullmatch(letters) if isinstance(letters, str) else None
    if found is None:
        raise ValueError(f"an array of {described(letters)}, expected numbers or text")
    return Unfinished("numpy.dtype", lambda state: _dtype_in_order(letters.lstrip("<>|="), state))


def _dtype_in_order(letters: str, state: Any) -> np.dtype:
    """state: version, order, then what only structured types have: inner types, names and fields."""
    if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
        raise ValueError(f"{described(state)} as the state of a dtype")
    if any(part is not None for part in state[2:5]):
        raise ValueError("an array of several values an element, expected numbers or text")
    return np.dtype(state[1] + letters) if state[1] != "|" else np.dtype(letters)


def _array(_class: Any, _shape: Any, _letters: Any) -> Unfinished:
    return Unfinished("an array", _array_of_state)


def _array_of_state(state: Any) -> np.ndarray:
    """state: version, shape, dtype, whether columns come first, and the bytes."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise ValueError(f"{described(state)} as the state of an array")
    _version, shape, dtype, columns_first, content = state
    return _checked_array(content, dtype, shape, "F" if columns_first is True else "C")


def _array_of_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _checked_array(content, dtype, shape, "F" if order == "F" else "C")


def _checked_array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, np.dtype) or not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"an array of {described(dtype)} and shape {described(shape)}")
    if not all(type(side) is int and 0 <= side < 2**62 for side in shape):
        raise ValueError("an array with a side that is no length")
    # latin1: how the bytes of Python 2 were read.
    content = content.encode("latin1") if isinstance(content, str) else content
    length = math.prod(shape) * dtype.itemsize
    if not isinstance(content, bytes) or len(content) != length:
        found = f"{len(content)} bytes" if isinstance(content, bytes) else described(content)
        raise ValueError(f"an array of {length} bytes, of which the pickle holds {found}")
    array = np.frombuffer(content, dtype).reshape(shape, order=order)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))
