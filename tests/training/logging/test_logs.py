import errno
import io
import json
import os
import warnings
from itertools import pairwise

import numpy as np
import pytest

from detres.errors import DetresWarning
from detres.files import whole
from detres.training.logging import report_lines
from detres.training.logging.logger import RunStart
from detres.training.logging.logs import Logs
from detres.training.logging.making import make_loggers
from detres.training.loop import StepReport

REPORT = StepReport(1200, 0.02, {"loss_rpn_box": 0.031, "loss": 0.842}, {"top1_error": 0.31}, 1.5, 0.21, 0.01, 76.2)
PICTURE = np.zeros((2, 3, 3), np.uint8)


class Recorder:
    """A logger that keeps what it was called with, and fails where it is told to."""

    def __init__(self, fails_in=(), error=None):
        self.calls, self.fails_in, self.error = [], fails_in, error or RuntimeError("no way")

    def _called(self, name, *arguments):
        self.calls.append((name, *arguments))
        if name in self.fails_in:
            raise self.error

    def start(self, run):
        self._called("start", run)

    def metrics(self, kind, step, values):
        self._called("metrics", kind, step, values)

    def finish(self):
        self._called("finish")


class Painter(Recorder):
    def picture(self, name, step, rgb):
        self._called("picture", name, step)


def names(recorder):
    return [call[0] if call[0] != "metrics" else call[1] for call in recorder.calls]


def lines(run, name="metrics.jsonl"):
    text = (run / name).read_text().splitlines()
    return [json.loads(line) for line in text] if name.endswith("jsonl") else text


def go_through(run, loggers, terminal=None):
    logs = Logs(RunStart(run, steps=22_000), [*make_loggers(()), *loggers], terminal)
    logs.report(StepReport(1199, 0.02))
    logs.report(REPORT)
    logs.evaluation(1200, {"AP": 0.5})
    logs.pictures(1200, lambda: iter([("val/0", PICTURE), ("val/1", PICTURE)]))
    logs.event(1200, "a word")
    logs.close()
    return logs


def test_a_report_is_one_line_with_the_names_that_the_model_gave(tmp_path, monkeypatch):
    monkeypatch.setattr(report_lines, "peak_memory", lambda: 5.25)
    go_through(tmp_path, ())
    assert lines(tmp_path)[0] == {
        "kind": "train",
        "step": 1200,
        "lr": 0.02,
        "loss_rpn_box": 0.031,
        "loss": 0.842,
        "top1_error": 0.31,
        "gradient_norm": 1.5,
        "seconds_per_step": 0.21,
        "waiting_for_data": 0.01,
        "images_per_second": 76.2,
        "peak_memory_gib": 5.25,
    }
    assert lines(tmp_path, "log.txt") == [
        "step 1200 lr 0.0200 loss 0.842 rpn_box 0.0310 top1_error 0.310 0.21 s/step 76.2 images/s 5.2 GiB eta 1:12:48",
        "step 1200 AP 0.5",
        "step 1200 a word",
    ]


def test_loggers_are_called_in_the_order_of_what_happens(tmp_path):
    start = RunStart(tmp_path, {"task": "toy"}, steps=9, step=3, evaluated=2)
    recorder = Painter()
    logs = Logs(start, [recorder], None)
    assert recorder.calls == [("start", start)]
    logs.close()
    whole, plain = Painter(), Recorder()
    go_through(tmp_path, [whole, plain])
    assert names(whole) == ["start", "train", "eval", "picture", "picture", "event", "finish"]
    assert whole.calls[1][3]["loss"] == 0.842
    assert whole.calls[2:5] == [
        ("metrics", "eval", 1200, {"AP": 0.5}),
        ("picture", "val/0", 1200),
        ("picture", "val/1", 1200),
    ]
    assert names(plain) == ["start", "train", "eval", "event", "finish"]


def test_nothing_is_drawn_where_nobody_takes_pictures(tmp_path):
    drawn = []
    logs = Logs(RunStart(tmp_path), [Recorder()], None)
    logs.pictures(1, lambda: drawn.append(1) or ())
    assert drawn == []
    logs.close()


