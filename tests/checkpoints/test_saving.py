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
from safetensors.torch import save_file

from detres.checkpoints import saving as checkpoints
from detres.checkpoints.reading import existing_checkpoint, find_checkpoint, load_checkpoint, read_safetensors
from detres.checkpoints.saving import link_checkpoint, save_checkpoint, step_name
from detres.errors import UserError, WeightsError
from detres.files import patience
from detres.training.resuming import settle


def save(run, step, name="last"):
    tensors = {"w": torch.full((2, 2), float(step)).t()}
    text, trainer = {"recipe": "r", "step": str(step)}, {"step": step, "raw": {"a": torch.ones(1)}}
    save_checkpoint(run / "checkpoints" / name, tensors, text, trainer)


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


def save_and_link(run, step):
    """As a run does whose step was its best."""
    save(run, step)
    link_checkpoint(run / "checkpoints/last", run / "checkpoints/best")


@pytest.fixture
def crashing(monkeypatch):
    """Do something of which the n-th call that touches the disk is the last; whether it got there."""

    def crash(moment, act):
        countdown = [moment]

        def dying(function):
            def call(*arguments, **keywords):
                countdown[0] -= 1
                if countdown[0] == 0:
                    if function is shutil.rmtree and Path(arguments[0]).exists():
                        next(Path(arguments[0]).iterdir()).unlink()  # it dies half done
                    raise Crash
                return function(*arguments, **keywords)

            return call

        calls = [(shutil, "rmtree"), (os, "fsync"), (os, "link"), (Path, "rename"), (Path, "mkdir"), (torch, "save")]
        with monkeypatch.context() as patch:
            for owner, name in [*calls, (checkpoints, "save_file")]:
                patch.setattr(owner, name, dying(getattr(owner, name)))
            try:
                act()
            except Crash:
                return True
        return False

    return crash


