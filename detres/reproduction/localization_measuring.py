"""A row of localizers is tested as it says, once: figures are found again while weights and data are the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detres.checkpoints.reading import existing_checkpoint, find_checkpoint
from detres.checkpoints.saving import MODEL_FILE
from detres.config.loading import Layer
from detres.config.localization_schema import LocalizationConfig
from detres.files.whole import write_whole
from detres.reporter import Reporter
from detres.reproduction.localization_tables import CLASSIFIER
from detres.reproduction.planning import Plan, Run, Settings
from detres.reproduction.smoke import smoke_localization_test
from detres.tasks.localization.evaluation import evaluate_localizer
from detres.tasks.runs.evaluation_places import Asked, default_split, file_digest
from detres.tasks.runs.opened_model import open_model

_RECORD = "reproduced.json"


@dataclass(frozen=True)
class LocalizationResult:
    """metrics: as in metrics.json. trouble: why a figure is missing."""

    metrics: dict[str, Any]
    trouble: str | None = None

    def value(self, key: str) -> float | None:
        """In per cent; None for a top-5 error without a classifier."""
        found = self.metrics[key]
        return None if found is None else 100 * found


def measure_localizer_row(
    run: Run,
    plan: Plan,
    settings: Settings,
    *,
    device: str,
    reporter: Reporter,
) -> LocalizationResult:
    """The localizer of a run, with the classifier of table 3 where that has been trained."""
    assert isinstance(run.config, LocalizationConfig)
    test = smoke_localization_test(plan.row.tested) if settings.smoke else plan.row.tested
    classifier, trouble = _classifier(settings)
    split = default_split(run.config)
    keys = [text.removeprefix("test.").replace("[", "").replace("]", "") for text in test]
    folder = run.folder / "eval" / "-".join([split, *keys])
    files = [file for file in (run.last_weights, classifier) if file]
    asked = {"weights": [file_digest(file) for file in files], "root": run.config.data.root}
    if _read(folder / _RECORD) == asked:
        return LocalizationResult(_read(folder / "metrics.json"), trouble)
    reporter.say(f"{plan.row.name}: measuring {folder}")
    data = {"root": run.config.data.root, "workers": run.config.data.workers}
    asked_of_it = Asked(
        layers=[Layer("the run's data", {"data": data})],
        overrides=[*test, *([f"test.classifier={classifier}"] if classifier else [])],
        split=split,
        out=folder,
        device=device,
        reporter=reporter.without_lines(),
    )
    metrics = evaluate_localizer([open_model(run.last_weights, "localization")], asked_of_it)
    assert metrics is not None, "the only process is the main one"
    write_whole(folder / _RECORD, json.dumps(asked, indent=1) + "\n")
    return LocalizationResult(metrics, trouble)


def _classifier(settings: Settings) -> tuple[Path | None, str | None]:
    """The classifier's weights, or why there is no top-5 error."""
    run = settings.out / CLASSIFIER / "seed0"
    if existing_checkpoint(run) is None:
        return None, f"{run}: there is no classifier yet, so no top-5 error; reproduce table3 --only {CLASSIFIER}"
    return find_checkpoint(run) / MODEL_FILE, None


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
