"""Weights files that nobody would write, made from a seed: pickles, what torch.save, numpy.savez and safetensors write.

Each of MAKERS makes one kind, from a generator alone: the same wherever it is made.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

Draw = random.Random
Make = Callable[[Draw], bytes]

# Numbers that sit on an edge of some type or some bound.
_EDGES = (0, 1, 2, 3, 4, 7, 8, 255, 256, 65535, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 2**100)
_NAMES = (
    *("numpy ndarray", "numpy dtype", "numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"),
    *("numpy.core.multiarray scalar", "numpy.core.numeric _frombuffer", "_codecs encode", "builtins bytes"),
    *("collections OrderedDict", "torch FloatStorage", "torch LongStorage", "torch._utils _rebuild_tensor_v2"),
    *("torch._utils _rebuild_tensor", "torch._utils _rebuild_parameter", "torch Size", "posix system"),
    *("builtins getattr", "builtins eval", "argparse Namespace", "copyreg _reconstructor", "builtins object"),
)
_TEXTS = (*("conv1.weight", "fc.weight", "model", "state_dict", "storage", "0", "cpu", "latin1", "f4", "<", ">"), "")
_DTYPES = ("f4", "f8", "i8", "u1", "O", "V8", "S3", "U2", "M8", "b1", "?", "f4,f4", "(2,)f4", "f16", "c8", "S99999")


def whole_number(draw: Draw) -> int:
    return draw.choice([draw.randrange(300), draw.choice(_EDGES), -draw.choice(_EDGES)])


# Pickles


def pickle_program(draw: Draw) -> bytes:
    """Operations that find on the stack what they need, mostly; then one that does not."""
    parts = [b"\x80" + bytes([draw.choice([2, 3, 4, 5, 5, 9]) if draw.random() < 0.1 else 4])]
    stacks = [0]  # how much stands above each mark
    for _ in range(draw.randrange(1, 60)):
        if draw.random() < 0.01:
            parts.append(draw.choice(_PROGRAM)(draw))
        elif stacks[-1] >= 2 and draw.random() < 0.3:
            code, left = draw.choice([(b"\x86", 1), (b"R", 1), (b"0", 1), (b"\x81", 1), (b"b", 1)])
            parts.append(code if code not in (b"R", b"\x81", b"b") or draw.random() < 0.3 else b"\x86")
            stacks[-1] -= 2 - left
        elif len(stacks) > 1 and draw.random() < 0.2:
            parts.append(draw.choice([b"t", b"l", b"t", b"d"]) if stacks[-1] % 2 == 0 else draw.choice([b"t", b"l"]))
            stacks.pop()
            stacks[-1] += 1
        elif draw.random() < 0.1:
            parts.append(b"(")
            stacks.append(0)
        else:
            makers = (_PROGRAM[0], _PROGRAM[1], _PROGRAM[2], _PROGRAM[3], _PROGRAM[4], _PROGRAM[5])
            parts.append(draw.choice(makers)(draw) + draw.choice([b"", b"", b"\x94", b"q\x05"]))
            stacks[-1] += 1
    parts.append(b"N" if not stacks[-1] else b"")
    return b"".join(parts) + (b"" if draw.random() < 0.05 else b".")


def array_program(draw: Draw) -> bytes:
    """What numpy writes of an array, one part or several of it changed."""

    def edge(usual: Any) -> Any:
        return value(draw, 2) if draw.random() < 0.04 else usual

    sides = tuple(draw.randrange(4) for _ in range(draw.randrange(4)))
    letters = draw.choice(_DTYPES[:3] if draw.random() < 0.6 else _DTYPES)
    length = math.prod(sides) * {"f4": 4, "f8": 8, "i8": 8}.get(letters, draw.randrange(9))
    if draw.random() < 0.1:
        sides = tuple(whole_number(draw) for _ in sides)
    dtype_state = (edge(3), edge("<"), edge(None), edge(None), edge(None), edge(-1), edge(-1), edge(0))
    dtype = _call("numpy dtype", (edge(letters), edge(0), edge(1))) + _encoded(dtype_state)
    dtype += b"" if draw.random() < 0.02 else b"b"
    state = b"(" + _encoded(edge(1)) + _encoded(edge(sides)) + dtype + _encoded(edge(False))
    state += _encoded(edge(bytes(length))) + b"tb"
    made = _global("numpy.core.multiarray _reconstruct") + b"(" + _global("numpy ndarray")
    made += _encoded(edge((0,))) + _encoded(edge("b")) + b"tR"
    return b"\x80\x02}" + _encoded("res2_0_branch2a_w") + made + state + b"s."


def value(draw: Draw, depth: int) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: whole_number(draw),
        lambda: draw.choice(_TEXTS),
        lambda: draw.choice([None, True, False, 0.5, float("nan"), float("inf"), b"", bytes(8)]),
    ]
    if depth:
        kinds += [
            lambda: tuple(value(draw, depth - 1) for _ in range(draw.randrange(5))),
            lambda: [value(draw, depth - 1) for _ in range(draw.randrange(5))],
            lambda: {draw.choice(_TEXTS): value(draw, depth - 1) for _ in range(draw.randrange(4))},
        ]
    return draw.choice(kinds)()


def bomb(draw: Draw) -> bytes:
    """Short, and long to walk, to hash or to hold."""
    count = draw.choice([10, 1000, 30_000])
    return draw.choice(
        [
            lambda: b"\x80\x04]" + b"2\x86" * count + b".",
            lambda: b"\x80\x04})" + b"2\x86" * count + b"Ns.",
            lambda: b"\x80\x04" + b"]" * count + b"a" * (count - 1) + b".",
            lambda: b"\x80\x04" + draw.choice([b"\x8f", b"}", b"(", b"]"]) * count + b".",
            lambda: b"\x80\x04}(" + b"".join(_long(k * (2**61 - 1)) + b"N" for k in range(count)) + b"u.",
            lambda: b"\x80\x04\x8e" + struct.pack("<Q", draw.choice(_EDGES) % 2**64) + b"x.",
            lambda: b"\x80\x04Nr" + struct.pack("<I", draw.choice(_EDGES) % 2**32) + b".",
            lambda: b"\x80\x04\x8b" + struct.pack("<i", draw.choice([-1, 2**31 - 1])) + b"x.",
            lambda: b"\x80\x04X\x10\x00\x00\x00aaaaaaaaaaaaaaaa\x94" + b"h\x00" * count + b".",
            lambda: b"\x80\x04\x95" + struct.pack("<Q", draw.choice(_EDGES) % 2**64) + b"N.",
        ]
    )()


def sides(draw: Draw) -> tuple[int, ...]:
    return tuple(whole_number(draw) if draw.random() < 0.2 else draw.randrange(5) for _ in range(draw.randrange(4)))


def _encoded(thing: Any) -> bytes:
    """A plain value in protocol 2, without its beginning and its end; bytes as Python 2 wrote them."""
    if isinstance(thing, bytes):
        return b"T" + struct.pack("<i", len(thing)) + thing
    return pickle._dumps(thing, 2)[2:-1]


def _global(name: str) -> bytes:
    module, _, rest = name.partition(" ")
    return f"c{module}\n{rest}\n".encode()


def _call(name: str, arguments: tuple) -> bytes:
    return _global(name) + b"(" + b"".join(map(_encoded, arguments)) + b"tR"


def _long(number: int) -> bytes:
    raw = number.to_bytes(max(1, number.bit_length() // 8 + 1), "little", signed=True)[:255]
    return b"\x8a" + bytes([len(raw)]) + raw


_PROGRAM: tuple[Callable[[Draw], bytes], ...] = (
    lambda d: _encoded(value(d, 2)),
    lambda d: _encoded(value(d, 1)),
    lambda d: _encoded(d.choice(_TEXTS)),
    lambda d: _long(whole_number(d)),
    lambda d: _global(d.choice(_NAMES)),
    lambda d: _call(d.choice(_NAMES), tuple(value(d, 1) for _ in range(d.randrange(7)))),
    lambda d: d.choice([b"(", b"(", b"t", b"l", b"d", b"\x85", b"\x86", b"\x87", b")", b"]", b"}", b"\x8f", b"\x91"]),
    lambda d: d.choice(
        [b"R", b"b", b"\x81", b"\x92", b"o", b"Q", b"s", b"u", b"a", b"e", b"\x90", b"\x93", b"0", b"1"]
    ),
    lambda d: d.choice([b"2", b"\x94", b"q\x00", b"h\x00", b"h\x01", b"N", b"\x88", b"G" + bytes(8), b"K\x05"]),
    lambda d: d.choice([b"j", b"r"]) + struct.pack("<I", d.choice(_EDGES) % 2**32),
    lambda d: (
        b"("
        + _encoded("storage")
        + _global("torch FloatStorage")
        + _encoded(("0", "cpu", whole_number(d)))[:-1]
        + b"tQ"
    ),
    lambda d: bytes([d.randrange(256)]),
)


def _storage(draw: Draw, count: int) -> bytes:
    """A reference to a tensor's bytes, as torch writes it."""
    kind = draw.choice(["FloatStorage", "LongStorage", "BoolStorage"])
    parts = (_encoded("storage"), _global(f"torch {kind}"), *map(_encoded, ("0", "cpu", count)))
    return b"(" + b"".join(parts) + b"tQ"


