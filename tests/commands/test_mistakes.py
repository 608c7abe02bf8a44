"""What a mistake gets: one message that says what, got, where and how to mend it, exit status 2, no traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detres.commands.main import main

Refused = Callable[..., str]


@pytest.fixture
def used_run(run_folder: Path, tiny: Any) -> Path:
    """The folder of a run of two steps."""
    assert main(["train_det", "--cfg", str(tiny.cfg), "--out", str(run_folder), *SHORT]) == 0
    return run_folder


SHORT = ("training.steps=2", "data.test=[]", "--device", "cpu")


# Configs.


def test_every_unknown_key_is_told_at_once_with_the_nearest(refused: Refused) -> None:
    message = refused(
        "train_det", "--cfg", "shapes_r18", "optimizer.momentun=0.8", "trainig.steps=5", "model.lr=0.1", "--dry-run"
    )
    assert len(message.splitlines()) == 3
    for wrong, right in (
        ("optimizer.momentun", "optimizer.momentum"),
        ("trainig", "training"),
        ("model.lr", "optimizer.lr"),
    ):
        assert f"{wrong} is unknown; did you mean {right}?" in message


def test_a_wrong_value_is_told_with_what_it_takes_and_where_it_stands(refused: Refused, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("# Mine.\nmodel:\n  layout: c5\noptimizer:\n  lr: fast\n")
    message = refused("train_det", "--cfg", config, "--dry-run")
    assert "mine.yaml: model.layout" in message
    assert "c4" in message
    assert "dc5" in message
    assert "(line 3)" in message
    assert "(line 5)" in message


@pytest.mark.parametrize("command", ["train_det", "visualize", "check_data"])
def test_an_unknown_config_gets_the_nearest_names(refused: Refused, command: str) -> None:
    message = refused(command, "--cfg", "coco_r101_fnp")
    assert "--cfg coco_r101_fnp: there is no config of this name" in message
    assert "did you mean coco_r101_fpn" in message


def test_a_config_file_that_is_not_there_is_named(refused: Refused, tmp_path: Path) -> None:
    assert f"--cfg {tmp_path / 'no.yaml'}: there is no such file" in refused("train_det", "--cfg", tmp_path / "no.yaml")


def test_a_run_without_a_config_is_told_where_they_are_listed(refused: Refused, tmp_path: Path) -> None:
    assert "`detres configs` lists them" in refused("train_det", "--resume", "--out", tmp_path)


def test_something_that_is_no_override_is_told_its_form(refused: Refused) -> None:
    assert "write key=value" in refused("train_det", "--cfg", "shapes_r18", "optimizer.lr")


def test_an_augmentation_that_is_mistyped_gets_the_nearest(refused: Refused, tiny: Any, tmp_path: Path) -> None:
    start = ("train_det", "--cfg", tiny.cfg, "--out", tmp_path / "run", *SHORT)
    assert "did you mean HorizontalFlip" in refused(*start, "data.augment=[{HorizontalFlop: {}}]")
    assert "Rotate.limt is unknown; did you mean limit?" in refused(*start, "data.augment=[{Rotate: {limt: 3}}]")


# Data.


def test_missing_data_are_told_where_they_were_looked_for_and_how_to_get_them(refused: Refused, tmp_path: Path) -> None:
    root = tmp_path / "absent"
    for more in ([], ["--dry-run"]):
        start = ("train_det", "--cfg", "coco_r50", "--out", tmp_path / "run")
        message = refused(*start, f"data.root={root}", *more, kind="DataError")
        assert f"looked for at {root}" in message
        assert "data.root=FOLDER" in message
        assert "detres prepare coco" in message


@pytest.mark.slow
def test_what_a_command_does_not_ask_is_refused_by_its_key(refused: Refused, trained: Path, tiny: Any) -> None:
    for command, key in (
        (("eval_det", "--weights", trained), "training.steps=5"),
        (("eval_det", "--weights", trained), "model.rpn.positive_iou=0.6"),
        (("eval_det", "--weights", trained), "data.difficult=drop"),
        (("visualize", "--weights", trained), "optimizer.lr=1.0"),
        (("visualize", "--cfg", tiny.cfg), "test.score=0.3"),
        (("visualize", "--data", tiny.voc), "model.layout=c4"),
        (("check_data", "--cfg", tiny.cfg), "training.steps=5"),
        (("check_data", "--data", tiny.voc), "test.nms=0.3"),
        (("train_det", "--cfg", tiny.cfg, "--dry-run"), "optimizer.betas=[0.5, 0.9]"),
        (("train_det", "--cfg", tiny.cfg, "--weights", trained, "--dry-run"), "model.backbone.weights=pretrained"),
    ):
        message = refused(*command, key)
        assert message.startswith(f"ConfigError: {key}: {key.partition('=')[0]} changes nothing here: "), message
        assert message.endswith("; leave it out\n")


@pytest.mark.slow
def test_a_key_without_effect_in_one_s_own_files_is_told_of_a_config_and_refused_of_data(
    refused: Refused, tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg, data = tmp_path / "mine.yaml", tmp_path / "data.yaml"
    cfg.write_text(tiny.cfg.read_text() + "test:\n  refine_nms: 0.2\n")
    assert main(["train_det", "--cfg", str(cfg), "--dry-run", "--device", "cpu"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "changes nothing" in line]
    line = 1 + cfg.read_text().splitlines().index("  refine_nms: 0.2")
    assert said == [
        f"{cfg}: test.refine_nms changes nothing here: test.refine is 0, and it counts with test.refine above 0 "
        f"(line {line})"
    ]
    data.write_text(f"format: voc\nroot: {tiny.root}\ntrain: train\nval: test\nval_fraction: 0.2\n")
    message = refused("train_det", "--cfg", tiny.cfg, "--data", data, "--dry-run")
    assert f"{data}: data.val_fraction changes nothing here" in message


@pytest.mark.slow
def test_a_split_that_the_data_have_not_is_told_with_those_they_have(refused: Refused, trained: Path) -> None:
    message = refused("eval_det", "--weights", trained, "--split", "val", kind="DataError")
    assert "no val split (it has train, test)" in message
    assert "--split test" in message


def test_a_data_file_that_is_not_there_or_mistyped_is_told(refused: Refused, tiny: Any, tmp_path: Path) -> None:
    start = ("train_det", "--cfg", tiny.cfg, "--dry-run", "--data")
    assert "no such file or folder" in refused(*start, tmp_path / "absent.yaml", kind="DataError")
    (tmp_path / "data.yaml").write_text("format: voc\ntrian: train\n")
    assert "trian is unknown; did you mean train?" in refused(*start, tmp_path / "data.yaml")


def test_strict_data_list_every_problem(refused: Refused, tiny: Any, tmp_path: Path) -> None:
    root = tmp_path / "broken"
    shutil.copytree(tiny.root, root)
    (root / "JPEGImages" / "000002.png").write_bytes(b"no image")
    (root / "JPEGImages" / "000004.png").unlink()
    message = refused(
        "train_det",
        "--cfg",
        tiny.cfg,
        f"data.root={root}",
        "data.strict=true",
        "--out",
        tmp_path / "run",
        kind="DataError",
    )
    assert "2 problems" in message
    assert "000002.png" in message
    assert "000004.png" in message


# Runs.


def test_a_folder_in_use_is_refused_and_so_is_another_config(refused: Refused, used_run: Path, tiny: Any) -> None:
    start = ("train_det", "--cfg", tiny.cfg, "--out", used_run, *SHORT)
    assert "--resume goes on with it" in refused(*start)
    message = refused(*start, "--resume", "optimizer.lr=0.5", "model.roi.pool=7", "training.log_every=7")
    assert "optimizer.lr: was 0.02, got 0.5" in message
    assert "model.roi.pool: was 4, got 7" in message
    assert "training.log_every" in message.splitlines()[-1], "what may change is listed, not shown as a difference"
    assert "training.log_every: was" not in message


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_refused_before_the_work(
    refused: Refused, trained: Path, tiny: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        for command in (
            ("train_det", "--cfg", tiny.cfg, *SHORT),
            ("eval_det", "--weights", trained),
            ("predict", "--weights", trained, tiny.pictures()[0]),
            ("visualize", "--cfg", tiny.cfg),
        ):
            assert f"{out}: this folder cannot be made" in refused(*command, "--out", out)


def test_a_batch_that_ranks_cannot_share_is_refused(
    refused: Refused, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detres.tasks.runs.sharing.world_size", lambda: 3)
    message = refused("train_det", "--cfg", tiny.cfg, "--out", tmp_path / "run", *SHORT)
    assert "training.batch=2" in message
    assert "does not split evenly over 3 ranks" in message


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_itself_and_leaves_a_good_checkpoint(
    refused: Refused, run_folder: Path, tiny: Any
) -> None:
    message = refused(
        *("train_det", "--cfg", tiny.cfg, "--out", run_folder, "--device", "cpu", "data.test=[]"),
        *("optimizer.lr=1e25", "training.clip_norm=null", "training.steps=9", "training.checkpoint_every=1"),
        kind="NonFiniteLoss",
    )
    assert "loss_" in message or "gradient" in message
    assert "(images 0000" in message
    assert "lower optimizer.lr" in message
    assert f"last good checkpoint: {run_folder}" in message
    tensors = load(run_folder / "checkpoints" / "last" / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def load(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


@pytest.mark.slow
def test_a_device_that_is_not_there_is_told(refused: Refused, tiny: Any, trained: Path, tmp_path: Path) -> None:
    for device in ("gpu", "cuda:99"):
        message = refused("train_det", "--cfg", tiny.cfg, "--out", tmp_path / "run", "--device", device)
        assert f"--device {device}" in message
        assert f"--device {device}" in refused("eval_det", "--weights", trained, "--device", device)
    assert not (tmp_path / "run").exists()


# Inputs.


@pytest.mark.slow
def test_inputs_that_are_not_there_or_no_images_are_told(
    refused: Refused, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ("predict", "--weights", trained, "--out", tmp_path / "out", "--device", "cpu")
    assert "no such file" in refused(*start, tmp_path / "absent.png", kind="DataError")
    (tmp_path / "folder").mkdir()
    assert "no images in such a folder" in refused(*start, tmp_path / "folder", kind="DataError")
    (tmp_path / "text.png").write_text("this is no image")
    assert main([*map(str, start), str(tmp_path / "text.png")]) == 2
    told = capsys.readouterr()
    assert "left out:" in told.out
    assert "text.png: this is no image that can be decoded" in told.out
    assert told.err.startswith("DataError: none of 1 inputs")


@pytest.mark.slow
@pytest.mark.parametrize("score", ["1.5", "-0.1", "nan"])
def test_a_score_out_of_range_is_told(refused: Refused, trained: Path, tiny: Any, score: str) -> None:
    picture = tiny.pictures()[0]
    assert "0 to 1" in refused("predict", "--weights", trained, picture, f"--score={score}")
    assert "0 to 1" in refused("visualize", "--weights", trained, f"--score={score}")
    assert "test.score" in refused("eval_det", "--weights", trained, f"test.score={score}")


@pytest.mark.parametrize("limit", ["0", "-3"])
def test_nothing_to_draw_is_told(refused: Refused, tiny: Any, limit: str, tmp_path: Path) -> None:
    assert "--limit" in refused("visualize", "--cfg", tiny.cfg, f"--limit={limit}", "--out", tmp_path / "out")
    assert "name a set with --cfg or --data" in refused("visualize")
    assert "name a set with --cfg or --data" in refused("check_data")


@pytest.mark.parametrize("command", ["check_data", "train_det"])
def test_an_augmentation_that_works_on_no_picture_is_told(
    refused: Refused, tiny: Any, tmp_path: Path, command: str
) -> None:
    out = ("--out", tmp_path / "out") if command == "train_det" else ()
    said = refused(command, "--cfg", tiny.cfg, "data.augment=[{Lambda: {image: x}}]", *out, kind="ConfigError")
    assert "data.augment.0: Lambda fails on a picture: TypeError: 'str' object is not callable" in said


def test_an_augmentation_that_fails_in_a_training_names_the_image(refused: Refused, tiny: Any, tmp_path: Path) -> None:
    start = ("train_det", "--cfg", tiny.cfg, "--out", tmp_path / "out", "--device", "cpu")
    said = refused(*start, "data.augment=[{RandomCrop: {height: 500, width: 500, p: 1}}]", kind="DataError")
    assert "JPEGImages/00000" in said
    assert "data.augment fails on this image of " in said


# The command line itself.


def test_a_command_that_is_not_there_is_told_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian_det"]) == 2
    message = capsys.readouterr().err
    assert "no command 'trian_det'" in message
    assert "train_det" in message


@pytest.mark.parametrize(
    "argv", [["eval_det"], ["predict", "--batch", "many"], ["convert_weights", "--from", "nowhere"]]
)
def test_options_that_are_missing_or_wrong_exit_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert "usage: detres" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "option"), [("train_det", "--weights"), ("eval_det", "--cfg"), ("eval_det", "--data")]
)
def test_an_option_given_twice_is_refused(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, option, "one", option, "two"])
    assert ended.value.code == 2
    assert f"argument {option}: it takes one, and got one and two" in capsys.readouterr().err


def test_a_run_that_is_past_the_steps_asked_for_is_left_as_it_is(
    used_run: Path, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (used_run / "config.yaml").read_bytes()
    again = ("train_det", "--cfg", str(tiny.cfg), "--out", str(used_run), "--resume", *SHORT, "training.steps=1")
    assert main([*again]) == 0
    assert "2 steps are done, and training.steps=1 asks for fewer" in capsys.readouterr().out
    assert (used_run / "config.yaml").read_bytes() == before
