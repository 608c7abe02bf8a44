"""How a sound file becomes one that nobody should have written: values, structure, bytes."""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

from tests.campaigns.watched import OUTSIDE

# Each was the end of some reader. Text that is a number, numbers that are none, names that lead elsewhere.
WEIRD: tuple[Any, ...] = (
    *(None, True, False, "", " ", "0", "1", "-1", "1.0", "nan", "inf", "1e999", "0x10", "1_0", "٣", "yes", "no"),
    *(0, 1, -1, 2, 0.5, -0.0, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf, 2**31, 2**53 + 1, 2**63, 2**70),
    *(-(2**63), 10**30, 10**400, 65536, 1 << 20),
    *([], {}, [[]], [None], {"a": 1}, [1, 2, 3, 4, 5], ["a"], [[1, 2], [3, 4]]),
    *(f"../{OUTSIDE}.png", f"../../{OUTSIDE}.png", f"..\\{OUTSIDE}.png", "/etc/passwd", "/dev/zero", "/dev/stdin"),
    *(
        "a\0b",
        "a/b",
        "a\\b.png",
        "CON",
        ".",
        "..",
        "~",
        "~root",
        "é" * 200,
        "x" * 5000,
        "猫",
        "\ud800",
        "\x1b[31m",
        "%s",
    ),
    *(
        "$HOME",
        "`id`",
        "$(id)",
        "<b>",
        "&lt;",
        "http://127.0.0.1/a.png",
        "file:///etc/passwd",
        "pipe:id",
        "a,b",
        "a\nb",
    ),
)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0", b"\x80")


def weird(rng: Random) -> Any:
    """One of WEIRD, or something deep or long made on the spot."""
    draw = rng.random()
    if draw < 0.02:
        value: Any = []
        for _ in range(rng.choice((50, 500, 900))):
            value = [value]
        return value
    if draw < 0.04:
        return [rng.choice(WEIRD)] * rng.choice((2, 100, 3000))
    return rng.choice(WEIRD)


def spoil(rng: Random, value: Any, chance: float) -> Any:
    """A copy of lists, dicts and values in which every part is changed by this chance."""
    if rng.random() < chance:
        return weird(rng)
    if isinstance(value, dict):
        kept = {key: spoil(rng, item, chance) for key, item in value.items() if rng.random() >= chance / 2}
        if rng.random() < chance:
            kept[rng.choice(("", "id", "0", "names", "__class__", "x" * 300))] = weird(rng)
        return kept
    if isinstance(value, list):
        items = [spoil(rng, item, chance) for item in value if rng.random() >= chance / 2]
        if items and rng.random() < chance:
            items += [rng.choice(items)] * rng.choice((1, 2, 20))
        if rng.random() < chance:
            rng.shuffle(items)
        return items
    return value


def as_json(rng: Random, value: Any) -> bytes:
    """As Python's json writes it, NaN and Infinity included; now and then much deeper than that."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.01:
        depth = rng.choice((1000, 100_000))
        text = text[:-1] + ', "deep": ' + "[" * depth + "]" * rng.choice((depth, 0)) + "}"
    return text.encode("utf-8", errors="surrogatepass")


def damage(rng: Random, data: bytes, chance: float) -> bytes:
    """The bytes, by this chance with some of them changed, cut, repeated or in another encoding."""
    if rng.random() >= chance or not data:
        return data
    kind = rng.randrange(7)
    at = rng.randrange(len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[at + rng.choice((1, 2, 4, 100)) :]
    if kind == 2:
        return data[:at] + data[max(0, at - 50) : at] * rng.choice((1, 2, 10)) + data[at:]
    if kind == 3:
        return rng.choice(_MARKS) + data
    if kind == 4:
        text = data.decode("utf-8", errors="replace")
        return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "cp1252", "gbk")), errors="replace")
    if kind == 5:
        return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\0", b"")))
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)
