"""metrics.json, and how any file of an evaluation is written: whole or not at all."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

SCHEMA_VERSION = 1


def write_metrics(folder: Path, metrics: dict[str, Any]) -> Path:
    """metrics.json: metrics with the schema's version; numbers that are not finite become null."""
    content = json.dumps({"schema_version": SCHEMA_VERSION} | _plain(metrics), indent=2, allow_nan=False)
    return write_whole(folder / "metrics.json", content + "\n")


def write_whole(file: Path, content: str) -> Path:
    """Write text to a temporary name in the same folder, then rename."""
    with whole_file(file) as stream:
        stream.write(content.encode("utf-8", errors="surrogateescape"))
    return file


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes stand under the file's name once all of them are written, and nowhere where one is not."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(partial, 0o644)  # mkstemp's files are private to their maker
        os.replace(partial, file)
    except BaseException:
        os.unlink(partial)
        raise


def _plain(value: Any) -> Any:
    """The value with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
