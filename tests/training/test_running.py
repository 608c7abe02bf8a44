import json
import os
import shutil
import signal
from itertools import count
from pathlib import Path

import pytest
import torch

from detres.checkpoints import saving
from detres.checkpoints.reading import existing_checkpoint, load_checkpoint
from detres.errors import ConfigError
from detres.files import patience
from detres.files.whole import write_whole
from detres.training import loss_scaling, run_state
from detres.training.interrupts import Interrupted


def weights_and_trainer(run):
    checkpoint = load_checkpoint(run / "checkpoints" / "last")
    return checkpoint.tensors, checkpoint.trainer


def flat(value, name=""):
    """Every leaf of nested dicts and lists, by its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if items is None:
        return {name: value}
    return {key: leaf for k, v in items for key, leaf in flat(v, f"{name}/{k}").items()}


def assert_bitwise_equal(one, other):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
        else:
            assert value == other[key], key


def lines(run, kind=None):
    read = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in read if kind is None or line["kind"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision"), [("sgd", "float32"), ("adamw", "float32"), ("sgd", "float16")])
def test_a_run_that_is_killed_and_goes_on_ends_bitwise_as_one_that_was_not(
    toy, run_toy, tmp_path, one_thread, name, precision
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    toy.train_toy(whole, name=name, precision=precision)
    # The steps from 13 to 14 are done and lost: the last checkpoint is step 12's.
    ((status, output),) = run_toy(run=cut, name=name, precision=precision, kill_at=14)
    assert status == -signal.SIGKILL, output
    assert load_checkpoint(cut / "checkpoints/last").trainer["step"] == 12
    toy.train_toy(cut, name=name, precision=precision, resume=True)
    assert_bitwise_equal(weights_and_trainer(whole), weights_and_trainer(cut))
    for one, other in zip(lines(whole, "eval"), lines(cut, "eval"), strict=True):
        assert one == other
    for one, other in zip(lines(whole, "train"), lines(cut, "train"), strict=True):
        assert (one["step"], one["loss"], one["lr"]) == (other["step"], other["loss"], other["lr"])


def test_the_scale_of_float16_goes_on_where_it_was(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(loss_scaling, "_PATIENCE", 3)
    toy.train_toy(tmp_path, steps=4, precision="float16")
    assert weights_and_trainer(tmp_path)[1]["loss_scaling"] == {"factor": 2.0**17, "finite_steps": 1}
    toy.train_toy(tmp_path, steps=6, precision="float16", resume=True)
    assert [line["loss_scale"] for line in lines(tmp_path, "train")] == [2.0**17, 2.0**17, 2.0**17, 2.0**18]
    assert "loss_scaling" not in weights_and_trainer_of(toy, tmp_path / "other")


def weights_and_trainer_of(toy, run):
    toy.train_toy(run, steps=1)
    return weights_and_trainer(run)[1]


def test_weights_averages_and_momentum_all_matter_to_a_resume(toy, tmp_path):
    toy.train_toy(tmp_path, steps=3)
    tensors, trainer = weights_and_trainer(tmp_path)
    assert not torch.equal(tensors["fc.weight"], trainer["raw"]["fc.weight"])
    assert not torch.equal(tensors["norm.running_mean"], trainer["raw"]["norm.running_mean"])
    assert trainer["optimizer"]["state"][0]["momentum_buffer"].abs().max() > 0
    assert trainer["step"] == 3


@pytest.mark.slow
def test_two_processes_with_half_the_batch_equal_one_with_the_whole(toy, run_toy, tmp_path, one_thread):
    warmup = {"name": "constant", "warmup_error": 0.99, "warmup_factor": 0.5, "warmup_window": 2}
    same = {"norm": False, "dropout": 0.0, "double": True, "steps": 5, "schedule": warmup, "log": 1}
    toy.train_toy(tmp_path / "one", accumulate=1, **same)
    for status, output in run_toy(2, run=tmp_path / "two", accumulate=2, **same):
        assert status == 0, output
    one, two = (weights_and_trainer(tmp_path / name)[0] for name in ("one", "two"))
    for name, tensor in one.items():
        assert (tensor - two[name]).norm() <= 1e-9 * tensor.norm(), name
    # Losses on the screen are means over ranks, and so is the error that ends the warm-up.
    for a, b in zip(lines(tmp_path / "one", "train"), lines(tmp_path / "two", "train"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-9)
        assert (a["lr"], a["top1_error"]) == (b["lr"], b["top1_error"])
    assert [line["lr"] for line in lines(tmp_path / "two", "train")] == [0.025, 0.025, 0.05, 0.05, 0.05]


@pytest.mark.slow
def test_ranks_stop_after_a_common_step_with_a_checkpoint_and_status_130(toy, run_toy, tmp_path):
    results = run_toy(2, run=tmp_path, steps=500, accumulate=1, interrupt_at=10)
    assert [status for status, _ in results] == [130, 130], results
    assert "interrupted by SIGTERM after step 11" in results[1][1]
    assert "interrupted by another process's signal after step 11" in results[0][1]
    assert load_checkpoint(tmp_path / "checkpoints/last").trainer["step"] == 11


@pytest.mark.slow
def test_a_run_of_which_one_rank_was_killed_goes_on_and_ends_as_one_that_was_not(toy, run_toy, tmp_path):
    same = {"accumulate": 1, "steps": 8, "checkpoint": 2}
    for status, output in run_toy(2, run=tmp_path / "whole", **same):
        assert status == 0, output
    (_, told), (killed, _) = run_toy(2, run=tmp_path / "cut", kill_at=5, kill_rank=1, **same)
    assert killed == -signal.SIGKILL
    assert "rank 1 ended without a word" in told
    for status, output in run_toy(2, run=tmp_path / "cut", resume=True, **same):
        assert status == 0, output
    assert_bitwise_equal(weights_and_trainer(tmp_path / "whole"), weights_and_trainer(tmp_path / "cut"))


@pytest.mark.slow
def test_every_rank_names_the_image_that_one_rank_choked_on(toy, run_toy, tmp_path):
    """Image 85 is in step 11's second half, so rank 1 has it; step 10 was saved, 12 is the next line."""
    for status, output in run_toy(2, run=tmp_path, accumulate=2, bad_image=85):
        assert status == 2, output
        assert "loss is nan at step 11 (images 84, 85)" in output
        assert f"last good checkpoint: {tmp_path}/checkpoints/last" in output
    saved = load_checkpoint(tmp_path / "checkpoints/last")
    assert saved.trainer["step"] == 10
    assert all(tensor.isfinite().all() for tensor in saved.tensors.values())


