"""A row of detectors is tested as it says, once: the figures are found again while weights and data are the same."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detres.config.loading import Layer
from detres.files.whole import write_whole
from detres.reporter import Reporter
from detres.reproduction.planning import Plan, Run, Settings
from detres.reproduction.smoke import smoke_detection_test
from detres.tasks.detection.evaluation import evaluate_detector
from detres.tasks.runs.evaluation_places import Asked, default_split, file_digest
from detres.tasks.runs.opened_model import open_models

_RECORD = "reproduced.json"


@dataclass(frozen=True)
class DetectionResult:
    """metrics: as in metrics.json, with `seconds_per_image` of the whole test. folder: where it lies."""

    metrics: Mapping[str, Any]
    folder: Path

    def value(self, key: str) -> float | None:
        """None where the set's annotations are not here."""
        found = self.metrics[key]
        return found if found is None or key == "seconds_per_image" else 100 * found

    @property
    def trouble(self) -> str | None:
        if self.metrics["AP50"] is not None:
            return None
        return (
            f"{self.metrics['set']} has no annotations here, so there is no figure; its evaluation server takes the "
            f"submission in {self.folder}"
        )


def measure_detectors(
    group: Sequence[Run],
    plan: Plan,
    settings: Settings,
    *,
    device: str,
    reporter: Reporter,
) -> DetectionResult:
    """The detector of a run, or those of several as an ensemble, on what the first one's config is tested on."""
    first = group[0]
    test = smoke_detection_test(plan.row.tested) if settings.smoke else plan.row.tested
    split = default_split(first.config)
    folder = _place(group, settings) / "eval" / _label(split, test)
    asked = {"weights": [file_digest(run.last_weights) for run in group], "root": first.config.data.root}
    record = _read(folder / _RECORD)
    if record.get("asked") == asked:
        return DetectionResult(_read(folder / "metrics.json") | record, folder)
    reporter.say(f"{plan.row.name}: measuring {folder}")
    started = time.perf_counter()
    asked_of_it = Asked(
        layers=[Layer("the run's data", {"data": {"root": asked["root"], "workers": first.config.data.workers}})],
        overrides=test,
        split=split,
        out=folder,
        device=device,
        reporter=reporter.without_lines(),
    )
    metrics = evaluate_detector(open_models([run.last_weights for run in group], "detection"), asked_of_it)
    assert metrics is not None, "the only process is the main one"
    record = {"asked": asked, "seconds_per_image": (time.perf_counter() - started) / metrics["images"]}
    write_whole(folder / _RECORD, json.dumps(record, indent=1) + "\n")
    return DetectionResult(metrics | record, folder)


def _place(group: Sequence[Run], settings: Settings) -> Path:
    first = group[0]
    return first.folder if len(group) == 1 else settings.out / "ensembles" / f"{len(group)}_{first.recipe.recipe}"


def _label(split: str, test: Sequence[str]) -> str:
    """Such as test-refine=1-scales=160+320; a test by the recipe is the split alone."""
    keys = [text.removeprefix("test.").strip("]").replace("[", "").replace(",", "+").replace(" ", "") for text in test]
    return "-".join([split, *keys])


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
