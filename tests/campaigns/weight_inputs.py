"""Weights files that nobody would write, made from a seed: what torch.save, numpy.savez and safetensors write.

Each of MAKERS makes one kind, from a generator alone: the same wherever it is made.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tests.campaigns import pickle_inputs as pickles
from tests.campaigns.pickle_inputs import Draw, array_program, bomb, mutated, pickle_program, sides, whole_number

Make = Callable[[Draw], bytes]

# What torch.save and numpy.savez write


def _sound(kind: str) -> bytes:
    """A file as it should be, small."""
    import numpy as np
    import torch
    from safetensors.torch import save

    tensors = {"conv1.weight": torch.arange(12.0).view(3, 4), "bn1.bias": torch.ones(3, dtype=torch.int64)}
    stream = io.BytesIO()
    if kind == "npz":
        np.savez(stream, **{name: tensor.numpy() for name, tensor in tensors.items()})
    elif kind == "safetensors":
        return save(tensors, {"format": "pt"})
    elif kind == "pickle":
        pickle.dump({"blobs": {"res2_0_branch2a_w": np.ones((2, 3), np.float32), "lr": [0.1, "x"]}}, stream, 2)
    else:
        content = {"model": OrderedDict(tensors), "optimizer": {"lr": 0.1}, "args": argparse.Namespace(a=1), "epoch": 3}
        torch.save(content, stream, _use_new_zipfile_serialization=kind == "torch")
    return stream.getvalue()


_SOUND: dict[str, bytes] = {}


def sound(kind: str) -> bytes:
    if kind not in _SOUND:
        _SOUND[kind] = _sound(kind)
    return _SOUND[kind]


def torch_archive(draw: Draw) -> bytes:
    """An archive whose pickle speaks of storages and views that are there, or not, or not as large."""
    count = draw.randrange(1, 20)

    def number(usual: int) -> int:
        return draw.choice([0, 1, 2, whole_number(draw)]) if draw.random() < 0.25 else usual

    size = draw.choice([(count,), (1, count), (), (0, 3), (count, 2)])
    view = [tuple(map(number, size)), tuple(number(1) for _ in size)]
    tensor = pickles.reference("torch._utils _rebuild_tensor_v2") + b"(" + pickles.storage(draw, number(count))
    tensor += (
        b"".join(map(pickles.encoded, (number(0), *view, False))) + pickles.call("collections OrderedDict", ()) + b"tR"
    )
    program = b"\x80\x02}" + pickles.encoded("conv1.weight") + tensor + b"s."
    if draw.random() < 0.3:
        program = draw.choice([pickle_program, array_program, bomb])(draw)
    entries = {"a/data.pkl": program, "a/data/0": bytes(4 * count), "a/byteorder": b"little", "a/version": b"3\n"}
    return zipped(draw, entries)


def zipped(draw: Draw, entries: dict[str, bytes]) -> bytes:
    """Now and then packed, or with a directory that says other lengths than there are."""
    stream = io.BytesIO()
    packed = zipfile.ZIP_DEFLATED if draw.random() < 0.2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", packed) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    out = bytearray(stream.getvalue())
    if draw.random() < 0.3 and (place := out.find(b"PK\x01\x02")) >= 0:
        where = place + draw.choice([10, 16, 20, 24, 42])
        out[where : where + 4] = struct.pack("<I", draw.choice([0, 1, 100, 2**31, 2**32 - 1, 2**28]))
    return bytes(out)


def npz(draw: Draw) -> bytes:
    """Arrays whose headers claim what does not follow."""

    def array() -> bytes:
        shape = tuple(
            whole_number(draw) if draw.random() < 0.3 else draw.randrange(5) for _ in range(draw.randrange(4))
        )
        kind = draw.choice([f"'<{d}'" for d in pickles.DTYPES] + ["[('a', '<f4')]", "'|O'", "(" * 300, "object"])
        header = f"{{'descr': {kind}, 'fortran_order': {draw.choice(['True', 'False', '1'])}, 'shape': {shape}, }}"
        header = header + " " * draw.randrange(20) + "\n"
        length = draw.choice([len(header), len(header), draw.choice(pickles.EDGES) % 65536])
        version = draw.choice([b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x09\x00"])
        width = "<H" if version[0] == 1 else "<I"
        follows = bytes(draw.choice([0, 4, 16, 48, 96, 200_000]))
        return b"\x93NUMPY" + version + struct.pack(width, length) + header.encode() + follows

    return zipped(draw, {f"{draw.choice(pickles.TEXTS)}{n}.npy": array() for n in range(draw.randrange(1, 4))})


# safetensors, and what models say of themselves


def safetensors_file(draw: Draw) -> bytes:
    """A header that names tensors of any shape and any place, and says anything of the model."""
    tensors: dict[str, Any] = {}
    place = 0
    for n in range(draw.randrange(4)):
        shape = [abs(side) for side in sides(draw)]
        length = draw.choice([0, 4, 48, abs(whole_number(draw))])
        kind = draw.choice(["F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "F4", "U64", "X", "C64"])
        tensors[f"{draw.choice(pickles.TEXTS)}{n}"] = {
            "dtype": kind,
            "shape": shape,
            "data_offsets": [place, place + length],
        }
        place += length if length < 1000 else 0
    said = settings_text(draw)
    about = draw.choice([{"detres": said}, {"backbone": said}, {"format": "pt"}, {"a": 1}])
    header = json.dumps({"__metadata__": about, **tensors}).encode()
    length = draw.choice([len(header)] * 5 + [whole_number(draw) % 2**64])
    return struct.pack("<Q", length) + header + bytes(place % 100_000)


def described_model(draw: Draw) -> bytes:
    """A sound model's settings, some numbers of another size, kind or sign, over a file without its tensors."""
    text = json.loads(_settings_of(draw.choice(["detection", "classification"])))
    for _ in range(draw.randrange(1, 4)):
        _change(draw, text)
    written = json.dumps(text)
    if draw.random() < 0.1:
        cut = written[: draw.randrange(len(written))]
        written = draw.choice(["[" * 5000, "{" * 50, cut, "NaN", "1e999", "9" * 9000])
    about = {"detres": written, "backbone": json.dumps(text.get("backbone"))}
    header = json.dumps({"__metadata__": about}).encode()
    return struct.pack("<Q", len(header)) + header


