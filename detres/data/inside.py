"""Names that files of a set give: where they lead, and that they do not lead out of the set.

A list or an annotation file came with the set, perhaps from a stranger; what it names lies below the set's own folders.
Only the yaml that the user gives may name other places.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path


def below(name: str, folder: Path) -> str | None:
    """A name as a path below a folder, with slashes and without detours; None where it leads elsewhere.

    Judged by the names alone: links that lie in a folder are its owner's, and are followed.
    """
    if os.path.isabs(name):
        place = os.path.abspath(folder)
        name = os.path.relpath(os.path.normpath(name), place) if _starts_with(os.path.normpath(name), place) else ".."
    plain = posixpath.normpath(name)
    return None if plain in (".", "..") or plain.startswith("../") else plain


def absolute(path: Path) -> str:
    """A path from the file system's root on, under the names it was given by: links in it are not followed.

    labels/ is looked for beside the link images/, not beside the folder that the link leads to. Only where `..` stands
    behind a link it stays, since without it the path would be another.
    """
    plain = os.path.abspath(path)
    try:
        same = os.path.samefile(plain, path)
    except (OSError, ValueError):
        same = not os.path.exists(path)
    return plain if same else str(path.absolute())


def forms_of(name: str) -> list[str]:
    """A name as it stands, and as it is meant where Windows wrote it: with slashes for backslashes."""
    return list(dict.fromkeys((name, name.replace("\\", "/"))))


def spelled_there(name: Path, base: Path) -> Path:
    """A name as it stands where it is there below `base`, else as Windows means it, with slashes for backslashes."""
    return name if os.path.lexists(base / name) else Path(str(name).replace("\\", "/"))


def _starts_with(path: str, folder: str) -> bool:
    return path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)
