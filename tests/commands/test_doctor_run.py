"""`doctor RUN` reads every byte of a run's checkpoints, and says which is whole, which is used, and what to do."""

from __future__ import annotations

import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from detres.checkpoints.reading import load_checkpoint
from detres.checkpoints.saving import save_checkpoint
from detres.commands.main import main
from detres.training.resuming import checkpoint_to_resume


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    for step, name in ((2, "best"), (3, "step_00000003"), (4, "last")):
        tensors, trainer = {"w": torch.ones(1000)}, {"step": step, "momentum": torch.ones(1000)}
        save_checkpoint(run / "checkpoints" / name, tensors, {"step": str(step)}, trainer)
    groups = ("model", "data", "training", "optimizer", "schedule", "test")
    (run / "config.yaml").write_text("task: detection\n" + "".join(f"{group}: {{}}\n" for group in groups))
    (run / "metrics.jsonl").write_text('{"kind": "train", "step": 1}\n')
    return run


def zero_a_part(file: Path) -> None:
    data = file.read_bytes()
    middle = data.index(torch.ones(500).numpy().tobytes())
    file.write_bytes(data[:middle] + bytes(400) + data[middle + 400 :])


def test_a_whole_run_says_which_checkpoint_is_used_for_what(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(run)]) == 0
    told = capsys.readouterr().out
    assert "best           step 2, whole; --weights RUN takes it" in told
    assert "last           step 4, whole; --resume goes on from it" in told
    assert "step_00000003  step 3, whole\n" in told
    assert "no problems found" in told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt"])
def test_a_zeroed_part_is_found_and_the_mend_is_a_command_that_works(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    zero_a_part(run / "checkpoints/last" / name)
    assert main(["doctor", str(run)]) == 2
    told = capsys.readouterr().out
    assert "DAMAGED; --resume" in told
    assert f"PROBLEM  {run}/checkpoints/last: {name}: its bytes are not those that were written" in told
    (command,) = [line.split("): ")[1] for line in told.splitlines() if line.startswith("  step_00000003 (step 3): ")]
    subprocess.run(command, shell=True, check=True)
    assert load_checkpoint(checkpoint_to_resume(run, True)).trainer["step"] == 3


def test_a_run_without_last_is_told_how_to_go_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run / "checkpoints/last")
    zero_a_part(run / "checkpoints/best/trainer.pt")
    assert main(["doctor", str(run)]) == 2
    told = capsys.readouterr().out
    assert (
        "there is no last, from which a run goes on. Mend: give one of these, then --resume:\n  step_00000003" in told
    )
    assert "best: trainer.pt" in told
    assert "cp -r" in told
    assert f"cp -r {run}/checkpoints/best" not in told


def test_damaged_files_beside_the_checkpoints_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "config.yaml").write_text("")
    (run / "metrics.jsonl").write_text('{"kind": "train"}\n{"kind": "tr\n{"step": 3}\n{"half')
    assert main(["doctor", str(run)]) == 2
    told = capsys.readouterr().out
    assert "metrics.jsonl: 3 lines; one more is not finished" in told
    assert "metrics.jsonl: 1 lines are damaged (2)" in told
    assert "config.yaml: it is empty" in told
    assert "--cfg" in told


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "it holds no line, and step 4 was reached: what was logged up to step 4 is lost"),
        ("\0" * 60, "it holds no line, and step 4 was reached"),
        ('{"kind": "train", "step": 2}\n', "its last line is of step 2, and step 4 was reached"),
        ('{"kind": "event", "step": 2}\n{"kind": "train", "step": 3}\n', None),
        ('{"kind": "train", "step": 2}\n{"kind": "eval", "step": 4}\n', None),
        ('{"kind": "train", "step": 6}\n', None),
    ],
)
def test_a_log_that_ends_before_the_checkpoint_has_lost_lines(
    run: Path, capsys: pytest.CaptureFixture[str], log: str, said: str | None
) -> None:
    """Of every second step, the last line may be of the one before."""
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("training: {}", "training: {log_every: 2}"))
    (run / "metrics.jsonl").write_text(log)
    assert main(["doctor", str(run)]) == (2 if said else 0)
    told = capsys.readouterr().out
    if said:
        assert f"PROBLEM  {run / 'metrics.jsonl'}: {said}" in told


def test_what_has_no_checksum_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"w": torch.ones(3)}, tmp_path / "theirs.safetensors", {"step": "3"})
    assert main(["doctor", str(tmp_path / "theirs.safetensors")]) == 0
    assert "opens, but has no checksum" in capsys.readouterr().out
    (tmp_path / "theirs.safetensors").write_bytes(b"\xff" * 9)
    assert main(["doctor", str(tmp_path / "theirs.safetensors")]) == 2
    assert "PROBLEM" in capsys.readouterr().out


def test_one_checkpoint_can_be_asked_about(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(run / "checkpoints/best")]) == 0
    assert "step 2, whole" in capsys.readouterr().out


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path)]) == 2
    assert "there is no run here" in capsys.readouterr().err


def _torch(path: Path) -> None:
    torch.save({"w": torch.ones(3)}, path)


def _arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, w=np.ones(3))


@pytest.mark.parametrize(
    ("name", "write", "what"),
    [
        ("r18.pth", _torch, "what torch.save wrote"),
        ("named.safetensors", _torch, "what torch.save wrote"),
        ("r18.npz", _arrays, "an archive of numpy's arrays"),
        ("r18.pkl", lambda path: path.write_bytes(pickle.dumps({"w": 1})), "a pickle"),
        ("page.pth", lambda path: path.write_text("<!DOCTYPE html>"), "a page of the web"),
        ("page.safetensors", lambda path: path.write_text("<!DOCTYPE html>"), "a page of the web"),
        ("notes.txt", lambda path: path.write_text("some words on weights"), "no weights of any form that is read"),
    ],
)
def test_a_file_of_another_form_is_told_for_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, write: Callable[[Path], object], what: str
) -> None:
    """And not for a header of so many bytes, which is what their first eight say to whoever takes them for one."""
    write(tmp_path / name)
    assert main(["doctor", str(tmp_path / name)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"ConfigError: {tmp_path / name}: {what}")
    assert "doctor examines runs and safetensors alone" in told.err
    assert "header" not in told.err + told.out