def _change(draw: Draw, inside: Any) -> None:
    """One value, anywhere."""
    keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
    if not keys:
        return
    key = draw.choice(keys)
    if isinstance(inside[key], dict | list) and inside[key] and draw.random() < 0.85:
        _change(draw, inside[key])
        return
    strange = [10**18, -1, 0, 1e308, "x", None, [], {}, True, "a" * 5000, "os:system", "timm/x:y", [[[1]]]]
    strange += [list(range(3000)), ["c"] * 20_000, 0.5, 10**400, "resnet152", "timm/resnet18", "../../x"]
    inside[key] = draw.choice(strange)


def settings_text(draw: Draw) -> str:
    texts = ("", "{}", "[]", "null", "3", "[" * 100_000, '{"task": "detection"}', '{"schema": 1, "task": 3}')
    return draw.choice(texts)


_SETTINGS: dict[str, str] = {}


def _settings_of(task: str) -> str:
    if not _SETTINGS:
        from detres.backbones.weights.metadata import WeightsMetadata
        from detres.classification.published import foreign_settings
        from detres.config.detection_schema import DataConfig, DetectorBackboneConfig, ModelConfig, TestConfig
        from detres.detection.files import DetectorSettings
        from detres.structures import IMAGENET_STATS

        known = WeightsMetadata("resnet18", IMAGENET_STATS)
        model = ModelConfig(backbone=DetectorBackboneConfig(name="resnet18"), class_names=("a", "b"))
        norms = dict.fromkeys(("c1", "c2", "c3", "c4", "c5"), "batch")
        detector = DetectorSettings(model, DataConfig(), TestConfig(), known, norms, "made")
        _SETTINGS["detection"] = detector.to_metadata()["detres"]
        _SETTINGS["classification"] = foreign_settings(known, ("a", "b")).to_metadata()["detres"]
    return _SETTINGS[task]


MAKERS: dict[str, Make] = {
    "pickle_program": pickle_program,
    "array_program": array_program,
    "bomb": bomb,
    "mutated_pickle": lambda draw: mutated(draw, sound("pickle")),
    "mutated_stream": lambda draw: mutated(draw, sound("stream")),
    "torch_archive": torch_archive,
    "mutated_archive": lambda draw: mutated(draw, sound("torch")),
    "npz": npz,
    "mutated_npz": lambda draw: mutated(draw, sound("npz")),
    "safetensors": safetensors_file,
    "mutated_safetensors": lambda draw: mutated(draw, sound("safetensors")),
    "described_model": described_model,
}
