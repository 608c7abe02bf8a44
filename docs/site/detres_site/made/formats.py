"""The formats of data sets that a task reads, and what each is known by."""

from __future__ import annotations

from detres.data.formats.format import Format
from detres.tables import CLASSIFICATION_FORMATS, DETECTION_FORMATS, LOCALIZATION_FORMATS
from detres_site.made.markdown import code, plain, table

_TABLES = {
    "detection": DETECTION_FORMATS,
    "classification": CLASSIFICATION_FORMATS,
    "localization": LOCALIZATION_FORMATS,
}


def list_formats(task: str) -> str:
    """A row a format of the task's table in detres/tables.py."""
    formats = _TABLES[task]
    rows = [(code(name), plain(_known(formats[name])), _written(formats[name])) for name in formats]
    if task == "detection":
        return table(("`data.format`", "known by", "`convert_data --to`"), rows)
    return table(("`data.format`", "what lies there"), [row[:2] for row in rows])


def _known(one: Format) -> str:
    if one.made_in is not None:
        return f"nothing: detres draws it, into datasets/{one.made_in}"
    return one.known_by or (one.layout if one.layout != Format.layout else "what its publisher ships")


def _written(one: Format) -> str:
    return "yes" if one.write is not None else ""
