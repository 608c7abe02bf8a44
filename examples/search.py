"""A search for rates with Optuna over detres.train; what evaluations show to be poor is stopped (pip install optuna).

    python examples/search.py --trials 20

The made shapes set and a ResNet-18 with FPN, for as long as such a set needs to tell rates apart: minutes a trial.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

import detres
from detres.training.interrupts import Interrupted

METRIC = "mAP50"


class Pruner:
    """A logger that asks the run to stop, as a job queue would, where Optuna sees no use in going on."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def start(self, run: detres.RunStart) -> None:
        pass  # nothing is to be made ready

    def metrics(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        if kind == "eval" and values[METRIC] is not None:
            self.trial.report(values[METRIC], step)
            if self.trial.should_prune():
                signal.raise_signal(signal.SIGTERM)  # The run ends after a checkpoint; --resume could go on with it.

    def finish(self) -> None:
        pass


def objective(trial: optuna.Trial, out: Path, overrides: list[str]) -> float:
    lr = trial.suggest_float("optimizer.lr", 1e-3, 1e-1, log=True)
    decay = trial.suggest_float("optimizer.weight_decay", 1e-6, 1e-2, log=True)
    chosen = [f"optimizer.lr={lr}", f"optimizer.weight_decay={decay}", f"training.best_metric={METRIC}"]
    config = detres.load_config("shapes_r18_fpn", [*overrides, *chosen])
    run = out / f"trial_{trial.number}"
    try:
        detres.train(config, out=run, logs=[Pruner(trial)])
    except Interrupted as stopped:
        raise optuna.TrialPruned(str(stopped)) from None
    return detres.evaluate(run, split="val")[METRIC]


def main(arguments: list[str] | None = None) -> optuna.Study:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    parser.add_argument("overrides", nargs="*", default=["training.epochs=2", "training.eval_every=25 %"])
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        study_name="rates",
        storage=f"sqlite:///{options.out / 'study.db'}",  # So that a search that was cut goes on.
        load_if_exists=True,
    )
    study.optimize(lambda trial: objective(trial, options.out, options.overrides), n_trials=options.trials)
    print(f"best {METRIC} {study.best_value:.4f} with {study.best_params}")
    return study


if __name__ == "__main__":
    main()
