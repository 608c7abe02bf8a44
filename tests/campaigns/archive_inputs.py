"""Tars and zips that nobody should have written, made from a seed."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from random import Random

import cv2
import numpy as np

from tests.campaigns.spoiling import damage

_NAMES = (
    *("a.jpg", "a.cls", "a.json", "b.png", "b.cls", "../a.jpg", "/abs.jpg", "a/../../b.jpg", "..", ".", "", "...tar"),
    *("n1.tar", "犬.jpg", "\udc80.jpg", "x" * 300 + ".jpg", "a\nb.jpg", "a.jpg/b.jpg", ".hidden.jpg", "__m__/a.jpg"),
    *("a\\b.jpg", "con.jpg", "a.JPG", "a.b.c.jpg", "a"),
)
_LABELS = (b'{"label": 1}', b'{"label": 1e999}', b'{"label": "1"}', b'{"label": [1]}', b'{"label": true}', b"null")
_LONG = (b"9" * 5000, b"[" * 5000, b'{"label": ' + b"9" * 5000 + b"}", b"\0" * 4000)
_CONTENTS = (b"", b"0", b"1", b"-1", b"x", b"1e5", b"\xff\xfe", *_LABELS, *_LONG)
_KINDS = (*[tarfile.REGTYPE] * 12, b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"L", b"x", b"g")
_PAX_KEYS = ("path", "size", "GNU.sparse.map", "GNU.sparse.major", "hdrcharset", "comment")
_PAX_VALUES = ("../x.jpg", "-1", "9" * 30, "x", "0,1000000000", "1", "a\nb", "BINARY", "7" * 9000)
_SIZES = (b"77777777777\0", b"\x80" + b"\0" * 10 + b"\x09", b"\xff" * 12, b"junk junk ju")
_PIXEL = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()


def shard(rng: Random) -> bytes:
    """A tar, or one that is compressed under the name of one that is not."""
    data = tar(rng)
    return gzip.compress(data, 1) if rng.random() < 0.3 else data


def tar(rng: Random) -> bytes:
    return _almost_sound_tar(rng) if rng.random() < 0.3 else _any_tar(rng)


def archive(rng: Random) -> bytes:
    return tar(rng) if rng.random() < 0.5 else _any_zip(rng)


def _any_tar(rng: Random, depth: int = 0) -> bytes:
    stream = io.BytesIO()
    form = rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
    pax = {rng.choice(_PAX_KEYS): rng.choice(_PAX_VALUES)}
    with tarfile.open(fileobj=stream, mode="w", format=form, errors="surrogateescape") as made:
        for _ in range(rng.randrange(6)):
            member = tarfile.TarInfo(rng.choice(_NAMES))
            if form == tarfile.PAX_FORMAT and rng.random() < 0.3:
                member.pax_headers = pax
            member.type = rng.choice(_KINDS)
            member.linkname = rng.choice(["", "/etc/passwd", "../x"])
            nested = depth < 1 and member.name.endswith(".tar")
            content = _any_tar(rng, depth + 1) if nested else rng.choice(_CONTENTS)
            member.size = len(content)
            try:
                made.addfile(member, io.BytesIO(content))
            except (ValueError, UnicodeError):  # a name that this form cannot have
                continue
    data = damage(rng, stream.getvalue(), 0.3)
    return _with_another_size(rng, data) if rng.random() < 0.2 and len(data) >= 512 else data


def _with_another_size(rng: Random, data: bytes) -> bytes:
    """A member's header with another size and a checksum that agrees to it."""
    at, changed = 512 * rng.randrange(len(data) // 512), bytearray(data)
    changed[at + 124 : at + 136] = rng.choice(_SIZES)
    header = bytes(changed[at : at + 148]) + b" " * 8 + bytes(changed[at + 156 : at + 512])
    changed[at + 148 : at + 156] = f"{sum(header) & 0o777777:06o}\0 ".encode()
    return bytes(changed)


def _almost_sound_tar(rng: Random) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for key in rng.sample(["a", "b", "c/d", "e"], rng.randrange(1, 5)):
            label = rng.choice([b"0", b"1", b"1", rng.choice(_CONTENTS)])
            for name, content in ((f"{key}.png", _PIXEL), (f"{key}.cls", label)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                made.addfile(member, io.BytesIO(content))
    return damage(rng, stream.getvalue(), 0.5)


def _any_zip(rng: Random) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as made:
        for _ in range(rng.randrange(5)):
            name = rng.choice(_NAMES).encode(errors="replace").decode() or "empty"
            made.writestr(name, rng.choice(_CONTENTS))
    return damage(rng, stream.getvalue(), 0.5)