@pytest.mark.slow
def test_an_evaluation_that_was_cut_off_is_made_up_for(toy, run_toy, tmp_path, monkeypatch, one_thread):
    """Killed between the checkpoint of a step and its evaluation, a run evaluates that step when it goes on."""
    toy.train_toy(tmp_path / "whole", steps=10)
    toy.train_toy(tmp_path / "cut", steps=4)
    monkeypatch.setattr("detres.training.running._Keeper._evaluate_if_due", lambda self: self.state.step == 5 and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        toy.train_toy(tmp_path / "cut", steps=10, resume=True)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "cut/checkpoints/last").trainer["evaluated"] == 4
    toy.train_toy(tmp_path / "cut", steps=10, resume=True)
    assert [line["step"] for line in lines(tmp_path / "cut", "eval")] == [4, 5, 10]
    assert torch.equal(
        weights_and_trainer(tmp_path / "whole")[0]["fc.weight"], weights_and_trainer(tmp_path / "cut")[0]["fc.weight"]
    )


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_an_evaluation_is_broken_off_by_a_signal_and_made_up_for(toy, tmp_path, one_thread, decay):
    toy.train_toy(tmp_path / "whole", steps=10, ema=decay)
    with pytest.raises(Interrupted, match="SIGTERM after step 5"):
        toy.train_toy(tmp_path / "cut", steps=10, ema=decay, interrupt_at=5)
    assert [line["step"] for line in lines(tmp_path / "cut", "eval")] == []
    toy.train_toy(tmp_path / "cut", steps=10, ema=decay, resume=True)
    assert [line["step"] for line in lines(tmp_path / "cut", "eval")] == [5, 10]
    assert_bitwise_equal(weights_and_trainer(tmp_path / "whole"), weights_and_trainer(tmp_path / "cut"))


