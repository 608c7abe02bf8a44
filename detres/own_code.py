"""Code of the user's own, which a config names as module:callable; whatever is wrong with it is told in one message."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from detres.errors import ConfigError, UserError, kind_of, raised_in
from detres.system_errors import out_of_memory

OWN_FAILURES = (Exception, SystemExit)
"""What own code may raise that is told of: whoever leaves by sys.exit would leave without a word."""


def find_own(name: str, key: str) -> Any:
    """What `module:callable` names: of a module that Python finds, or else of one in the current folder.

    key: which stated it, for messages. Raises ConfigError where nothing is there.
    """
    module, _, attribute = name.partition(":")
    top = module.partition(".")[0]
    try:
        _look_here_too(top)
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        mend = "module:callable names something that can be"
        if isinstance(error, ModuleNotFoundError) and error.name == top:
            mend = f"{os.getcwd()} was looked in as well: run from the folder that {top} is in, or put it on PYTHONPATH"
        raise ConfigError(f"{key} {name} cannot be imported: {error}; {mend}") from error
    except OWN_FAILURES as error:
        own_failed(error, f"{key} {name}: to import it")


def _look_here_too(top: str) -> None:
    """Have Python look in the current folder from now on, where it does not find this module elsewhere.

    Scripts and entry points leave that folder out. It comes last, so that nothing installed is hidden, and stays, for
    the module may import its neighbours whenever it is called.
    """
    here = os.getcwd()
    if top and top not in sys.modules and importlib.util.find_spec(top) is None and here not in sys.path:
        sys.path.append(here)


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
    except OWN_FAILURES as error:
        own_failed(error, what)


def own_failed(error: Exception | SystemExit, what: str, caller: str = __file__) -> NoReturn:
    """Tell of code that is the user's in a line; what ours or the machine says by way of it stays as it is.

    caller: our file in which it is called.
    """
    if isinstance(error, UserError) or out_of_memory(error):
        raise error
    raise ConfigError(f"{what} raised {raised_in(error, caller)}; mend it, or name another") from error
