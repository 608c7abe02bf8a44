import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from detres.pickles.array_pickle import read_array_pickle


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_numbers_and_text_come_back(tmp_path: Path, protocol: int) -> None:
    content = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 2], "name": "a batch"}
    (tmp_path / "a").write_bytes(pickle.dumps(content, protocol))
    read = read_array_pickle(tmp_path / "a")
    np.testing.assert_array_equal(read.pop("data"), content.pop("data"))
    assert read == content


@pytest.mark.parametrize("thing", [os.system, Path("x"), np.random.default_rng(0), print])
def test_anything_else_is_refused_by_name(tmp_path: Path, thing: object) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps({"data": thing}))
    with pytest.raises(ValueError, match="might run any code"):
        read_array_pickle(tmp_path / "a")


def test_a_pickle_that_breaks_off_says_so(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps(np.zeros(1000))[:500])
    with pytest.raises(ValueError, match="not a pickle that can be read"):
        read_array_pickle(tmp_path / "a")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["?", "i1", "<u2", ">i4", "u8", "f2", ">f4", "f8", "c8", "S3", "<U2", ">U2"])
def test_arrays_of_every_kind_and_order_come_back(tmp_path: Path, protocol: int, kind: str) -> None:
    whole = np.arange(24).astype(kind).reshape(2, 3, 4)
    content = [whole, np.asfortranarray(whole), whole[0, 0, 0:0], whole.sum() if kind == "f8" else whole[1, 1, ::2]]
    if kind == "f8":
        content.pop()  # a number of numpy's is no array
    (tmp_path / "a").write_bytes(pickle.dumps(content, protocol))
    for array, read in zip(content, read_array_pickle(tmp_path / "a"), strict=True):
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype.newbyteorder("=")


def array_pickle(
    letters: str = "f4", state: object = (3, "<", None, None, None, -1, -1, 0), **changes: object
) -> bytes:
    """An array of Python 2 with parts of the user's choice."""

    class Named:
        def __init__(self, function: str, arguments: tuple, state: object) -> None:
            self.function, self.arguments, self.state = function, arguments, state

        def __reduce__(self) -> tuple:
            return Name(self.function), self.arguments, self.state

    class Pickler(pickle._Pickler):
        def save_global(self, obj: object, name: str | None = None) -> None:
            if isinstance(obj, type) and issubclass(obj, Name):
                self.write(b"c" + obj.name.encode())
            else:
                super().save_global(obj, name)

    dtype = Named("numpy\ndtype\n", (letters, 0, 1), state)
    parts = {"shape": (2,), "dtype": dtype, "content": b"\x00" * 8} | changes
    array_state = (1, parts["shape"], parts["dtype"], False, parts["content"])
    out = io.BytesIO()
    array = Named("numpy.core.multiarray\n_reconstruct\n", (0, (0,), "b"), array_state)
    Pickler(out, 3).dump(array)
    return out.getvalue()


class Name:
    """Stands for a function that is written by its name alone."""

    name = ""

    def __new__(cls, name: str) -> type:
        return type("Name", (Name,), {"name": name, "__new__": object.__new__, "__call__": lambda self: None})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"letters": "O"}, "an array of 'O', expected numbers or text"),
        ({"letters": "f9999999"}, "expected numbers or text"),
        ({"letters": "V8"}, "expected numbers or text"),
        ({"state": (3, "<", None, ("a",), {"a": 1}, 8, 1, 0)}, "several values an element"),
        ({"state": (3, "<", ("f4", (2**31,)), None, None, 8, 1, 0)}, "several values an element"),
        ({"state": (3, "f4,", None, None, None, -1, -1, 0)}, "as the state of a dtype"),
        ({"state": 7}, "as the state of a dtype"),
        ({"shape": (2**60,)}, "of which the pickle holds 8 bytes"),
        ({"shape": (-2,)}, "a side that is no length"),
        ({"shape": (True, 2)}, "a side that is no length"),
        ({"shape": (2**70, 0)}, "a side that is no length"),
        ({"shape": [2]}, "shape a list"),
        ({"shape": (1,) * 33}, "an array of"),
        ({"content": b"1234567"}, "an array of 8 bytes, of which the pickle holds 7"),
        ({"content": [1.0, 2.0]}, "of which the pickle holds a list"),
        ({"dtype": "f4"}, "an array of 'f4'"),
    ],
)
def test_a_state_that_numpy_would_believe_is_checked(tmp_path: Path, changes: dict, said: str) -> None:
    (tmp_path / "a").write_bytes(array_pickle())
    np.testing.assert_array_equal(read_array_pickle(tmp_path / "a"), np.zeros(2, np.float32))
    (tmp_path / "a").write_bytes(array_pickle(**changes))
    with pytest.raises(ValueError, match=said):
        read_array_pickle(tmp_path / "a")


def test_one_array_in_many_places_is_not_more_than_the_file(tmp_path: Path) -> None:
    array = np.zeros(1 << 20, np.uint8)
    (tmp_path / "a").write_bytes(pickle.dumps([array] * 20))
    assert len(read_array_pickle(tmp_path / "a")) == 20
    (tmp_path / "a").write_bytes(pickle.dumps([array] * 2000))
    with pytest.raises(ValueError, match="its arrays have more than twice the"):
        read_array_pickle(tmp_path / "a")


def test_an_empty_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ValueError, match="the file is empty"):
        read_array_pickle(tmp_path / "a")
