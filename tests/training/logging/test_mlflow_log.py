import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from detres.training.logging.logger import RunStart
from detres.training.logging.mlflow_log import MlflowLog

PICTURE = np.zeros((2, 3, 3), np.uint8)
CONFIG = {"training": {"steps": 9, "long": "x" * 9000}, "many": {f"key{i}": i for i in range(150)}}


class FakeClient:
    """Keeps what it was called with; of all clients, as a server would."""

    calls: list = []  # noqa: RUF012

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.calls.append((name, arguments, options))
            if name == "get_experiment_by_name":
                return None if len(self.calls) < 2 else SimpleNamespace(experiment_id="7")
            if name == "create_run":
                return SimpleNamespace(info=SimpleNamespace(run_id=f"id{len(self.calls)}"))
            return "7"

        return call


@pytest.fixture
def calls(monkeypatch):
    fake = ModuleType("mlflow")
    fake.MlflowClient = FakeClient
    fake.entities = SimpleNamespace(Metric=lambda *a: a[:2] + a[3:], Param=lambda *a: a)
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setattr(FakeClient, "calls", [])
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return FakeClient.calls


def use(folder, step=0):
    log = MlflowLog()
    log.start(RunStart(folder, CONFIG, steps=9, step=step))
    log.metrics("train", step + 1, {"loss": 1.0, "gradient_norm": float("nan")})
    log.metrics("eval", step + 1, {"AP": 0.5, "APs": None})
    log.metrics("event", step + 1, {"message": "a word"})
    log.picture("val/0", step + 1, PICTURE)
    log.finish()
    return (folder / "mlflow_id.txt").read_text().strip()


def test_the_config_the_numbers_and_pictures_are_logged(calls, tmp_path):
    run = use(tmp_path)
    params = [option["params"] for name, _, option in calls if name == "log_batch" and "params" in option]
    assert [len(each) for each in params] == [100, 52]
    assert ("training.steps", "9") in params[0]
    assert max(len(value) for each in params for _, value in each) == 500
    metrics = [option["metrics"] for name, _, option in calls if name == "log_batch" and "metrics" in option]
    assert metrics == [[("train/loss", 1.0, 1)], [("eval/AP", 0.5, 1)]]
    assert [(arguments[0], option) for name, arguments, option in calls if name == "log_image"] == [
        (run, {"key": "val/0", "step": 1})
    ]
    assert calls[:2] == [
        ("get_experiment_by_name", ("detres",), {}),
        ("create_experiment", ("detres",), {}),
    ]
    assert calls[-1] == ("set_terminated", (run,), {})


def test_a_run_that_goes_on_is_the_same_and_one_that_begins_anew_another(calls, tmp_path):
    first = use(tmp_path)
    assert use(tmp_path, step=1) == first
    assert [call for call in calls if call[0] == "update_run"] == [("update_run", (first,), {"status": "RUNNING"})]
    assert use(tmp_path) != first
    assert len([call for call in calls if call[0] == "create_run"]) == 2
    assert len([call for call in calls if call[0] == "create_experiment"]) == 1


def test_a_run_in_the_folder_one_is_in_has_that_folders_name(calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    use(Path("."))
    assert [option["run_name"] for name, _, option in calls if name == "create_run"] == [tmp_path.name]


@pytest.mark.slow
def test_the_package_itself_takes_it_into_a_local_store(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "tried")
    run = use(tmp_path)
    assert use(tmp_path, step=1) == run
    client = mlflow.MlflowClient()
    kept = client.get_run(run)
    assert kept.info.status == "FINISHED"
    assert kept.data.params["training.steps"] == "9"
    assert [(one.step, one.value) for one in client.get_metric_history(run, "train/loss")] == [(1, 1.0), (2, 1.0)]
    assert any("val" in one.path for one in client.list_artifacts(run, "images"))