def asked_in_save(patch, number, owner, operation, save):
    """Let the process be sent a signal in the midst of its n-th save, before the operation is done."""
    begin, act = run_state.save_checkpoint, getattr(owner, operation)
    saves, in_it = count(), []

    def save_checkpoint(*arguments, **keywords):
        if next(saves) == save:
            in_it.append(True)
        begin(*arguments, **keywords)
        in_it.clear()

    def asked(*arguments, **keywords):
        if in_it:
            in_it.clear()
            os.kill(os.getpid(), number)
        return act(*arguments, **keywords)

    patch.setattr(run_state, "save_checkpoint", save_checkpoint)
    patch.setattr(owner, operation, asked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "owner", "operation"),
    [("SIGINT", saving, "save_file"), ("SIGTERM", torch, "save"), ("SIGUSR1", Path, "rename")],
)
def test_a_signal_in_the_midst_of_a_save_lets_it_be_finished(
    toy, tmp_path, monkeypatch, one_thread, name, owner, operation
):
    """The run then stops after its next step, or before the evaluation that would follow the save.

    What it is asked to in its very last save, it is done with anyway.
    """
    options = {"steps": 10, "checkpoint": 4, "evaluate": 5}
    toy.train_toy(tmp_path / "whole", **options)
    for save, step in enumerate((5, 5, 6, 9, 10, None)):
        run = tmp_path / str(save)
        with monkeypatch.context() as patch:
            asked_in_save(patch, getattr(signal, name), owner, operation, save)
            if step is None:
                assert toy.train_toy(run, **options).step == 10
            else:
                with pytest.raises(Interrupted, match=f"^interrupted by {name} after step {step}; .*last holds it"):
                    toy.train_toy(run, **options)
                assert load_checkpoint(run / "checkpoints/last").trainer["step"] == step
        assert not list((run / "checkpoints").glob(".*"))
        toy.train_toy(run, resume=True, **options)
        assert_bitwise_equal(weights_and_trainer(tmp_path / "whole"), weights_and_trainer(run))
        assert lines(run, "eval") == lines(tmp_path / "whole", "eval")
        assert [(line["step"], line["loss"]) for line in lines(run, "train")] == [
            (line["step"], line["loss"]) for line in lines(tmp_path / "whole", "train")
        ]


def test_best_is_the_checkpoint_of_the_best_evaluation(toy, tmp_path):
    finished = toy.train_toy(tmp_path)
    best = load_checkpoint(tmp_path / "checkpoints/best")
    values = {line["step"]: line["top1_error"] for line in lines(tmp_path, "eval")}
    assert finished.best.value == min(values.values())
    assert finished.best.step == best.trainer["step"] == min(values, key=lambda step: (values[step], step))
    assert best.metadata == {"recipe": "toy", "step": str(finished.best.step)}


def worse_and_worse(step):
    """Errors of evaluations every 5 steps: the best is the second, at step 10."""
    return {"top1_error": 0.5 if step == 10 else 0.6 + step / 1000}


def test_a_run_stops_early_after_so_many_evaluations_in_vain(toy, tmp_path):
    finished = toy.train_toy(tmp_path, steps=100, patience=3, evaluate=5, measure=worse_and_worse)
    assert (finished.step, finished.best.step, finished.waited) == (25, 10, 3)
    assert [line["step"] for line in lines(tmp_path, "eval")] == [5, 10, 15, 20, 25]
    assert "stops early: 3 evaluations in a row" in lines(tmp_path, "event")[-1]["message"]
    assert load_checkpoint(tmp_path / "checkpoints/last").trainer["step"] == 25
    assert load_checkpoint(tmp_path / "checkpoints/best").trainer["step"] == 10


def test_a_run_that_stopped_early_stays_so_until_its_patience_is_raised(toy, tmp_path, one_thread):
    toy.train_toy(tmp_path / "cut", steps=60, patience=3, measure=worse_and_worse)
    before = weights_and_trainer(tmp_path / "cut")
    again = toy.train_toy(tmp_path / "cut", steps=60, patience=3, resume=True, measure=worse_and_worse)
    assert (again.step, again.waited) == (25, 3)
    assert_bitwise_equal(before, weights_and_trainer(tmp_path / "cut"))
    went_on = toy.train_toy(tmp_path / "cut", steps=60, patience=5, resume=True, measure=worse_and_worse)
    assert (went_on.step, went_on.waited) == (35, 5)
    whole = toy.train_toy(tmp_path / "whole", steps=60, patience=5, measure=worse_and_worse)
    assert (whole.step, whole.best) == (went_on.step, went_on.best)
    assert_bitwise_equal(weights_and_trainer(tmp_path / "whole"), weights_and_trainer(tmp_path / "cut"))


