"""What a user can do wrong. Every message says what, got, where, and how to mend it."""

from __future__ import annotations

import warnings


class UserError(Exception):
    """A mistake the user can mend; commands print its message alone and exit with `exit_status`."""

    exit_status = 2


class ConfigError(UserError):
    """A config, an override or an argument is wrong."""


class DataError(UserError):
    """A data set is missing, unreadable or contradicts itself."""


class WeightsError(UserError):
    """A weights file is missing, unreadable, or does not fit what it is loaded into."""


class DetresWarning(Warning):
    """Something of the machine's failed, and the work goes on without it; commands print it as one line."""


def tell(message: str) -> None:
    """Warn of what went wrong and is told nowhere else."""
    warnings.warn(message, DetresWarning, stacklevel=2)
