"""What datasets/prepare_*.py do: check the archives a user has (or fetches), and unpack them where configs look.

Nothing is done twice: a download goes on where it stopped, and a file that is already unpacked is left as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from detres.data.datasets import datasets_root
from detres.errors import DataError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A file of a publisher: its size in bytes, and a file that is there once it is unpacked."""

    name: str
    size: int
    url: str
    holds: str


_VOC = "http://host.robots.ox.ac.uk/pascal/VOC"
VOC_ARCHIVES = (
    Archive(
        "VOCtrainval_06-Nov-2007.tar",
        460032000,
        f"{_VOC}/voc2007/VOCtrainval_06-Nov-2007.tar",
        "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt",
    ),
    Archive(
        "VOCtest_06-Nov-2007.tar",
        451020800,
        f"{_VOC}/voc2007/VOCtest_06-Nov-2007.tar",
        "VOCdevkit/VOC2007/ImageSets/Main/test.txt",
    ),
    Archive(
        "VOCtrainval_11-May-2012.tar",
        1999639040,
        f"{_VOC}/voc2012/VOCtrainval_11-May-2012.tar",
        "VOCdevkit/VOC2012/ImageSets/Main/trainval.txt",
    ),
)

_COCO = "http://images.cocodataset.org"
COCO_ARCHIVES = (
    Archive("train2017.zip", 19336861798, f"{_COCO}/zips/train2017.zip", "train2017/000000000009.jpg"),
    Archive("val2017.zip", 815585330, f"{_COCO}/zips/val2017.zip", "val2017/000000000139.jpg"),
    Archive(
        "annotations_trainval2017.zip",
        252907541,
        f"{_COCO}/annotations/annotations_trainval2017.zip",
        "annotations/instances_val2017.json",
    ),
)


def main(archives: Sequence[Archive], folder_name: str, argv: Sequence[str] | None = None) -> int:
    """The command of one data set; prints what it does. Returns the exit status."""
    parser = argparse.ArgumentParser(description=f"Unpack the {folder_name} data set; nothing is fetched unless asked.")
    parser.add_argument("--from", dest="source", default=".", metavar="DIR", help="where the archives are, or are put")
    parser.add_argument("--to", metavar="DIR", help=f"default: {datasets_root() / folder_name}")
    parser.add_argument("--download", action="store_true", help="fetch from the publisher what is missing")
    parser.add_argument("--mirror", metavar="URL", help="fetch URL/ARCHIVE instead")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="archives whose name contains one of these")
    options = parser.parse_args(argv)
    wanted = [each for each in archives if not options.only or any(part in each.name for part in options.only)]
    try:
        prepare(
            wanted,
            Path(options.source),
            Path(options.to) if options.to else datasets_root() / folder_name,
            download=options.download,
            mirror=options.mirror,
            say=print,
        )
    except DataError as error:
        print(error)
        return 2
    return 0


def prepare(
    archives: Sequence[Archive],
    source: Path,
    target: Path,
    *,
    download: bool = False,
    mirror: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Unpack every archive in `source` to `target`, fetching what is missing where that is allowed.

    Raises DataError that lists every archive that is missing or of the wrong size, before anything is unpacked.
    """
    left = [archive for archive in archives if not _mark(target, archive).is_file()]
    for archive in archives:
        if archive not in left:
            say(f"{archive.name}: unpacked already")
    if download or mirror:
        for archive in left:
            url = f"{mirror.rstrip('/')}/{archive.name}" if mirror else archive.url
            if not _is_whole(source / archive.name, archive):
                say(f"{archive.name}: fetching {url} ({archive.size / 1e9:.2f} GB)")
                fetch(url, source / archive.name)
    wrong = [text for archive in left if (text := _what_is_wrong(source / archive.name, archive))]
    if wrong:
        raise DataError(
            "\n".join([f"{len(wrong)} archives cannot be unpacked:", *wrong])
            + "\nDownload them there, point --from at their folder, or add --download (or --mirror URL)."
        )
    for archive in left:
        say(f"{archive.name}: unpacking to {target}")
        unpack(source / archive.name, target)
        if not (target / archive.holds).is_file():
            raise DataError(
                f"{archive.name}: after unpacking, {target / archive.holds} is not there; is it the right file?"
            )
        _mark(target, archive).write_text(f"{archive.size}\n")
    say(f"ready: {target}")


def fetch(url: str, file: Path) -> None:
    """Download to `file`, going on from a part that is there (FILE.part). DataError where the server fails."""
    part = file.with_name(file.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # A server that cannot begin in the middle answers 200 and sends everything.
        with (
            urllib.request.urlopen(request, timeout=60) as answer,
            part.open("ab" if answer.status == 206 else "wb") as stream,
        ):
            shutil.copyfileobj(answer, stream, _CHUNK)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing beyond what is there: the part is the whole
            raise DataError(f"{url}: the server answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{url}: {error}; run the same command again to go on from what is there") from None
    os.replace(part, file)


def unpack(archive: Path, target: Path) -> None:
    """Unpack a tar or zip, leaving alone every file that is already there in full. DataError where it is damaged."""
    try:
        for name, size, stream in _members(archive):
            _unpack_one(target, name, size, stream)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise DataError(f"{archive}: cannot be unpacked: {error}; download it again") from None


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], BinaryIO | None]]]:
    """The files in an archive: name, size and how to open each."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for item in opened.infolist():
                if not item.is_dir():
                    yield item.filename, item.file_size, lambda item=item: opened.open(item)
        return
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isfile():
                yield member.name, member.size, lambda member=member: opened.extractfile(member)


def _unpack_one(target: Path, name: str, size: int, open_member: Callable[[], BinaryIO | None]) -> None:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise DataError(f"{name}: the archive wants to write outside {target}; it is not the publisher's")
    file = target / parts
    if file.is_file() and file.stat().st_size == size:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".part")
    with open_member() as stream, partial.open("wb") as out:
        shutil.copyfileobj(stream, out, _CHUNK)
    os.replace(partial, file)


def _is_whole(file: Path, archive: Archive) -> bool:
    return file.is_file() and file.stat().st_size == archive.size


def _what_is_wrong(file: Path, archive: Archive) -> str | None:
    if not file.is_file():
        return f"  {file}: missing; it is {archive.url} ({archive.size} bytes)"
    if not _is_whole(file, archive):
        return f"  {file}: {file.stat().st_size} bytes, expected {archive.size}; the download is not complete"
    return None


def _mark(target: Path, archive: Archive) -> Path:
    return target / f".{archive.name}.unpacked"