def test_the_counter_survives_an_interruption(toy, tmp_path, one_thread):
    def interrupted(step):
        if step == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        return worse_and_worse(step)

    with pytest.raises(Interrupted):
        toy.train_toy(tmp_path, steps=60, patience=3, measure=interrupted)
    finished = toy.train_toy(tmp_path, steps=60, patience=3, resume=True, measure=worse_and_worse)
    assert (finished.step, finished.waited) == (25, 3)


def test_the_last_steps_own_evaluation_does_not_count(toy, tmp_path):
    toy.train_toy(tmp_path, steps=17, patience=3, measure=worse_and_worse)
    assert [line["step"] for line in lines(tmp_path, "eval")] == [5, 10, 15, 17]
    finished = toy.train_toy(tmp_path, steps=60, patience=3, resume=True, measure=worse_and_worse)
    assert (finished.step, finished.waited) == (25, 3)


def test_a_run_that_lost_its_patience_at_its_last_step_is_finished(toy, tmp_path):
    finished = toy.train_toy(tmp_path, steps=25, patience=3, measure=worse_and_worse)
    assert (finished.step, finished.waited) == (25, 0)


def test_a_run_begun_by_an_older_version_has_waited_for_nothing(toy, tmp_path, monkeypatch):
    toy.train_toy(tmp_path, steps=15, patience=3, measure=worse_and_worse)
    checkpoint = load_checkpoint(tmp_path / "checkpoints/last")
    older = {key: value for key, value in checkpoint.trainer.items() if key != "waited"}
    saving.save_checkpoint(tmp_path / "checkpoints/last", checkpoint.tensors, checkpoint.metadata, older)
    assert toy.train_toy(tmp_path, steps=60, patience=3, resume=True, measure=worse_and_worse).step == 30


@pytest.mark.slow
def test_all_ranks_stop_early_together(toy, run_toy, tmp_path):
    # A rate of nothing: no evaluation is better than the first.
    ended = run_toy(
        2,
        run=tmp_path,
        steps=60,
        patience=2,
        schedule={"name": "constant", "warmup_steps": 1000, "warmup_factor": 1e-9},
    )
    assert [status for status, _ in ended] == [0, 0], ended
    assert load_checkpoint(tmp_path / "checkpoints/last").trainer["step"] == 15


def test_every_kth_checkpoint_is_kept(toy, tmp_path):
    toy.train_toy(tmp_path, steps=7, keep=3)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "best",
        "last",
        "step_00000003",
        "step_00000006",
    ]
    assert load_checkpoint(tmp_path / "checkpoints/step_00000003").trainer["step"] == 3


def test_a_folder_in_use_is_refused_and_a_new_one_may_resume(toy, tmp_path):
    toy.train_toy(tmp_path, steps=2, resume=True)
    with pytest.raises(ConfigError, match="--resume goes on with it"):
        toy.train_toy(tmp_path, steps=2)


def test_a_finished_run_that_goes_on_does_nothing(toy, tmp_path):
    toy.train_toy(tmp_path, steps=2)
    before = weights_and_trainer(tmp_path)
    assert toy.train_toy(tmp_path, steps=2, resume=True).step == 2
    assert_bitwise_equal(before, weights_and_trainer(tmp_path))


def test_a_metric_that_is_not_measured_is_told_with_those_that_are(toy, tmp_path):
    with pytest.raises(ConfigError, match=r"training.best_metric=AP: .* it gave top1_error, undefined"):
        toy.train_toy(tmp_path, steps=5, best_metric="AP")
    assert existing_checkpoint(tmp_path)


def test_a_metric_that_is_undefined_makes_nothing_best(toy, tmp_path):
    assert toy.train_toy(tmp_path, steps=5, best_metric="undefined").best is None
    assert existing_checkpoint(tmp_path, "best") is None
    assert lines(tmp_path, "eval")[-1]["undefined"] is None


