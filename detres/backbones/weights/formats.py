"""Which form a weights file has, by what it holds: its ending may be .pth, .pth.tar, .th, .bin, .ckpt or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from detres.errors import WeightsError
from detres.files.zips import BoundedZip

Form = Literal["safetensors", "npz", "torch", "pickle"]

# torch.save's before 1.6: a pickle of one large number.
_TORCH_STREAM = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_ZIP = b"PK\x03\x04"
_IN_WORDS: Mapping[Form, str] = {
    "safetensors": "safetensors",
    "torch": "what torch.save wrote, which convert_weights turns into safetensors",
    "npz": "an archive of numpy's arrays, which convert_weights turns into safetensors",
    "pickle": "a pickle, which convert_weights turns into safetensors where it is a published one",
}
# What is often found under the name of a weights file.
_OTHERS = (
    (b"<", "a page of the web: the download went wrong"),
    (b"version https://git-lfs", "a pointer of Git LFS: `git lfs pull` fetches the file itself"),
    (b"\x89HDF", "HDF5, as Keras writes"),
    (b"\x1f\x8b", "packed by gzip: unpack it"),
    (b"BZh", "packed by bzip2: unpack it"),
    (b"\xfd7zXZ", "packed by xz: unpack it"),
    (b"\x93NUMPY", "a single array of numpy's: numpy.savez writes arrays by name"),
)


def form_of(path: Path) -> Form:
    """Raises WeightsError, naming what it is where that is known, for a file of no such form."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise WeightsError(f"{path}: the file is empty; fetch or save it again")
    if is_safetensors(head):
        return "safetensors"
    if head.startswith(_ZIP):
        return _form_of_zip(path)
    if head.startswith(_TORCH_STREAM):
        return "torch"
    if head[0] == 0x80 or head[:1] in (b"(", b"}", b"c"):
        return "pickle"
    raise WeightsError(
        f"{path}: {_known_other(head) or 'no weights of any form that is read'}; weights are safetensors, what "
        "torch.save or numpy.savez wrote, or a published .pkl"
    )


def other_than_safetensors(path: Path) -> str | None:
    """What the file is, in words, where it is no safetensors.

    None where it is, be it damaged or cut off, and where it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    if is_safetensors_file(path) and _known_other(head) is None:
        return None
    try:
        return _IN_WORDS[form_of(path)]
    except WeightsError as error:
        return str(error).removeprefix(f"{path}: ")


def _known_other(head: bytes) -> str | None:
    what = next((what for start, what in _OTHERS if head.lstrip().startswith(start)), None)
    return "a tar archive: unpack it" if what is None and head[257:262] == b"ustar" else what


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins so is one, be it cut off: the length of a header, and a brace."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def is_safetensors_file(path: Path) -> bool:
    """Whether to read it as such: by what it holds, or by its ending where it holds nothing that is known.

    What cannot be opened is left to whoever reads it.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError:
        return True
    torn = path.suffix.lower() == ".safetensors" and not head.startswith((_ZIP, _TORCH_STREAM[:1]))
    return is_safetensors(head) or torn


def _form_of_zip(path: Path) -> Form:
    try:
        with BoundedZip(path) as archive:
            names = archive.names
    except ValueError as error:
        raise WeightsError(f"{path}: {error}; it may be cut off: fetch or save it again") from None
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    shown = ", ".join(name[:60] for name in names[:3]) or "nothing"
    raise WeightsError(f"{path}: a zip archive of {shown}, where torch.save or numpy.savez would have written weights")
