"""Where a run begins: one rule finds its checkpoint, and nothing of the user's is replaced unasked."""

import shutil
import subprocess

import pytest
import torch

from detres.checkpoints.reading import find_checkpoint, load_checkpoint
from detres.checkpoints.saving import save_checkpoint
from detres.errors import ConfigError
from detres.training.resuming import checkpoint_to_resume, set_aside_log, settle


def save(run, step, name="last"):
    save_checkpoint(run / "checkpoints" / name, {"w": torch.ones(2)}, {"step": str(step)}, {"step": step})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_used_folder_is_refused_unless_it_is_to_go_on(tmp_path):
    assert checkpoint_to_resume(tmp_path, False) is None
    assert checkpoint_to_resume(tmp_path, True) is None
    save(tmp_path, 1)
    assert checkpoint_to_resume(tmp_path, True) == tmp_path / "checkpoints/last"
    with pytest.raises(ConfigError, match=r"has checkpoints \(last\).*--out names another folder"):
        checkpoint_to_resume(tmp_path, False)


@pytest.mark.slow
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_without_last_is_begun_by_nobody_and_its_ways_on_are_commands(tmp_path, resume):
    run = tmp_path / "my run"
    for step, name in ((4, "best"), (2, "step_00000002")):
        save(run, step, name)
    with pytest.raises(ConfigError, match=r"has checkpoints \(best, step_00000002\) but no last") as caught:
        checkpoint_to_resume(run, resume)
    ways = [line for line in str(caught.value).splitlines() if line.startswith("  ")]
    assert [way.split(":")[0] for way in ways] == ["  step_00000002 (step 2)", "  best (step 4)"]
    for way, step in zip(ways, (2, 4), strict=True):
        subprocess.run(way.split("): ")[1], shell=True, check=True)
        assert load_checkpoint(checkpoint_to_resume(run, True)).trainer["step"] == step
        shutil.rmtree(run / "checkpoints/last")


def test_a_damaged_checkpoint_is_not_offered_to_go_on_from(tmp_path):
    save(tmp_path, 4, "best")
    (tmp_path / "checkpoints/best/trainer.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match="none is whole"):
        checkpoint_to_resume(tmp_path, True)


@pytest.mark.parametrize("missing", ["model.safetensors", "trainer.pt"])
def test_a_last_that_lacks_a_file_is_still_there_and_is_not_replaced(tmp_path, missing):
    save(tmp_path, 4)
    (tmp_path / "checkpoints/last" / missing).unlink()
    assert checkpoint_to_resume(tmp_path, True) == tmp_path / "checkpoints/last"
    with pytest.raises(ConfigError, match="--resume"):
        checkpoint_to_resume(tmp_path, False)


@pytest.mark.parametrize("name", ["last", "best", "step_00000004"])
def test_what_stepped_aside_is_found_and_put_back(tmp_path, name):
    """As a kill between the two renames of a replacement leaves it."""
    for other in ("last", "best", "step_00000004"):
        save(tmp_path, 4, other)
    (tmp_path / "checkpoints" / name).rename(tmp_path / f"checkpoints/.{name}.old")
    assert load_checkpoint(find_checkpoint(tmp_path)).trainer["step"] == 4
    settle(tmp_path)
    assert names(tmp_path / "checkpoints") == ["best", "last", "step_00000004"]
    assert load_checkpoint(tmp_path / "checkpoints" / name).trainer["step"] == 4


def test_what_killed_runs_left_is_taken_away_and_nothing_else(tmp_path):
    save(tmp_path, 4)
    kept = [".lock", "notes.txt", ".mine", ".tmp", "backbone.safetensors"]
    left = [".tmpAb12Cd", ".metrics.jsonl.k2j4_x.partial", ".config.yaml.aaaa.partial", ".backbone.safetensors.4711"]
    for name in kept + left:
        (tmp_path / name).write_text("x")
    for name in (".last.old", ".best.new", ".last.new"):
        shutil.copytree(tmp_path / "checkpoints/last", tmp_path / "checkpoints" / name)
    settle(tmp_path)
    assert names(tmp_path) == sorted([*kept, "checkpoints"])
    assert names(tmp_path / "checkpoints") == ["last"]


def test_a_folder_that_is_new_is_put_in_order_as_well(tmp_path):
    settle(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_log_of_a_run_whose_checkpoints_are_gone_is_kept(tmp_path):
    assert set_aside_log(tmp_path) == 0
    for count in (2, 1):
        (tmp_path / "metrics.jsonl").write_text("{}\n" * count)
        assert set_aside_log(tmp_path) == count
        assert not (tmp_path / "metrics.jsonl").exists()
    assert (tmp_path / "metrics.before.jsonl").read_text() == "{}\n" * 3