@pytest.mark.parametrize("error", [RuntimeError("no way"), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("where", ["start", "metrics", "picture", "finish"])
def test_a_logger_that_fails_is_told_once_and_the_others_go_on(tmp_path, where, error):
    failing, other, screen = Painter({where}, error), Painter(), io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the screen is there to tell
        go_through(tmp_path, [failing, other], screen)
    assert names(failing)[-1] == {"metrics": "train"}.get(where, where)
    assert "finish" not in names(failing)[:-1]
    events = [line["message"] for line in lines(tmp_path) if line["kind"] == "event" and line["message"] != "a word"]
    (said,) = events
    assert said.startswith(f"the logger Painter failed in {where}: {type(error).__name__}: ")
    assert said.endswith("the run goes on without it")
    for told in (screen.getvalue(), (tmp_path / "log.txt").read_text()):
        assert told.count(said) == 1
    kinds = [name for name in names(other) if name not in ("start", "picture", "finish")]
    assert [kind for kind in kinds if kind != "event"] == ["train", "eval"]
    assert names(other).count("picture") == 2
    assert names(other)[-1] == "finish"


def test_without_a_screen_what_failed_is_a_warning(tmp_path):
    with pytest.warns(DetresWarning, match="the logger Recorder failed in start: RuntimeError: no way") as told:
        go_through(tmp_path, [Recorder({"start"})])
    assert len(told) == 1


def test_all_loggers_may_fail(tmp_path):
    with pytest.warns(DetresWarning) as told:
        go_through(tmp_path, [Recorder({"start", "metrics"}), Recorder({"metrics"}), Recorder({"finish"})])
    assert len(told) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_asks_to_end_is_heard(tmp_path, error):
    logs = Logs(RunStart(tmp_path), [Recorder({"metrics"}, error())], None)
    with pytest.raises(error):
        logs.event(1, "a word")


def test_equal_loggers_are_told_apart(tmp_path):
    class Same(Recorder):
        __hash__ = None

        def __eq__(self, other):
            return True

    one, two = Same(), Same({"metrics"})
    with pytest.warns(DetresWarning):
        go_through(tmp_path, [one, two])
    assert names(one)[-1] == "finish"
    assert names(two) == ["start", "train"]


def test_what_a_logger_does_to_its_values_is_its_own_affair(tmp_path):
    class Meddler(Recorder):
        def metrics(self, kind, step, values):
            values.clear()

    after, metrics = Recorder(), {"AP": 0.5}
    logs = Logs(RunStart(tmp_path), [Meddler(), after], None)
    logs.evaluation(1, metrics)
    assert metrics == after.calls[-1][3] == {"AP": 0.5}
    logs.close()


def test_ranks_but_the_main_one_tell_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("detres.training.logging.logs.is_main", lambda: False)
    recorder, screen = Painter(), io.StringIO()
    go_through(tmp_path, [recorder], screen)
    assert (recorder.calls, screen.getvalue(), list(tmp_path.iterdir())) == ([], "", [])


def test_what_cannot_be_drawn_is_told_once(tmp_path):
    def draw():
        yield "val/0", PICTURE
        raise ValueError("no pixels")

    painter, screen = Painter(), io.StringIO()
    logs = Logs(RunStart(tmp_path), [painter], screen)
    logs.pictures(1, draw)
    logs.pictures(2, draw)
    logs.close()
    assert [call for call in painter.calls if call[0] == "picture"] == [("picture", "val/0", 1)]
    assert screen.getvalue().count("pictures cannot be drawn: ValueError: no pixels") == 1


def test_a_screen_that_went_away_is_told_once_and_left_out(tmp_path):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.warns(DetresWarning, match="progress cannot be shown any more: Broken pipe; the run goes on") as told:
        go_through(tmp_path, [Recorder()], Gone())
    assert len(told) == 1
    assert [line["kind"] for line in lines(tmp_path)] == ["train", "event", "eval", "event"]


def test_a_full_disk_is_told_once_and_nothing_is_missing_once_there_is_room(tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write, full = os.write, True

    def refuse(descriptor, data):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)
    logs = Logs(RunStart(tmp_path, steps=22_000), make_loggers(["tensorboard"]), None)
    with pytest.warns(DetresWarning, match=r"metrics.jsonl: cannot be written: No space left on device; the run"):
        logs.report(REPORT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs.evaluation(1200, {"AP": 0.5})
    full = False
    logs.report(REPORT)
    logs.event(1201, "a word")
    logs.close()
    assert [line["kind"] for line in lines(tmp_path)] == ["train", "eval", "train", "event"]
    assert len(lines(tmp_path, "log.txt")) == 4
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert len(events.Scalars("train/loss_rpn_box")) == 2
    assert len(events.Scalars("eval/AP")) == 1


def test_lines_that_cannot_be_cut_back_end_the_run(tmp_path, monkeypatch):
    """As before there were loggers: the run's record must not hold two pasts."""
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 9}\n')

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(whole.tempfile, "mkstemp", full)
    with pytest.raises(Exception, match=r"metrics.jsonl: cannot be written: No space left on device"):
        Logs(RunStart(tmp_path, step=3), make_loggers(()), None)


def test_a_run_hands_its_steps_to_loggers_in_order_and_finishes_them_however_it_ends(toy, tmp_path):
    recorder = Recorder()
    toy.train_toy(tmp_path, steps=5, log=2, logs=[recorder])
    steps = [call[2] for call in recorder.calls if call[0] == "metrics"]
    assert all(one <= other for one, other in pairwise(steps))
    assert names(recorder) == ["start", "train", "train", "train", "eval", "finish"]
    again = Recorder()
    toy.train_toy(tmp_path, steps=8, log=2, logs=[again], resume=True)
    (_, start), *_ = again.calls
    assert (start.folder, start.steps, start.step, start.evaluated) == (tmp_path, 8, 5, 5)
    assert names(again)[1] == "event"
    broken = Recorder()
    with pytest.raises(ZeroDivisionError):
        toy.train_toy(tmp_path, steps=10, logs=[broken], resume=True, evaluate=5, finish=lambda: 1 / 0)
    assert names(broken)[-1] == "finish"
