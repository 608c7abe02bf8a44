import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from detres.errors import ConfigError, UserError, WeightsError
from detres.training import checkpoints
from detres.training.checkpoints import (
    checkpoint_to_resume,
    existing_checkpoint,
    find_checkpoint,
    link_checkpoint,
    load_checkpoint,
    save_checkpoint,
    step_name,
)


def save(run, step, name="last"):
    tensors = {"w": torch.full((2, 2), float(step)).t()}
    save_checkpoint(run / "checkpoints" / name, tensors, {"recipe": "r"}, {"step": step, "raw": {"a": torch.ones(1)}})


def test_what_is_saved_is_loaded(tmp_path):
    weights = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "c", {"w": weights}, {"k": "v"}, {"step": 3, "nested": [{"x": None}, 0.1]})
    checkpoint = load_checkpoint(tmp_path / "c")
    assert torch.equal(checkpoint.tensors["w"], weights)
    assert checkpoint.metadata == {"k": "v"}
    assert checkpoint.trainer == {"step": 3, "nested": [{"x": None}, 0.1]}
    assert (tmp_path / "c/model.safetensors").stat().st_mode & 0o777 == 0o644, "others may read what was trained"


class Crash(BaseException):
    """The process ends here, and nothing after this line runs."""


@pytest.mark.parametrize("cut_before", [False, True])
def test_a_crash_at_any_operation_leaves_a_whole_checkpoint(tmp_path, monkeypatch, cut_before):
    """Every call that touches the disk is, in turn, the last one: the old checkpoint or the new one is there.

    cut_before: an earlier crash had left the old one aside.
    """
    countdown = [0]

    def dying(function):
        def call(*arguments, **keywords):
            countdown[0] -= 1
            if countdown[0] == 0:
                if function is shutil.rmtree and Path(arguments[0]).exists():
                    next(Path(arguments[0]).iterdir()).unlink()  # it dies half done
                raise Crash
            return function(*arguments, **keywords)

        return call

    calls = [(shutil, "rmtree"), (os, "fsync"), (Path, "rename"), (Path, "mkdir"), (torch, "save")]
    survivors = []
    for moment in range(1, 30):
        run = tmp_path / str(moment)
        save(run, 0)
        if cut_before:
            (run / "checkpoints/last").rename(run / "checkpoints/.last.old")
        with monkeypatch.context() as patch:
            for owner, name in [*calls, (checkpoints, "save_file")]:
                patch.setattr(owner, name, dying(getattr(owner, name)))
            countdown[0] = moment
            try:
                save(run, 1)
            except Crash:
                found = load_checkpoint(existing_checkpoint(run))
            else:
                break
        assert found.trainer["step"] == found.tensors["w"][0, 0].item()
        survivors.append(found.trainer["step"])
        save(run, 2)
        assert load_checkpoint(existing_checkpoint(run)).trainer["step"] == 2
        assert [path.name for path in (run / "checkpoints").iterdir()] == ["last"]
    # The order is one of old ones, then new ones, and all operations were tried.
    assert survivors == sorted(survivors)
    assert set(survivors) == {0, 1}
    assert moment >= 10


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    program = f"""
import itertools, pathlib, torch
from detres.training.checkpoints import save_checkpoint
print("ready", flush=True)
for step in itertools.count():
    save_checkpoint(pathlib.Path({str(tmp_path)!r}) / "checkpoints/last", {{"w": torch.full((300, 300), float(step))}},
                    {{"step": str(step)}}, {{"step": step}})
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for attempt in range(4):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
        process.stdout.readline()
        time.sleep(0.1 + 0.0137 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        checkpoint = load_checkpoint(existing_checkpoint(tmp_path))
        assert (checkpoint.tensors["w"] == checkpoint.trainer["step"]).all()


def test_a_disk_that_refuses_is_told_and_spares_the_old_checkpoint(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"last: the checkpoint cannot be written: .*No space left"):
        save(tmp_path, 2)
    assert load_checkpoint(existing_checkpoint(tmp_path)).trainer["step"] == 1
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]


def test_a_link_stays_what_it_was_when_last_goes_on(tmp_path):
    save(tmp_path, 1)
    link_checkpoint(tmp_path / "checkpoints/last", tmp_path / "checkpoints/best")
    save(tmp_path, 2)
    assert load_checkpoint(tmp_path / "checkpoints/best").trainer["step"] == 1
    link_checkpoint(tmp_path / "checkpoints/last", tmp_path / "checkpoints/best")
    assert load_checkpoint(tmp_path / "checkpoints/best").trainer["step"] == 2


def test_links_are_copies_where_the_file_system_has_none(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    save(tmp_path, 1)
    link_checkpoint(tmp_path / "checkpoints/last", tmp_path / "checkpoints/best")
    assert load_checkpoint(tmp_path / "checkpoints/best").trainer["step"] == 1


def test_a_run_is_judged_by_its_best_else_its_last(tmp_path):
    save(tmp_path, 1)
    assert find_checkpoint(tmp_path).name == "last"
    save(tmp_path, 1, "best")
    assert find_checkpoint(tmp_path).name == "best"
    assert find_checkpoint(tmp_path / "checkpoints/last").name == "last"
    with pytest.raises(WeightsError, match="there is no checkpoint here"):
        find_checkpoint(tmp_path / "nothing")


def test_a_used_folder_is_refused_unless_it_is_to_go_on(tmp_path):
    assert checkpoint_to_resume(tmp_path, False) is None
    assert checkpoint_to_resume(tmp_path, True) is None
    save(tmp_path, 1)
    assert checkpoint_to_resume(tmp_path, True) == tmp_path / "checkpoints/last"
    with pytest.raises(ConfigError, match="--out names another folder"):
        checkpoint_to_resume(tmp_path, False)


def test_steps_sort_by_name():
    assert step_name(1200) == "step_00001200"


def test_files_that_are_none_are_told(tmp_path):
    save(tmp_path, 1)
    last = tmp_path / "checkpoints/last"
    (last / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        load_checkpoint(last)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    save(tmp_path, 1)
    last = tmp_path / "checkpoints/last"
    torch.save({"step": Path("x"), "f": os.system}, last / "trainer.pt", pickle_module=pickle)
    with pytest.raises(WeightsError, match=r"trainer.pt: cannot be read"):
        load_checkpoint(last)


@pytest.mark.parametrize("torn", ["model.safetensors", "trainer.pt"])
def test_a_damaged_checkpoint_names_the_whole_ones_beside_it(tmp_path, torn):
    for step, name in ((1, "step_00000001"), (2, "step_00000002"), (3, "last")):
        save(tmp_path, step, name)
    for name in ("last", "step_00000002"):
        file = tmp_path / "checkpoints" / name / torn
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(WeightsError, match=r"whole beside it: step_00000001 \(") as caught:
        load_checkpoint(tmp_path / "checkpoints/last")
    # The way out it prints is one that works.
    command = str(caught.value).split("--resume: ")[1].rstrip(")")
    subprocess.run(command, shell=True, check=True)
    assert load_checkpoint(tmp_path / "checkpoints/last").trainer["step"] == 1
