"""Code of the user's own, which a config names as module:callable; whatever is wrong with it is told in one message."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from detres.errors import ConfigError, UserError, kind_of, raised_in
from detres.system_errors import out_of_memory


def find_own(name: str, key: str) -> Any:
    """What `module:callable` names. key: which stated it, for messages. Raises ConfigError where nothing is there."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(_imported(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{key} {name} cannot be imported: {error}; module:callable names something that can be, from the current "
            "folder, from those of PYTHONPATH, or installed"
        ) from error
    except Exception as error:
        own_failed(error, f"{key} {name}: to import it")


def _imported(module: str) -> ModuleType:
    """Also from the current folder, as `python -m` has it and installed commands have not: last, so that nothing that
    is installed is hidden by a file there.
    """
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # It stays: processes that load data are started with it.
        importlib.invalidate_caches()
    return importlib.import_module(module)


def find_own_function(name: str, key: str) -> Callable[..., Any]:
    """As find_own. Raises ConfigError as well where it is nothing that can be called."""
    own = find_own(name, key)
    if not callable(own):
        raise ConfigError(f"{key} {name} is {kind_of(own)}, expected a function or a class; name another")
    return own


def call_own(own: Callable[..., Any], what: str, *arguments: Any, **options: Any) -> Any:
    """Call it. what: how it is called, for messages. Raises ConfigError where it raises anything."""
    try:
        return own(*arguments, **options)
    except Exception as error:
        own_failed(error, what)


def own_failed(error: Exception, what: str, caller: str = __file__) -> NoReturn:
    """Tell of code that is the user's in a line; what ours or the machine says by way of it stays as it is.

    caller: our file in which it is called.
    """
    if isinstance(error, UserError) or out_of_memory(error):
        raise error
    raise ConfigError(f"{what} raised {raised_in(error, caller)}; mend it, or name another") from error
