"""A weights file is read by what it holds; what is no weights file is named."""

from __future__ import annotations

import gzip
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from detres.backbones.weights.files import read_weights
from detres.backbones.weights.formats import form_of
from detres.backbones.weights.metadata import WeightsMetadata
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS

KNOWN = WeightsMetadata("timm/any", IMAGENET_STATS)
ENDINGS = pytest.mark.parametrize(
    "ending", [".pth", ".pt", ".th", ".pth.tar", ".bin", ".ckpt", ".safetensors", ".npz", ".pkl", "", ".PTH"]
)


@ENDINGS
def test_the_content_decides_and_not_the_ending(tmp_path: Path, ending: str) -> None:
    tensor, path = torch.arange(4.0), tmp_path / f"w{ending}"
    writers = {
        "torch": lambda: torch.save({"state_dict": {"a.b": tensor}}, path),
        "stream": lambda: torch.save({"a.b": tensor}, path, _use_new_zipfile_serialization=False),
        "safetensors": lambda: save_file({"a.b": tensor}, path),
    }
    for form, write in writers.items():
        write()
        assert form_of(path) == ("torch" if form == "stream" else form)
        assert torch.equal(read_weights(path, metadata=KNOWN).tensors["a.b"], tensor)
    with path.open("wb") as file:
        np.savez(file, **{"a.b": tensor.numpy()})
    assert form_of(path) == "npz"
    assert torch.equal(read_weights(path, metadata=KNOWN).tensors["a.b"], tensor)
    path.write_bytes(pickle.dumps({"a": 1}))
    assert form_of(path) == "pickle"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty; fetch or save it again"),
        (b"\n<!DOCTYPE html><html>", "a page of the web: the download went wrong"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a pointer of Git LFS"),
        (b"\x89HDF\r\n\x1a\n", "HDF5, as Keras writes"),
        (gzip.compress(b"x", mtime=0), "packed by gzip: unpack it"),
        (b"weights", "no weights of any form that is read"),
        (b"PK\x03\x04 and no end", "the archive's end is missing; it may be cut off"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00{", "cut off, or no safetensors at all"),
    ],
)
def test_what_is_no_weights_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        read_weights(path, metadata=KNOWN)


def test_archives_of_other_things_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"x")
    with pytest.raises(WeightsError, match=r"a zip archive of photo\.jpg"):
        form_of(path)
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "a.py")
    with pytest.raises(WeightsError, match="a tar archive: unpack it"):
        form_of(path)
