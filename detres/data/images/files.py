"""Which files of a folder are images, by their names, wherever a set or a user keeps them.

Every reader of folders asks here, so that a folder holds the same images for training, checking and prediction.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from detres.data.problems import Problem
from detres.errors import DataError

_PHOTOGRAPHS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"})
IMAGE_SUFFIXES = _PHOTOGRAPHS | frozenset(
    {
        *(".png", ".bmp", ".dib", ".webp", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm"),
    }
)

# What systems leave in people's folders: thumbnails, resource forks, what was deleted.
_SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"})

# What belongs beside images and is nobody's forgotten picture.
_COMPANIONS = frozenset(
    {
        *(".txt", ".xml", ".json", ".jsonl", ".yaml", ".yml", ".csv", ".tsv", ".names", ".cache", ".npy"),
        *(".md", ".rst", ".html", ".log", ".py", ".sh", ".db", ".ini"),
    }
)

_SHOWN = 3


class FolderImages(NamedTuple):
    """names: of the images below a folder, relative to it, with slashes, in no order. others: of files that are
    neither images by their ending nor what usually lies beside them."""

    names: list[str]
    others: list[str]


def find_images(folder: Path) -> list[Path]:
    """The image files below a folder, sorted; hidden ones and folders are left out."""
    return sorted(folder / name for name in list_images(folder).names)


def list_images(folder: str | os.PathLike[str]) -> FolderImages:
    """What lies below a folder, hidden files and folders apart; nothing where there is no such folder.

    Links are followed, but none that leads back up, and each folder is read once: under its own name where it has one
    below `folder`, else under that of the first link to it. So every walk ends, and no image comes twice.
    Image files are not opened: a link that leads nowhere, or a name that is no image, shows when it is read.
    """
    found = FolderImages([], [])
    seen: set[tuple[int, int]] = set()
    folders: list[str] = [""]
    links: list[str] = []
    while folders or links:
        below = folders.pop() if folders else links.pop(0)
        place = os.path.join(folder, below)
        try:
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                linked = _sort_out(entries, below, found, folders)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DataError(f"{place}: this folder cannot be read ({error.strerror})") from None
        links += sorted(linked)
    return found


def _sort_out(entries: Iterable[os.DirEntry[str]], below: str, found: FolderImages, folders: list[str]) -> list[str]:
    """Add a folder's files to `found` and its folders to `folders`; returns the links to folders."""
    linked = []
    for entry in entries:
        if is_hidden(entry.name):
            continue
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix in IMAGE_SUFFIXES and entry.is_file(follow_symlinks=False):
            found.names.append(below + entry.name)
        elif entry.is_dir(follow_symlinks=False):
            folders.append(f"{below}{entry.name}/")
        elif entry.is_symlink() and os.path.isdir(entry.path):
            linked += [f"{below}{entry.name}/"] if is_folder(entry) else []
        elif suffix in IMAGE_SUFFIXES and entry.is_symlink():
            found.names.append(below + entry.name)
        elif suffix not in _COMPANIONS:
            found.others.append(below + entry.name)
    return linked


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted, without hidden ones; none where there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if not is_hidden(name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder}: this folder cannot be read ({error.strerror})") from None


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: .ipynb_checkpoints, macOS' ._a.jpg, a system's own folders."""
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def is_image(name: str) -> bool:
    """Whether a file is an image by its ending."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def is_other(name: str) -> bool:
    """Whether a file is neither an image by its ending nor what usually lies beside images."""
    return os.path.splitext(name)[1].lower() not in IMAGE_SUFFIXES | _COMPANIONS


def is_photograph(name: str) -> bool:
    """Whether an image is a JPEG by its name, as masks and drawings that lie beside one rarely are."""
    return os.path.splitext(name)[1].lower() in _PHOTOGRAPHS


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether a folder's entry is a folder, or a link to one, unless to that folder itself or to one above it."""
    if not entry.is_symlink():
        return entry.is_dir()
    if not os.path.isdir(entry.path):
        return False
    place, target = os.path.realpath(os.path.dirname(entry.path)), os.path.realpath(entry.path)
    return os.path.commonpath([place, target]) != target


def printable(name: str) -> str:
    """A file's name for a message, where it may be no UTF-8."""
    return os.fsencode(name).decode(errors="replace")


def others_problem(others: Sequence[str], where: str) -> list[Problem]:
    """One line for all files that lie below `where` and are not read; none where there are none."""
    if not others:
        return []
    shown = ", ".join(map(printable, sorted(others)[:_SHOWN])) + (", …" if len(others) > _SHOWN else "")
    endings = sorted({printable(os.path.splitext(name)[1].lower()) or "none" for name in others})
    detail = f"{len(others)} files are no images by their endings ({', '.join(endings[:_SHOWN])}) and not read: {shown}"
    return [Problem("file not read", where, f"{detail}; convert them, or leave them there")]
