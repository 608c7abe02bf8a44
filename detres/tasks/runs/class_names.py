"""The classes that a config, a data set and a format each may name."""

from __future__ import annotations

from collections.abc import Sequence

from detres.config.loading import AnyConfig
from detres.data.formats.format import find_format
from detres.errors import ConfigError
from detres.lookup import Table


def agreed_class_names(config: AnyConfig, class_names: Sequence[str] | None, formats: Table) -> tuple[str, ...]:
    """The names to train on.

    class_names: the data set's; None where it is not at hand. formats: the task's, which may name their own set's.
    Raises ConfigError where config and data name different ones, or nobody names any.
    """
    stated = config.model.class_names
    if class_names is None:
        usual = find_format(formats, config.data.format).class_names
        names = stated or config.data.classes or (usual() if usual is not None else None)
        if names is None:
            raise ConfigError("nothing names the classes; set model.class_names, or data.classes")
        return tuple(names)
    if stated is not None and tuple(class_names) != stated:
        raise ConfigError(
            f"model.class_names are {_listed(stated)}, but the data's classes are {_listed(class_names)}; "
            "leave model.class_names out, or select and order the data's with data.classes"
        )
    return tuple(class_names)


def _listed(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