@pytest.mark.parametrize("cut_before", [False, True])
def test_a_crash_at_any_operation_leaves_a_whole_checkpoint(tmp_path, crashing, cut_before):
    """Every call that touches the disk is, in turn, the last one: the old checkpoint or the new one is there.

    cut_before: an earlier crash had left the old one aside.
    """
    survivors = []
    for moment in range(1, 30):
        run = tmp_path / str(moment)
        save(run, 0)
        if cut_before:
            (run / "checkpoints/last").rename(run / "checkpoints/.last.old")
        if not crashing(moment, lambda run=run: save(run, 1)):
            break
        found = load_checkpoint(existing_checkpoint(run))
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
@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("cut_before", [(), ("best",), ("last", "best")], ids=["whole", "best aside", "both aside"])
def test_a_crash_at_any_operation_leaves_last_and_best_whole(tmp_path, crashing, monkeypatch, links, cut_before):
    """best is a link to last: while either is replaced the other stays what it was.

    cut_before: what an earlier crash had left aside.
    """
    if not links:
        monkeypatch.setattr(os, "link", full)
    survivors = []
    for moment in range(1, 60):
        run = tmp_path / str(moment)
        save_and_link(run, 0)
        for name in cut_before:
            (run / "checkpoints" / name).rename(run / f"checkpoints/.{name}.old")
        if not crashing(moment, lambda run=run: save_and_link(run, 1)):
            break
        steps = []
        for name in ("last", "best"):
            found = load_checkpoint(existing_checkpoint(run, name))
            assert found.trainer["step"] == found.tensors["w"][0, 0].item()
            steps.append(found.trainer["step"])
        survivors.append(tuple(steps))
        settle(run)
        assert [load_checkpoint(run / "checkpoints" / name).trainer["step"] for name in ("last", "best")] == steps
        save_and_link(run, 2)
        assert [load_checkpoint(run / "checkpoints" / name).trainer["step"] for name in ("last", "best")] == [2, 2]
        assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best", "last"]
    assert survivors == sorted(survivors)
    assert set(survivors) == {(0, 0), (1, 0), (1, 1)}
    assert moment >= 15


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    program = f"""
import itertools, pathlib, torch
from detres.checkpoints.saving import save_checkpoint
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


@pytest.fixture
def at_once(monkeypatch):
    """Waits that last no time; returns what a disk has to refuse to exhaust them."""
    monkeypatch.setattr(patience, "WAITS", (0.0, 0.0))
    return 3


def raising(error):
    def act(*_):
        raise error

    return act


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_disk_that_refuses_is_told_and_spares_the_old_checkpoint(tmp_path, monkeypatch, at_once):
    save(tmp_path, 1)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"last: the checkpoint cannot be written: .*No space left"):
        save(tmp_path, 2)
    assert load_checkpoint(existing_checkpoint(tmp_path)).trainer["step"] == 1
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]


def test_a_disk_that_is_full_for_a_moment_is_waited_for_and_told(tmp_path, monkeypatch, at_once):
    save(tmp_path, 1)
    write, refusals, told = torch.save, [0] * (at_once - 1), []

    def full_at_first(*arguments):
        if refusals:
            refusals.pop()
            # As torch's own writer says it.
            raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed\nframe #0: c10")
        write(*arguments)

    monkeypatch.setattr(torch, "save", full_at_first)
    save_checkpoint(tmp_path / "checkpoints/last", {"w": torch.ones(1)}, {}, {"step": 2}, tell=told.append)
    assert load_checkpoint(tmp_path / "checkpoints/last").trainer["step"] == 2
    assert len(told) == at_once - 1
    assert "the disk is full, or fails; tries again in 0 s" in told[0]
    assert "frame" not in told[0]


def test_the_words_of_another_language_for_a_full_disk_are_put_into_ours(tmp_path, monkeypatch, at_once):
    """torch checks where it stands in the file, and tells the line of its source where it does so."""
    monkeypatch.setattr(torch, "save", raising(RuntimeError("[enforce fail at inline_container.cc:672] . unexpected")))
    with pytest.raises(UserError, match=r"last: the checkpoint cannot be written: the disk is full, or fails; mend"):
        save(tmp_path, 2)


def test_a_link_that_the_disk_refuses_is_told_and_spares_the_old_one(tmp_path, monkeypatch, at_once):
    save(tmp_path, 1)
    link_checkpoint(tmp_path / "checkpoints/last", tmp_path / "checkpoints/best")
    save(tmp_path, 2)
    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"best: the checkpoint cannot be written: No space left"):
        link_checkpoint(tmp_path / "checkpoints/last", tmp_path / "checkpoints/best")
    assert load_checkpoint(tmp_path / "checkpoints/best").trainer["step"] == 1
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best", "last"]


def test_a_folder_that_may_not_be_written_is_not_waited_for(tmp_path, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "save", forbidden)
    monkeypatch.setattr(patience.time, "sleep", lambda _: pytest.fail("it waited"))
    with pytest.raises(UserError, match="Permission denied"):
        save(tmp_path, 1)


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
    with pytest.raises(WeightsError, match=r"trainer.pt: cannot be read: .*might run code") as caught:
        load_checkpoint(last)
    assert "weights_only" not in str(caught.value), "torch's advice how to run it was passed on"


def cut(data):
    return data[:-9]


def zeroed_inside(data):
    """A middle part as a bad disk leaves it; what stands at the head and the foot is sound."""
    middle = data.index(b"\x00\x00\x80?" * 500)
    return data[:middle] + bytes(400) + data[middle + 400 :]


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt"])
@pytest.mark.parametrize("harm", [cut, zeroed_inside, lambda data: bytes(len(data)), lambda data: b"", None])
def test_damage_anywhere_in_either_file_is_found_and_nothing_is_advised_that_runs_code(tmp_path, name, harm):
    ones = torch.ones(1000)
    save_checkpoint(tmp_path / "c", {"w": ones}, {"step": "3"}, {"step": 3, "momentum": ones.clone()})
    file = tmp_path / "c" / name
    file.write_bytes(harm(file.read_bytes())) if harm else file.unlink()
    with pytest.raises(WeightsError, match=f"{name}: cannot be read") as caught:
        load_checkpoint(tmp_path / "c")
    assert "weights_only" not in str(caught.value)
    assert harm is not zeroed_inside or "checksum" in str(caught.value)


def test_text_that_was_changed_is_damage_as_well(tmp_path):
    save_checkpoint(tmp_path / "c", {"w": torch.ones(3)}, {"names": "cat, dog"}, {})
    file = tmp_path / "c/model.safetensors"
    file.write_bytes(file.read_bytes().replace(b"cat, dog", b"dog, cat"))
    with pytest.raises(WeightsError, match="checksum"):
        load_checkpoint(tmp_path / "c")


def test_weights_without_a_checksum_are_read_as_ever(tmp_path):
    save_file({"w": torch.ones(3)}, tmp_path / "theirs.safetensors", {"of": "others"})
    tensors, metadata = read_safetensors(tmp_path / "theirs.safetensors")
    assert torch.equal(tensors["w"], torch.ones(3))
    assert metadata == {"of": "others"}


@pytest.mark.slow
@pytest.mark.parametrize("torn", ["model.safetensors", "trainer.pt"])
def test_a_damaged_checkpoint_names_the_whole_ones_beside_it(tmp_path, torn):
    for step, name in ((1, "step_00000001"), (2, "step_00000002"), (3, "last")):
        save(tmp_path, step, name)
    for name in ("last", "step_00000002"):
        file = tmp_path / "checkpoints" / name / torn
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(WeightsError, match=r"Whole beside it: step_00000001 \(") as caught:
        load_checkpoint(tmp_path / "checkpoints/last")
    # The way out it prints is one that works.
    command = str(caught.value).split("): ")[1]
    subprocess.run(command, shell=True, check=True)
    assert load_checkpoint(tmp_path / "checkpoints/last").trainer["step"] == 1


@pytest.mark.slow
def test_a_disk_that_refuses_the_real_writers_is_told_by_them(tmp_path, run_python):
    """A limit of the size of files, which no wait mends, is what the writers in Rust and C++ run into."""
    save(tmp_path, 1)
    program = f"""
import resource, pathlib, torch
from detres.errors import UserError
from detres.files import patience
from detres.checkpoints.saving import save_checkpoint
patience.WAITS = (0.0,)
folder = pathlib.Path({str(tmp_path)!r}) / "checkpoints/last"
large = torch.ones(100_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for tensors, trainer in (({{"w": large}}, {{}}), ({{}}, {{"w": large}})):
    try:
        save_checkpoint(folder, tensors, {{}}, trainer, tell=print)
    except UserError as error:
        print("told", error)
"""
    ended = run_python("-c", program)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("told") == 2, ended.stdout
    assert ended.stdout.count("tries again in 0 s") == 2
    assert load_checkpoint(tmp_path / "checkpoints/last").trainer["step"] == 1
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]
