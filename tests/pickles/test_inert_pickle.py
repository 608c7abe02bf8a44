"""Files of torch.save come back as tensors, and nothing they name is run."""

import datetime
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detres.pickles.inert_pickle import Inert, read_torch_file

FORMS = pytest.mark.parametrize("archive", [True, False], ids=["archive", "stream"])


def save(content: Any, path: Path, *, archive: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    return path


class Command:
    """A pickle of it runs a command when it is loaded."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


class Chain:
    """A pickle of it calls what getattr gave, then builds on the result, as real exploits do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (Command("false"), "name"), {"a": 1}, iter([1, 2]), iter([("k", "v")])


@FORMS
def test_tensors_of_every_kind_come_back(tmp_path: Path, archive: bool) -> None:
    whole = torch.arange(10)
    content = OrderedDict(
        turned=torch.arange(24.0).view(2, 3, 4).transpose(0, 2),
        rounded=torch.ones(3, dtype=torch.bfloat16),
        number=torch.tensor(5),
        empty=torch.zeros(0, 4),
        part=whole[3:5],
        whole=whole,
        flags=torch.tensor([True, False]),
        learned=nn.Parameter(torch.ones(2)).data,
    )
    read, inert = read_torch_file(save(content, tmp_path / "a.pth", archive=archive))
    assert type(read) is OrderedDict
    assert list(read) == list(content)
    for name, tensor in content.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor), name
    assert inert == {}


@FORMS
def test_it_reads_what_torch_reads_of_a_model_and_its_optimizer(tmp_path: Path, archive: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(4, 3, 3, 3)}}, "param_groups": [{"lr": 0.1}]}
    content = {"model": model.state_dict(), "optimizer": optimizer, "learned": model[0].weight}
    path = save(content, tmp_path / "a.pth", archive=archive)
    expected, (read, inert) = torch.load(path, weights_only=True), read_torch_file(path)
    assert read["model"].keys() == expected["model"].keys()
    assert all(torch.equal(read["model"][name], tensor) for name, tensor in expected["model"].items())
    state = expected["optimizer"]["state"][0]["momentum_buffer"]
    assert torch.equal(read["optimizer"]["state"][0]["momentum_buffer"], state)
    assert torch.equal(read["learned"], expected["learned"])
    assert inert == {}


@FORMS
def test_other_objects_are_inert_and_counted(tmp_path: Path, archive: bool) -> None:
    content = {
        "weights": torch.ones(2),
        "seen": [np.float64(1), np.float64(2)],
        "day": datetime.date(2020, 1, 30),
        "kind": nn.Linear,
        "notes": {"epoch": 12, "classes": ("cat", "dog"), "rate": 0.1, "last": None},
    }
    read, inert = read_torch_file(save(content, tmp_path / "a.pth", archive=archive))
    assert torch.equal(read["weights"], torch.ones(2))
    assert read["notes"] == content["notes"]
    assert isinstance(read["day"], Inert)
    assert read["day"].name == "datetime.date"
    assert read["kind"].name == "torch.nn.modules.linear.Linear"
    counts = {name.rpartition(".")[2]: count for name, count in inert.items()}
    assert (counts["scalar"], counts["date"], counts["Linear"]) == (2, 1, 1)


@FORMS
@pytest.mark.parametrize("nested", [False, True])
def test_nothing_is_run(tmp_path: Path, archive: bool, nested: bool) -> None:
    trace = tmp_path / "was here"
    thing = [Command(f"touch '{trace}'"), Chain()] if nested else Command(f"touch '{trace}'")
    read, inert = read_torch_file(save({"weights": torch.ones(2), "x": thing}, tmp_path / "a.pth", archive=archive))
    assert not trace.exists()
    assert torch.equal(read["weights"], torch.ones(2))
    assert inert[f"{os.system.__module__}.system"] >= 1


def test_a_pickle_cannot_change_what_rebuilds_tensors(tmp_path: Path) -> None:
    """BUILD with a pair sets attributes on whatever stands below it."""
    hostile = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__)s\x86b."
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", hostile)
    with pytest.raises(ValueError, match="can be read"):
        read_torch_file(tmp_path / "a.pth")


