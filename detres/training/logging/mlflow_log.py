"""MLflow, for `training.logs: [json, mlflow]`; `pip install 'detres[mlflow]'`.

Where it writes is set by MLflow's own variables: MLFLOW_TRACKING_URI (a folder, a database or a server) and
MLFLOW_EXPERIMENT_NAME.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.files.whole import write_whole
from detres.optional_package import optional_package
from detres.training.logging.logger import Kind, RunStart, finite_numbers

# What stores take: parameters at once, characters of one.
_MOST_PARAMETERS, _LONGEST_PARAMETER = 100, 500


class MlflowLog:
    """Numbers as KIND/NAME, the config as parameters, and pictures. A run that goes on goes on there, too."""

    def __init__(self) -> None:
        self._mlflow = optional_package("mlflow", where="training.logs: mlflow", otherwise="leave mlflow out")

    def start(self, run: RunStart) -> None:
        # A client, not mlflow.start_run: whoever calls detres.train may have a run of their own open.
        self._client = self._mlflow.MlflowClient()
        id_file = run.folder / "mlflow_id.txt"
        if run.step and id_file.is_file():
            self._id = id_file.read_text(encoding="utf-8").strip()
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._begin(run)
            write_whole(id_file, f"{self._id}\n")

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        now, metric = int(1000 * time.time()), self._mlflow.entities.Metric
        numbers = finite_numbers(values) if kind != "event" else {}
        if numbers:
            rows = [metric(f"{kind}/{name}", number, now, step) for name, number in numbers.items()]
            self._client.log_batch(self._id, metrics=rows)

    def picture(self, name: str, step: int, rgb: NDArray[np.uint8]) -> None:
        self._client.log_image(self._id, rgb, key=name, step=step)

    def finish(self) -> None:
        self._client.set_terminated(self._id)

    def _begin(self, run: RunStart) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "detres")
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        begun = self._client.create_run(experiment, run_name=run.folder.resolve().name).info.run_id
        parameter = self._mlflow.entities.Param
        rows = [parameter(key, str(value)[:_LONGEST_PARAMETER]) for key, value in _flat(run.config)]
        for first in range(0, len(rows), _MOST_PARAMETERS):
            self._client.log_batch(begun, params=rows[first : first + _MOST_PARAMETERS])
        return begun


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value
