"""What the page of a report shows of an evaluation, as plain lists and numbers for JSON.

K classes, T IoU thresholds, R recalls. A curve holds whole thousandths, since a page has a hundred thousand
of them. None where nothing is defined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.classification.calibration import Calibration, calibrate
from detres.evaluation.confusion import confusion_matrix
from detres.evaluation.error_analysis import ErrorAnalysis
from detres.evaluation.error_kinds import DEFINITIONS, FOUND, NOT_COUNTED
from detres.evaluation.flat_boxes import FlatDetections, FlatObjects
from detres.evaluation.pr_curves import IOUS, SIZES, VocCurve, coco_class_curves, voc_class_curves

# Detections of less are left out of the confusion matrix, and of the counts beside all.
CONFIDENT = 0.5
MATRIX_CLASSES = 40
_CURVE_POINTS = 100
_HEADLINES = (
    ("mAP50", "mAP@0.5", "VOC, area"),
    ("AP", "AP", "COCO, 0.5 to 0.95"),
    ("AP50", "AP50", "COCO"),
    ("AP75", "AP75", "COCO"),
    ("APs", "AP small", "area below 32²"),
    ("APm", "AP medium", "32² to 96²"),
    ("APl", "AP large", "above 96²"),
    ("AR100", "AR100", "recall of 100"),
)


def headline_data(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The first numbers, of metrics.json."""
    return [{"label": label, "note": note, "value": metrics[key]} for key, label, note in _HEADLINES]


def class_data(
    ground_truth: dict[str, Any],
    objects: FlatObjects,
    found: FlatDetections,
    errors: ErrorAnalysis,
    metrics: dict[str, Any],
) -> list[dict[str, Any]]:
    """Numbers and curves of all classes together, and then of each.

    metrics: of metrics.json, whose numbers the table repeats.
    """
    curves, voc = coco_class_curves(ground_truth, found), voc_class_curves(ground_truth, found)
    counted, hits = errors.judged.kind != NOT_COUNTED, errors.judged.kind == FOUND
    every = {
        "name": "all classes",
        "objects": int((~objects.ignore).sum()),
        "AP": metrics["AP"],
        "AP50": metrics["AP50"],
        "voc": metrics["mAP50"],
        "sizes": [metrics[key] for key in ("AP", "APs", "APm", "APl")],
        "precision": _thousandths(_mean_of_classes(curves.precision)),
        "vocCurve": None,
        "calibration": _calibration(calibrate(found.scores[counted], hits[counted])),
    }
    rows = []
    for label, (name, row) in enumerate(metrics["per_class"].items()):
        mine = counted & (found.label == label)
        rows.append(
            {
                "name": name,
                "objects": int(((objects.label == label) & ~objects.ignore).sum()),
                "AP": row["AP"],
                "AP50": row["AP50"],
                "voc": row["voc_AP50"],
                "sizes": _plain(curves.size_ap[label]),
                "precision": _thousandths(curves.precision[label]),
                "vocCurve": _thinned(voc[label]),
                "calibration": _calibration(calibrate(found.scores[mine], hits[mine])),
            }
        )
    return [every, *rows]


def curve_axes() -> dict[str, Any]:
    """What the numbers of a curve stand for."""
    return {"ious": list(IOUS), "sizes": list(SIZES)}


def error_data(errors: ErrorAnalysis, found: FlatDetections) -> dict[str, Any]:
    """The six kinds with their definitions, counts and costs."""
    confident = found.scores >= CONFIDENT
    rows = [
        {
            "kind": kind,
            "definition": definition,
            "count": errors.counts[kind],
            "confident": None if kind == "missed" else int((confident & (errors.judged.kind == place)).sum()),
            "cost": errors.costs[kind],
        }
        for place, (kind, definition) in enumerate(DEFINITIONS.items())
    ]
    return {
        "ap50": errors.ap50,
        "rows": rows,
        "falsePositives": errors.false_positives,
        "falseNegatives": errors.false_negatives,
        "confident": CONFIDENT,
    }


def confusion_data(
    ground_truth: dict[str, Any], found: FlatDetections, *, most: int = MATRIX_CLASSES
) -> dict[str, Any]:
    """The confusion matrix; of many classes only those that are confused most, the others counted in `left`."""
    counts = confusion_matrix(ground_truth, found, min_score=CONFIDENT)
    names = [category["name"] for category in ground_truth["categories"]]
    background = len(names)
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    among = wrong[:background, :background]
    often = among.sum(axis=0) + among.sum(axis=1)
    shown = np.sort(np.argsort(-often, kind="stable")[:most])
    cells = np.append(shown, background)
    order = np.argsort(-among, axis=None, kind="stable")[:12]
    pairs = [(int(flat) // background, int(flat) % background) for flat in order]
    return {
        "names": [names[label] for label in shown.tolist()],
        "counts": counts[np.ix_(cells, cells)].tolist(),
        "left": background - len(shown),
        "pairs": [[names[t], names[p], int(among[t, p])] for t, p in pairs if among[t, p] > 0],
        "score": CONFIDENT,
    }


def _mean_of_classes(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, T, R) -> (T, R) over the classes of which there is something to find; nan where there is none."""
    defined = precision[~np.isnan(precision).any(axis=(1, 2))]
    return defined.mean(axis=0) if len(defined) else np.full(precision.shape[1:], np.nan)


def _thousandths(precision: NDArray[np.float64]) -> list[list[int]] | None:
    return None if np.isnan(precision).any() else (precision * 1000).round().astype(int).tolist()


def _thinned(curve: VocCurve | None) -> list[list[int]] | None:
    """[recall, precision] pairs, as many as a picture shows."""
    if curve is None:
        return None
    hits = len(curve.recall)
    rows = np.unique(np.linspace(0, hits - 1, min(hits, _CURVE_POINTS)).round().astype(int)) if hits else np.arange(0)
    return (np.stack([curve.recall, curve.precision], axis=1)[rows] * 1000).round().astype(int).tolist()


def _calibration(found: Calibration) -> dict[str, Any]:
    return {
        "counts": found.counts.tolist(),
        "scores": _plain(found.scores),
        "rates": _plain(found.hit_rates),
        "error": found.error,
    }


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else round(value, 4) for value in values.tolist()]