@FORMS
def test_every_cut_is_told(tmp_path: Path, archive: bool) -> None:
    path = save({"weights": torch.arange(100.0), "name": "x"}, tmp_path / "a.pth", archive=archive)
    content = path.read_bytes()
    for length in (0, 3, 20, len(content) // 2, len(content) - 30 if archive else len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"not a file of torch\.save that can be read \(.+\)"):
            read_torch_file(path)


def test_a_changed_byte_of_a_tensor_in_an_archive_is_noticed(tmp_path: Path) -> None:
    values = torch.arange(100.0)
    path = save({"weights": values}, tmp_path / "a.pth", archive=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(values.numpy().tobytes()[40:80], bytes(40)))
    with pytest.raises(ValueError, match="Bad CRC-32"):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((5,), (1,), 0), ((2,), (1,), 3), ((2,), (1,), -1), ((-2,), (1,), 0), ((2, 2), (9, 1), 0)],
)
def test_a_tensor_stays_within_its_bytes(tmp_path: Path, size: tuple, stride: tuple, offset: int) -> None:
    class Reaching:
        def __init__(self, storage: Tensor) -> None:
            self.storage = storage

        def __reduce__(self) -> tuple[Any, tuple]:
            storage = self.storage.untyped_storage()
            typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
            return torch._utils._rebuild_tensor_v2, (typed, offset, size, stride, False, OrderedDict())

    path = save(Reaching(torch.zeros(4)), tmp_path / "a.pth", archive=True)
    with pytest.raises(ValueError, match="can be read"):
        read_torch_file(path)


def test_a_compressed_archive_and_a_plain_pickle_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"a": "b" * 1000}))
    with pytest.raises(ValueError, match=r"a/data\.pkl is compressed"):
        read_torch_file(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(ValueError, match=r"an archive with 0 files data\.pkl"):
        read_torch_file(tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes(b"".join(pickle.dumps(part) for part in ("a", "b", "c")))
    with pytest.raises(ValueError, match="it does not begin as one"):
        read_torch_file(tmp_path / "a.pth")


class Viewed:
    """A pickle of it is a view of a storage that torch itself would not make."""

    def __init__(self, storage: Tensor, size: tuple, stride: tuple) -> None:
        self.storage, self.size, self.stride = storage, size, stride

    def __reduce__(self) -> tuple[Any, tuple]:
        typed = torch.storage.TypedStorage(
            wrap_storage=self.storage.untyped_storage(), dtype=torch.float32, _internal=True
        )
        return torch._utils._rebuild_tensor_v2, (typed, 0, self.size, self.stride, False, OrderedDict())


@FORMS
def test_a_small_file_does_not_become_a_large_tensor(tmp_path: Path, archive: bool) -> None:
    kept = save(Viewed(torch.ones(4), (3, 4), (0, 1)), tmp_path / "a.pth", archive=archive)
    assert torch.equal(read_torch_file(kept)[0], torch.ones(3, 4))
    for size in ((40_000, 40_000), (2**40, 2**40), (2**62,), (0, 2**62)):
        path = save(Viewed(torch.ones(4), size, (0,) * len(size)), tmp_path / "b.pth", archive=archive)
        with pytest.raises(ValueError, match=r"more than twice the|beyond any memory"):
            read_torch_file(path)


def test_tensors_of_a_stream_are_no_more_than_the_file_in_all(tmp_path: Path) -> None:
    path = save([torch.zeros(1000) + k for k in range(20)], tmp_path / "a.pth", archive=False)
    content = path.read_bytes()
    assert content.count(b"M\xe8\x03N") == 20  # how many elements each storage has
    path.write_bytes(content.replace(b"M\xe8\x03N", b"M\xff\xffN"))
    with pytest.raises(ValueError, match="bytes in a file of"):
        read_torch_file(path)


def test_an_empty_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.pth").touch()
    with pytest.raises(ValueError, match=r"can be read \(the file is empty\)"):
        read_torch_file(tmp_path / "a.pth")


@FORMS
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_memory_that_ends_is_not_the_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: bool, error: Exception
) -> None:
    path = save({"a": torch.ones(3)}, tmp_path / "a.pth", archive=archive)

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("torch.as_strided", refuse)
    with pytest.raises(type(error)) as caught:
        read_torch_file(path)
    assert caught.value is error