def mutated(draw: Draw, content: bytes) -> bytes:
    """A few bytes changed, cut out, or said twice."""
    out = bytearray(content)
    for _ in range(draw.randrange(1, 6)):
        place = draw.randrange(len(out)) if out else 0
        kind = draw.randrange(5)
        if kind == 0 and out:
            out[place] = draw.randrange(256)
        elif kind == 1:
            del out[place : place + draw.randrange(1, 20)]
        elif kind == 2:
            out[place:place] = out[place : place + draw.randrange(1, 40)]
        elif kind == 3:
            out[place : place + 8] = struct.pack("<q", max(-(2**63), min(2**63 - 1, whole_number(draw))))
        else:
            out = out[: draw.randrange(len(out) + 1)]
    return bytes(out)


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
    tensor = _global("torch._utils _rebuild_tensor_v2") + b"(" + _storage(draw, number(count))
    tensor += b"".join(map(_encoded, (number(0), *view, False))) + _call("collections OrderedDict", ()) + b"tR"
    program = b"\x80\x02}" + _encoded("conv1.weight") + tensor + b"s."
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
        kind = draw.choice([f"'<{d}'" for d in _DTYPES] + ["[('a', '<f4')]", "'|O'", "(" * 300, "object"])
        header = f"{{'descr': {kind}, 'fortran_order': {draw.choice(['True', 'False', '1'])}, 'shape': {shape}, }}"
        header = header + " " * draw.randrange(20) + "\n"
        length = draw.choice([len(header), len(header), draw.choice(_EDGES) % 65536])
        version = draw.choice([b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x09\x00"])
        width = "<H" if version[0] == 1 else "<I"
        follows = bytes(draw.choice([0, 4, 16, 48, 96, 200_000]))
        return b"\x93NUMPY" + version + struct.pack(width, length) + header.encode() + follows

    return zipped(draw, {f"{draw.choice(_TEXTS)}{n}.npy": array() for n in range(draw.randrange(1, 4))})


# safetensors, and what models say of themselves


def safetensors_file(draw: Draw) -> bytes:
    """A header that names tensors of any shape and any place, and says anything of the model."""
    tensors: dict[str, Any] = {}
    place = 0
    for n in range(draw.randrange(4)):
        shape = [abs(side) for side in sides(draw)]
        length = draw.choice([0, 4, 48, abs(whole_number(draw))])
        kind = draw.choice(["F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "F4", "U64", "X", "C64"])
        tensors[f"{draw.choice(_TEXTS)}{n}"] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + length]}
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
        from detres.backbones.metadata import WeightsMetadata
        from detres.classification.published import foreign_settings
        from detres.config.schema import DataConfig, DetectorBackboneConfig, ModelConfig, TestConfig
        from detres.detection.detector_files import DetectorSettings
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
