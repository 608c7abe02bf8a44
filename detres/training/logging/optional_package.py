"""Packages that only some runs need."""

from __future__ import annotations

import importlib
from typing import Any

from detres.errors import ConfigError


def optional_package(name: str) -> Any:
    """The module of a logger's package, which is also the name of detres's extra.

    Raises ConfigError, with the mend, where it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"training.logs: {name} needs a package that cannot be imported ({error}); pip install 'detres[{name}]', "
            f"or leave {name} out"
        ) from error
