import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from detres.array_pickle import read_array_pickle


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
