"""Which of detres's keys say what keys of other projects say, from the tables that their configs are read by."""

from __future__ import annotations

from detres.conversion.detectron2.configs import NAMED, SAME
from detres.conversion.mmdetection.said import PATHS
from detres_site.made.markdown import code, table


def list_detectron2_keys() -> str:
    """A row a key of detectron2's that is read from a config.yaml."""
    rows = [(code(theirs), code(ours), "as it stands") for theirs, ours in SAME.items()]
    for theirs, (ours, values) in NAMED.items():
        rows.append(
            (code(theirs), code(ours), ", ".join(f"{code(str(a))} is {code(_yaml(b))}" for a, b in values.items()))
        )
    return table(("detectron2", "detres", "value"), sorted(rows))


def list_mmdetection_keys() -> str:
    """A row a key of ours, with the paths of mmdetection's configs, of all its versions, that say it."""
    rows = [(", ".join(map(code, theirs)), code(ours)) for ours, theirs in PATHS.items()]
    return table(("mmdetection", "detres"), rows)


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
