"""Per-image results of a classifier: in the form the ImageNet server took, and one that people can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from detres.evaluation.classification.accuracy import TOP, ImageId, Ranking
from detres.files.whole import write_whole


def write_predictions(
    file: Path,
    rankings: Iterable[Ranking],
    class_names: Sequence[str],
    *,
    numbers: Sequence[int] | None = None,
) -> tuple[Path, Path]:
    """Write FILE for the server and FILE.jsonl for people; returns both.

    FILE: a line an image, in the order of the images' file names, of five labels separated by spaces, best first, as
    ILSVRC2012's development kit reads them. An image that could not be read has five zeros, so that the others keep
    their places.
    FILE.jsonl: a line an image in the same order: file, names and probabilities, best first.
    numbers: (K,) of each class, as the server counts them; None: its place among class_names, from 1.
    """
    numbers = range(1, len(class_names) + 1) if numbers is None else numbers
    best = min(TOP, len(class_names))
    labels, lines = [], []
    for ranking in sorted(rankings, key=lambda each: _place(each.image_id)):
        found = [numbers[label] for label in ranking.labels] or [0] * best
        labels.append(" ".join(map(str, found)))
        line = {
            "file": str(ranking.image_id),
            "names": [class_names[label] for label in ranking.labels],
            "probabilities": list(ranking.probabilities),
        }
        lines.append(json.dumps(line, allow_nan=False))
    readable = file.with_name(f"{file.name}.jsonl")
    return write_whole(file, _text(labels)), write_whole(readable, _text(lines))


def _place(image_id: ImageId) -> tuple[list[int | str], str]:
    """By file name, because class folders may lie before it and the server counts files; 2 stands before 10."""
    parts = re.split(r"(\d+)", Path(str(image_id)).name)
    return [int(part) if part.isdecimal() else part for part in parts], str(image_id)


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
