"""metrics.json."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from detres.files.whole import write_whole

SCHEMA_VERSION = 1


def write_metrics(folder: Path, metrics: dict[str, Any]) -> Path:
    """metrics.json: metrics with the schema's version; numbers that are not finite become null."""
    content = json.dumps({"schema_version": SCHEMA_VERSION} | _plain(metrics), indent=2, allow_nan=False)
    return write_whole(folder / "metrics.json", content + "\n")


def _plain(value: Any) -> Any:
    """The value with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
