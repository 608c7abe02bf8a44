"""Commands whose disk takes no more than so many bytes of a file: one message, nothing half-written."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from detres.checkpoints.reading import load_checkpoint
from detres.commands.main import main
from detres.errors import ConfigError, UserError
from detres.files.whole import whole_file
from detres.tasks.runs.output_folders import make_folder

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="the system has no limits of files")


@contextmanager
def _files_of(most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def files_of() -> Callable[[int], AbstractContextManager[None]]:
    """In it, no file may have more bytes: what a full disk is to a program."""
    return _files_of


def assert_refused(capsys, status: int, file: Path) -> None:
    """One message that names the file, which is not there, nor is anything of it."""
    told = capsys.readouterr().err.strip().splitlines()
    assert status == 2, told
    assert len(told) == 1, told
    assert told[0].startswith("UserError: ")
    assert f"{file}: cannot be written: " in told[0]
    assert not file.exists()
    assert not list(file.parent.glob(".*partial*"))


@pytest.mark.slow
def test_predictions(trained, tiny, tmp_path, capsys, files_of) -> None:
    arguments = ["predict", "--weights", str(trained), str(tiny.pictures()[0]), "--out", str(tmp_path)]
    with files_of(20):
        status = main([*arguments, "--no-images", "--score", "0", "--device", "cpu"])
    assert_refused(capsys, status, tmp_path / "predictions.jsonl")


@pytest.mark.slow
def test_pictures(trained, tiny, tmp_path, capsys, files_of) -> None:
    arguments = ["predict", "--weights", str(trained), str(tiny.pictures()[0]), "--out", str(tmp_path)]
    with files_of(500):
        status = main([*arguments, "--score", "1", "--device", "cpu"])
    assert_refused(capsys, status, tmp_path / f"{tiny.pictures()[0].stem}.jpg")
    assert not (tmp_path / "predictions.jsonl").exists()


def test_cleaned_annotations(tiny, tmp_path, capsys, files_of) -> None:
    with files_of(100):
        status = main(["check_data", "--data", str(tiny.coco), "--fix", str(tmp_path / "fixed")])
    assert_refused(capsys, status, tmp_path / "fixed" / "train.json")


@pytest.mark.slow
def test_weights_of_ours(trained, tmp_path, capsys, files_of) -> None:
    from detres.backbones.weights.files import write_tensors

    with files_of(1000), pytest.raises(UserError, match=r"w.safetensors: cannot be written: File too large"):
        write_tensors(tmp_path / "w.safetensors", {"a": torch.zeros(10_000)}, {})
    assert list(tmp_path.iterdir()) == []


def test_weights_of_others(tmp_path, files_of) -> None:
    with (
        files_of(1000),
        pytest.raises(UserError, match=r"w.pth: cannot be written"),
        whole_file(tmp_path / "w.pth") as stream,
    ):
        torch.save({"a": torch.zeros(1_000_000)}, stream)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_picture_of_an_analysis(tmp_path, capsys, files_of) -> None:
    out = tmp_path / "net.png"
    run = tmp_path / "run"
    run.mkdir()
    lines = [{"kind": "train", "step": step, "loss": 1.0, "lr": 0.1} for step in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with files_of(200):
        status = main(["analyze", "training", str(run), "--out", str(out)])
    assert_refused(capsys, status, out)


def test_a_run_goes_on_where_its_logs_cannot(tiny_classes, tmp_path, capsys, monkeypatch) -> None:
    """The checkpoint is written by others; here the logs alone have no room."""
    from detres.training.logging.waiting_file import WaitingFile

    def refuse(self, data: bytes) -> None:
        self.error = OSError(28, "No space left on device")

    monkeypatch.setattr(WaitingFile, "write", refuse)
    assert main(["train_cls", "--cfg", str(tiny_classes.cfg), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert told.err.count("cannot be written: No space left on device; the run goes on") == 1
    assert "finished 3 steps" in told.out


@pytest.mark.slow
@pytest.mark.parametrize("most", [200, 500_000])
def test_a_training_whose_files_find_no_room_is_one_message_and_leaves_no_half(
    tiny_classes, tmp_path, capsys, files_of, monkeypatch, most
) -> None:
    """What has no room: the first file of all, or the checkpoint, which has about a megabyte."""
    monkeypatch.setattr("detres.files.patience.WAITS", ())
    run = tmp_path / "run"
    with files_of(most):
        status = main(["train_cls", "--cfg", str(tiny_classes.cfg), "--out", str(run), "--device", "cpu"])
    told = capsys.readouterr().err.strip().splitlines()
    assert status == 2, told
    assert len(told) == 1, told
    assert told[0].startswith("UserError: ")
    assert " cannot be written: " in told[0]
    left = [path.name for path in run.rglob("*") if path.is_file()]
    assert not [name for name in left if name.endswith((".safetensors", ".pt", ".partial")) or ".new" in name], left
    assert not list((run / "checkpoints").glob(".*"))
    assert main(["train_cls", "--cfg", str(tiny_classes.cfg), "--out", str(run), "--device", "cpu", "--resume"]) == 0
    assert load_checkpoint(run / "checkpoints" / "last").trainer["step"] == 3


@pytest.mark.slow
def test_a_training_whose_disk_fills_up_keeps_its_last_whole(
    tiny_classes, tmp_path, capsys, files_of, monkeypatch
) -> None:
    monkeypatch.setattr("detres.files.patience.WAITS", ())
    run = tmp_path / "run"
    train = ["train_cls", "--cfg", str(tiny_classes.cfg), "--out", str(run), "--device", "cpu"]
    assert main(train) == 0
    capsys.readouterr()
    with files_of(500_000):
        status = main([*train, "--resume", "training.steps=6"])
    told = capsys.readouterr().err.strip().splitlines()
    assert status == 2, told
    assert told[-1].startswith(f"UserError: {run}: what is made of the best checkpoint cannot be written: File too")
    assert told[-1].endswith("go on with --resume")
    assert load_checkpoint(run / "checkpoints" / "last").trainer["step"] == 3
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best", "last"]


def test_a_folder_that_is_not_ones_own_is_refused_before_the_work(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ConfigError, match="nothing can be written to this folder; mend its permission"):
        make_folder(tmp_path)


def test_a_folder_whose_name_is_no_utf_8_is_refused_before_the_work(tmp_path, capsys) -> None:
    with pytest.raises(ConfigError, match="this name is no UTF-8; name another with --out"):
        make_folder(tmp_path / "caf\udce9")


@pytest.mark.slow
def test_images_whose_names_are_no_utf_8_are_detected_on_and_drawn(trained, tiny, tmp_path, capsys) -> None:
    picture = tmp_path / "caf\udce9.png"
    try:
        picture.write_bytes(tiny.pictures()[0].read_bytes())
    except OSError:
        pytest.skip("the disk takes names in UTF-8 only")
    out = tmp_path / "out"
    assert main(["predict", "--weights", str(trained), str(picture), "--out", str(out), "--device", "cpu"]) == 0
    (line,) = (out / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line)["file"] == str(picture)
    assert (out / "caf_.jpg").exists()


def test_a_lock_that_is_not_ones_own_is_one_message(tiny_classes, tmp_path, capsys) -> None:
    (tmp_path / ".lock").mkdir()  # which nobody may open for writing, not even root
    assert main(["train_cls", "--cfg", str(tiny_classes.cfg), "--out", str(tmp_path), "--device", "cpu"]) == 2
    assert capsys.readouterr().err.startswith(f"UserError: {tmp_path / '.lock'}: cannot be written: Is a directory")


@pytest.mark.slow
def test_a_video(trained, tmp_path, capsys, files_of) -> None:
    """OpenCV writes on as if nothing were the matter."""
    clip, out = tmp_path / "clip.avi", tmp_path / "out"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (96, 64))
    for frame in np.random.default_rng(0).integers(0, 256, (12, 64, 96, 3), dtype=np.uint8):
        writer.write(frame)
    writer.release()
    command = ["predict", "--weights", str(trained), str(clip), "--out", str(out), "--device", "cpu"]
    assert main(command) == 0
    size = (out / "clip.mp4").stat().st_size
    (out / "clip.mp4").unlink()
    (out / "predictions.jsonl").unlink()
    capsys.readouterr()
    with files_of(size // 2):
        status = main(command)
    assert_refused(capsys, status, out / "clip.mp4")
    assert not (out / "predictions.jsonl").exists()
