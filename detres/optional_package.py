"""Packages that only some runs need."""

from __future__ import annotations

import importlib
from typing import Any

from detres.errors import ConfigError


def optional_package(name: str, *, where: str, otherwise: str) -> Any:
    """The module of a package whose name is also that of detres's extra.

    where: the key and what of it needs the package. otherwise: what to do without it.
    Raises ConfigError, with the mend, where it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{where} needs a package that cannot be imported ({error}); pip install 'detres[{name}]', or {otherwise}"
        ) from error
