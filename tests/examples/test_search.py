"""Optuna searches over short runs, and stops what it prunes; skipped where it is not installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

optuna = pytest.importorskip("optuna")

SHORT = ["training.steps=3", "training.eval_every=1", "data.shortest_side=64", "data.workers=0"]
SMALL = ["data.train=val", "data.val=test", "data.test=[]", "model.rpn.post_nms_test=20"]


@pytest.mark.slow
def test_a_search_reports_evaluations_prunes_and_goes_on(
    example: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = example("search")
    # Everything but the first trial is poor.
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number > 0)
    study = search.main(["--trials", "2", "--out", str(tmp_path), *SHORT, *SMALL])
    first, second = study.trials
    assert first.state == optuna.trial.TrialState.COMPLETE
    assert sorted(first.intermediate_values) == [1, 2, 3]
    assert 0 <= first.value <= 1
    assert second.state == optuna.trial.TrialState.PRUNED
    assert sorted(second.intermediate_values) == [1]
    assert (tmp_path / "trial_1/checkpoints/last").is_dir()
    # The study lies on the disk: a second call adds to it.
    assert len(search.main(["--trials", "1", "--out", str(tmp_path), *SHORT, *SMALL]).trials) == 3
