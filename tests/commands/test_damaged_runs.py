"""What train says of a run folder in which something is missing or damaged: one message, and nothing is replaced."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.checkpoints.reading import load_checkpoint
from detres.commands.main import main

Train = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, tiny_classes: Any) -> Path:
    """A run of three steps, evaluated; tests take a copy."""
    run = tmp_path_factory.mktemp("begun") / "run"
    options = ["training.keep_every=3", "training.eval_every=1", "training.log_every=1"]
    assert main(["train_cls", "--cfg", str(tiny_classes.cfg), "--out", str(run), "--device", "cpu", *options]) == 0
    return run


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    shutil.copytree(begun, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def train(run: Path, tiny_classes: Any, capsys: pytest.CaptureFixture[str]) -> Train:
    """Train to step 5 in the folder of the run; the exit status, and all that was printed."""

    def train(*arguments: str, cfg: bool = True) -> tuple[int, str]:
        named = ["--cfg", str(tiny_classes.cfg), "training.keep_every=3", "training.log_every=1"] if cfg else []
        status = main(["train_cls", *named, "--out", str(run), "--device", "cpu", "training.steps=5", *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return train


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("resume", [(), ("--resume",)], ids=["anew", "resumed"])
def test_without_last_nothing_begins_and_nothing_is_replaced(train: Train, run: Path, resume: tuple[str, ...]) -> None:
    shutil.rmtree(run / "checkpoints/last")
    before = contents(run)
    status, told = train(*resume)
    assert status == 2
    assert "has checkpoints (best, step_00000003) but no last" in told
    assert f"cp -r {run}/checkpoints/best {run}/checkpoints/last" in told
    assert contents(run) == before


def test_a_last_that_had_stepped_aside_when_the_run_was_killed_is_gone_on_from(train: Train, run: Path) -> None:
    (run / "checkpoints/last").rename(run / "checkpoints/.last.old")
    status, told = train("--resume")
    assert status == 0, told
    assert load_checkpoint(run / "checkpoints/last").trainer["step"] == 5
    assert not list((run / "checkpoints").glob(".*"))


@pytest.mark.parametrize("harm", [lambda data: b"", lambda data: bytes(len(data)), lambda data: data[: len(data) // 2]])
def test_a_trainer_that_is_damaged_names_what_is_whole_and_no_code_to_run(
    train: Train, run: Path, harm: Callable[[bytes], bytes]
) -> None:
    file = run / "checkpoints/last/trainer.pt"
    file.write_bytes(harm(file.read_bytes()))
    status, told = train("--resume")
    assert status == 2
    assert f"{file}: cannot be read" in told
    assert "Whole beside it:" in told
    assert "weights_only" not in told


def test_weights_of_which_a_part_is_zeroed_are_refused_and_nothing_is_replaced(train: Train, run: Path) -> None:
    """As a bad disk leaves them: the header is sound, and so is all else of the file."""
    file = run / "checkpoints/last/model.safetensors"
    data = file.read_bytes()
    middle = len(data) // 2
    file.write_bytes(data[:middle] + bytes(5000) + data[middle + 5000 :])
    before = contents(run / "checkpoints")
    status, told = train("--resume")
    assert status == 2
    assert f"WeightsError: {file}: cannot be read" in told
    assert "its bytes are not those that were written" in told
    assert "Whole beside it: " in told
    assert f"cp -r {run}/checkpoints/step_00000003 {run}/checkpoints/last" in told
    assert contents(run / "checkpoints") == before


def test_a_config_that_is_empty_is_told_and_one_that_is_missing_too(train: Train, run: Path) -> None:
    (run / "config.yaml").write_text("")
    for cfg in (False, True):
        status, told = train("--resume", cfg=cfg)
        assert status == 2
        assert f"{run / 'config.yaml'}: it is empty" in told
        assert "remove it and say with --cfg" in told
    (run / "config.yaml").unlink()
    assert train("--resume", cfg=False)[0] == 2
    status, told = train("--resume")
    assert status == 0
    assert "config.yaml is missing, so nothing tells" in told


def test_a_config_that_is_cut_off_is_told(train: Train, run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text[: len(text) // 2])
    status, told = train("--resume", cfg=False)
    assert status == 2
    assert "is damaged; remove it" in told


def test_half_a_line_of_the_log_is_left_out(train: Train, run: Path) -> None:
    log = run / "metrics.jsonl"
    log.write_bytes(log.read_bytes() + b'{"kind": "train", "st')
    assert train("--resume")[0] == 0
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines() if '"train"' in line]
    assert steps == [1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda log: log.write_bytes(b""), "it holds no line"),
        (lambda log: log.write_bytes(bytes(log.stat().st_size)), "it holds no line"),
        (lambda log: log.write_bytes(log.read_bytes().splitlines(keepends=True)[0]), "its last line is of step 1"),
        (lambda log: log.unlink(), "it is missing"),
    ],
)
def test_a_log_that_lost_its_lines_is_told_and_gone_on_with(
    train: Train, run: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(run / "metrics.jsonl")
    status, told = train("--resume")
    assert status == 0
    (warning,) = [line for line in told.splitlines() if "is lost" in line]
    assert warning.startswith(f"warning: {run / 'metrics.jsonl'}: {said}, and step 3 was reached: what was logged")


@pytest.mark.slow
def test_a_whole_log_is_not_told_of(train: Train, run: Path) -> None:
    assert "is lost" not in train("--resume", "training.log_every=2")[1]
    assert "is lost" not in train("--resume", "training.steps=6", "training.log_every=4")[1]


@pytest.mark.slow
def test_the_log_of_a_run_whose_checkpoints_are_gone_is_kept_and_told(train: Train, run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    before = (run / "metrics.jsonl").read_bytes()
    status, told = train("--resume")
    assert status == 0
    assert "no checkpoint is left, so it begins at step 0" in told
    assert (run / "metrics.before.jsonl").read_bytes() == before
