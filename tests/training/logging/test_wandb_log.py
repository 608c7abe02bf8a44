import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from detres.training.logging.logger import RunStart
from detres.training.logging.wandb_log import WandbLog

PICTURE = np.zeros((2, 3, 3), np.uint8)


@pytest.fixture
def calls(monkeypatch):
    """What a package of this name, which is none, was called with."""
    told = []

    class FakeRun:
        def __init__(self, identity):
            self.id = identity or f"id{len(told)}"

        def define_metric(self, name, **options):
            told.append(("define", name, options))

        def log(self, values):
            told.append(("log", values))

        def finish(self):
            told.append(("finish",))

    def init(**options):
        told.append(("init", options))
        return FakeRun(options["id"])

    fake = ModuleType("wandb")
    fake.init, fake.Image, fake.Settings = init, lambda rgb: ("image", rgb.shape), SimpleNamespace
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return told


def use(folder, step=0):
    log = WandbLog()
    log.start(RunStart(folder, {"training": {"steps": 9}}, steps=9, step=step))
    log.metrics("train", step + 1, {"loss": 1.0, "gradient_norm": float("nan")})
    log.metrics("eval", step + 1, {"AP": 0.5, "APs": None})
    log.metrics("event", step + 1, {"message": "a word"})
    log.picture("val/0", step + 1, PICTURE)
    log.finish()


def test_numbers_and_pictures_are_logged_over_the_step(calls, tmp_path):
    use(tmp_path)
    (_, options), defined, *logged = calls
    assert (options["project"], options["name"], options["dir"]) == ("detres", tmp_path.name, str(tmp_path))
    assert options["config"] == {"training": {"steps": 9}}
    assert options["settings"].console == "off"
    assert defined == ("define", "*", {"step_metric": "step"})
    assert logged == [
        ("log", {"step": 1, "train/loss": 1.0}),
        ("log", {"step": 1, "eval/AP": 0.5}),
        ("log", {"step": 1, "val/0": ("image", (2, 3, 3))}),
        ("finish",),
    ]


def test_a_run_that_goes_on_has_the_same_id_and_one_that_begins_anew_another(calls, tmp_path, monkeypatch):
    use(tmp_path)
    first = (tmp_path / "wandb_id.txt").read_text().strip()
    use(tmp_path, step=1)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    use(tmp_path)
    options = [call[1] for call in calls if call[0] == "init"]
    assert [each["id"] for each in options] == [None, first, None]
    assert [each["project"] for each in options] == ["detres", "detres", "mine"]
    assert (tmp_path / "wandb_id.txt").read_text().strip() != first


def test_a_run_in_the_folder_one_is_in_has_that_folders_name(calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    use(Path("."))
    assert calls[0][1]["name"] == tmp_path.name


@pytest.mark.slow
def test_the_package_itself_takes_it_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    use(tmp_path)
    first = (tmp_path / "wandb_id.txt").read_text().strip()
    use(tmp_path, step=1)
    assert (tmp_path / "wandb_id.txt").read_text().strip() == first
    written = list((tmp_path / "wandb").rglob(f"run-{first}.wandb"))
    assert len(written) in (1, 2)
    assert all(file.stat().st_size for file in written)