def test_a_best_that_was_cut_off_before_it_was_named_is_named_later(toy, tmp_path):
    toy.train_toy(tmp_path, steps=2)
    shutil.rmtree(tmp_path / "checkpoints/best")
    toy.train_toy(tmp_path, steps=2, resume=True)
    assert existing_checkpoint(tmp_path, "best")


def test_signals_are_handled_as_before_once_the_run_is_over(toy, tmp_path):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    toy.train_toy(tmp_path, steps=1)
    assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]


@pytest.fixture
def made(toy, monkeypatch):
    """The models of the runs so far, in order."""
    build, models = toy.ToyClassifier, []

    def remember(*options):
        models.append(build(*options))
        return models[-1]

    monkeypatch.setattr(toy, "ToyClassifier", remember)
    return models


@pytest.mark.parametrize("decay", [0.0, 0.5], ids=["weights", "averages"])
def test_what_finish_changes_is_saved_evaluated_and_done_once(toy, made, tmp_path, decay):
    """A model's statistics are counted anew after the last step: for the averaged weights where there are any."""
    seen = []

    def finish():
        seen.append(made[-1].fc.weight.detach().clone())
        made[-1].norm.running_mean.fill_(7.0)
        made[-1].eval()

    options = {"steps": 5, "ema": decay, "evaluate": 2, "finish": finish}
    toy.train_toy(tmp_path, **options)
    saved = load_checkpoint(tmp_path / "checkpoints/last")
    assert (saved.tensors["norm.running_mean"] == 7.0).all()
    assert torch.equal(saved.tensors["fc.weight"], seen[0]), "finish saw other weights than were saved"
    assert saved.trainer["finished"] == saved.trainer["evaluated"] == 5
    toy.train_toy(tmp_path, resume=True, **options)
    assert len(seen) == 1, "a finished run was finished again"
    toy.train_toy(tmp_path, resume=True, **options | {"steps": 6})
    assert len(seen) == 2


def test_a_run_made_shorter_is_finished_when_it_goes_on(toy, made, tmp_path):
    toy.train_toy(tmp_path, steps=4, evaluate=None)
    toy.train_toy(tmp_path, steps=4, resume=True, finish=lambda: made[-1].norm.running_mean.fill_(7.0), evaluate=None)
    assert (load_checkpoint(tmp_path / "checkpoints/last").tensors["norm.running_mean"] == 7.0).all()


def test_every_best_checkpoint_is_published_once_it_lies_there(toy, tmp_path):
    published = []

    def publish(folder):
        published.append((folder, load_checkpoint(folder).trainer["step"]))

    finished = toy.train_toy(tmp_path, publish=publish)
    assert {folder for folder, _ in published} == {tmp_path / "checkpoints" / "best"}
    steps = [step for _, step in published]
    assert steps == sorted(steps)
    assert steps[-1] == finished.best.step


def test_a_disk_that_is_full_for_a_moment_is_waited_for_by_what_is_made_of_the_best_too(toy, tmp_path, monkeypatch):
    """Its writers tell of the disk in words of their own, which is no reason to end a run."""
    monkeypatch.setattr(patience, "WAITS", (0.0, 0.0))
    replace, refusals = os.replace, [1, 1]

    def full_at_first(source, file):
        if Path(file).name == "made.txt" and refusals:
            refusals.pop()
            raise OSError(28, "No space left on device")
        replace(source, file)

    monkeypatch.setattr(os, "replace", full_at_first)
    toy.train_toy(tmp_path, steps=2, publish=lambda _: write_whole(tmp_path / "made.txt", "made"))
    assert (tmp_path / "made.txt").read_text() == "made"
    told = [line["message"] for line in lines(tmp_path, "event")]
    assert len(told) == 2
    assert f"{tmp_path}: what is made of the best checkpoint cannot be written: No space left on device" in told[0]
    assert not list(tmp_path.glob(".*partial*"))


def test_what_is_no_fault_of_the_disk_ends_a_run_at_once(toy, tmp_path):
    def publish(_):
        raise ConfigError("not so")

    with pytest.raises(ConfigError, match=r"^not so$"):
        toy.train_toy(tmp_path, steps=2, publish=publish)
