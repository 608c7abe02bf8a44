"""Pickles that nobody would write, made from a seed, and the pieces they are made of."""

from __future__ import annotations

import math
import pickle
import random
import struct
from collections.abc import Callable
from typing import Any

Draw = random.Random

# Numbers that sit on an edge of some type or some bound.
EDGES = (0, 1, 2, 3, 4, 7, 8, 255, 256, 65535, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 2**100)
_NAMES = (
    *("numpy ndarray", "numpy dtype", "numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"),
    *("numpy.core.multiarray scalar", "numpy.core.numeric _frombuffer", "_codecs encode", "builtins bytes"),
    *("collections OrderedDict", "torch FloatStorage", "torch LongStorage", "torch._utils _rebuild_tensor_v2"),
    *("torch._utils _rebuild_tensor", "torch._utils _rebuild_parameter", "torch Size", "posix system"),
    *("builtins getattr", "builtins eval", "argparse Namespace", "copyreg _reconstructor", "builtins object"),
)
TEXTS = (*("conv1.weight", "fc.weight", "model", "state_dict", "storage", "0", "cpu", "latin1", "f4", "<", ">"), "")
DTYPES = ("f4", "f8", "i8", "u1", "O", "V8", "S3", "U2", "M8", "b1", "?", "f4,f4", "(2,)f4", "f16", "c8", "S99999")


def whole_number(draw: Draw) -> int:
    return draw.choice([draw.randrange(300), draw.choice(EDGES), -draw.choice(EDGES)])


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
    letters = draw.choice(DTYPES[:3] if draw.random() < 0.6 else DTYPES)
    length = math.prod(sides) * {"f4": 4, "f8": 8, "i8": 8}.get(letters, draw.randrange(9))
    if draw.random() < 0.1:
        sides = tuple(whole_number(draw) for _ in sides)
    dtype_state = (edge(3), edge("<"), edge(None), edge(None), edge(None), edge(-1), edge(-1), edge(0))
    dtype = call("numpy dtype", (edge(letters), edge(0), edge(1))) + encoded(dtype_state)
    dtype += b"" if draw.random() < 0.02 else b"b"
    state = b"(" + encoded(edge(1)) + encoded(edge(sides)) + dtype + encoded(edge(False))
    state += encoded(edge(bytes(length))) + b"tb"
    made = reference("numpy.core.multiarray _reconstruct") + b"(" + reference("numpy ndarray")
    made += encoded(edge((0,))) + encoded(edge("b")) + b"tR"
    return b"\x80\x02}" + encoded("res2_0_branch2a_w") + made + state + b"s."


def value(draw: Draw, depth: int) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: whole_number(draw),
        lambda: draw.choice(TEXTS),
        lambda: draw.choice([None, True, False, 0.5, float("nan"), float("inf"), b"", bytes(8)]),
    ]
    if depth:
        kinds += [
            lambda: tuple(value(draw, depth - 1) for _ in range(draw.randrange(5))),
            lambda: [value(draw, depth - 1) for _ in range(draw.randrange(5))],
            lambda: {draw.choice(TEXTS): value(draw, depth - 1) for _ in range(draw.randrange(4))},
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
            lambda: b"\x80\x04\x8e" + struct.pack("<Q", draw.choice(EDGES) % 2**64) + b"x.",
            lambda: b"\x80\x04Nr" + struct.pack("<I", draw.choice(EDGES) % 2**32) + b".",
            lambda: b"\x80\x04\x8b" + struct.pack("<i", draw.choice([-1, 2**31 - 1])) + b"x.",
            lambda: b"\x80\x04X\x10\x00\x00\x00aaaaaaaaaaaaaaaa\x94" + b"h\x00" * count + b".",
            lambda: b"\x80\x04\x95" + struct.pack("<Q", draw.choice(EDGES) % 2**64) + b"N.",
        ]
    )()


def sides(draw: Draw) -> tuple[int, ...]:
    return tuple(whole_number(draw) if draw.random() < 0.2 else draw.randrange(5) for _ in range(draw.randrange(4)))


def encoded(thing: Any) -> bytes:
    """A plain value in protocol 2, without its beginning and its end; bytes as Python 2 wrote them."""
    if isinstance(thing, bytes):
        return b"T" + struct.pack("<i", len(thing)) + thing
    return pickle._dumps(thing, 2)[2:-1]


def reference(name: str) -> bytes:
    module, _, rest = name.partition(" ")
    return f"c{module}\n{rest}\n".encode()


def call(name: str, arguments: tuple) -> bytes:
    return reference(name) + b"(" + b"".join(map(encoded, arguments)) + b"tR"


def _long(number: int) -> bytes:
    raw = number.to_bytes(max(1, number.bit_length() // 8 + 1), "little", signed=True)[:255]
    return b"\x8a" + bytes([len(raw)]) + raw


_PROGRAM: tuple[Callable[[Draw], bytes], ...] = (
    lambda d: encoded(value(d, 2)),
    lambda d: encoded(value(d, 1)),
    lambda d: encoded(d.choice(TEXTS)),
    lambda d: _long(whole_number(d)),
    lambda d: reference(d.choice(_NAMES)),
    lambda d: call(d.choice(_NAMES), tuple(value(d, 1) for _ in range(d.randrange(7)))),
    lambda d: d.choice([b"(", b"(", b"t", b"l", b"d", b"\x85", b"\x86", b"\x87", b")", b"]", b"}", b"\x8f", b"\x91"]),
    lambda d: d.choice(
        [b"R", b"b", b"\x81", b"\x92", b"o", b"Q", b"s", b"u", b"a", b"e", b"\x90", b"\x93", b"0", b"1"]
    ),
    lambda d: d.choice([b"2", b"\x94", b"q\x00", b"h\x00", b"h\x01", b"N", b"\x88", b"G" + bytes(8), b"K\x05"]),
    lambda d: d.choice([b"j", b"r"]) + struct.pack("<I", d.choice(EDGES) % 2**32),
    lambda d: (
        b"("
        + encoded("storage")
        + reference("torch FloatStorage")
        + encoded(("0", "cpu", whole_number(d)))[:-1]
        + b"tQ"
    ),
    lambda d: bytes([d.randrange(256)]),
)


def storage(draw: Draw, count: int) -> bytes:
    """A reference to a tensor's bytes, as torch writes it."""
    kind = draw.choice(["FloatStorage", "LongStorage", "BoolStorage"])
    parts = (encoded("storage"), reference(f"torch {kind}"), *map(encoded, ("0", "cpu", count)))
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
