"""--time 2h: what people write, and what fits into it."""

from __future__ import annotations

import re

from detres.errors import ConfigError

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_WRITTEN = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?" for unit in _UNITS))


def seconds_of(text: str) -> float:
    """Of 2h, 90m, 1h30m, 1.5h or 45s. Raises ConfigError."""
    written = _WRITTEN.fullmatch(text.strip().lower().replace(" ", ""))
    seconds = sum(_UNITS[unit] * float(value) for unit, value in written.groupdict().items() if value) if written else 0
    if not seconds:
        raise ConfigError(f"--time {text}: expected a time above 0, such as 2h, 90m or 1h30m")
    return seconds


def in_words(seconds: float) -> str:
    """About: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
