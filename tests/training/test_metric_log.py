import errno
import json
import os

import pytest

from detres.errors import DetresWarning
from detres.training.loop import StepReport
from detres.training.metric_log import MetricLog, cut_back

REPORT = StepReport(1200, 0.02, {"loss_rpn_box": 0.031, "loss": 0.842}, {"top1_error": 0.31}, 1.5, 0.21, 0.01)


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_report_is_one_line_with_the_names_that_the_model_gave(tmp_path):
    log = MetricLog(tmp_path, steps=22_000)
    log.report(REPORT)
    log.report(StepReport(1201, 0.02))
    log.close()
    assert lines(tmp_path) == [
        {
            "kind": "train",
            "step": 1200,
            "lr": 0.02,
            "loss_rpn_box": 0.031,
            "loss": 0.842,
            "top1_error": 0.31,
            "gradient_norm": 1.5,
            "seconds_per_step": 0.21,
            "waiting_for_data": 0.01,
        }
    ]
    assert (tmp_path / "log.txt").read_text() == (
        "step 1200 lr 0.0200 loss 0.842 rpn_box 0.0310 top1_error 0.310 0.21 s/step eta 1:12:48\n"
    )


def test_metrics_of_any_depth_are_written_and_the_undefined_is_null(tmp_path):
    log = MetricLog(tmp_path, steps=10)
    log.evaluation(5, {"AP": 0.5, "APs": float("nan"), "per_class": {"cat": {"AP": None, "n": [1, 2]}}})
    log.event(5, "a word")
    log.close()
    assert lines(tmp_path) == [
        {"kind": "eval", "step": 5, "AP": 0.5, "APs": None, "per_class": {"cat": {"AP": None, "n": [1, 2]}}},
        {"kind": "event", "step": 5, "message": "a word"},
    ]
    assert (tmp_path / "log.txt").read_text() == "step 5 AP 0.5 APs -\nstep 5 a word\n"


def test_going_on_cuts_back_what_lies_ahead_and_what_was_torn(tmp_path):
    kinds = [("train", 3), ("train", 4), ("eval", 4), ("event", 5), ("train", 6)]
    text = "".join(json.dumps({"kind": kind, "step": step}) + "\n" for kind, step in kinds) + '{"kind": "tra'
    for step, evaluated, kept in [(4, 4, kinds[:3]), (4, 2, kinds[:2]), (9, 9, kinds), (0, 0, [])]:
        (tmp_path / "metrics.jsonl").write_text(text)
        cut_back(tmp_path / "metrics.jsonl", step, evaluated)
        assert [(line["kind"], line["step"]) for line in lines(tmp_path)] == kept


def test_a_run_that_wrote_nothing_has_nothing_to_cut(tmp_path):
    cut_back(tmp_path / "metrics.jsonl", 4, 4)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_holds_the_same_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = MetricLog(tmp_path, steps=22_000)
    log.report(REPORT)
    log.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (scalar,) = events.Scalars("train/loss_rpn_box")
    assert (scalar.step, scalar.value) == (1200, pytest.approx(0.031))


def test_a_full_disk_is_told_once_and_nothing_is_missing_once_there_is_room(tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write, full = os.write, True

    def refuse(descriptor, data):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)
    log = MetricLog(tmp_path, steps=22_000)
    with pytest.warns(DetresWarning, match=r"metrics.jsonl: cannot be written: No space left on device; the run"):
        log.report(REPORT)
    log.evaluation(1200, {"AP": 0.5})
    full = False
    log.report(REPORT)
    log.event(1201, "a word")
    log.close()
    assert [line["kind"] for line in lines(tmp_path)] == ["train", "eval", "train", "event"]
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 4
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert len(events.Scalars("train/loss_rpn_box")) == 2
    assert len(events.Scalars("eval/AP")) == 1
