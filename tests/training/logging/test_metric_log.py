import json

from detres.training.logging.logger import RunStart
from detres.training.logging.metric_log import MetricLog, cut_back


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_metrics_of_any_depth_are_written_and_the_undefined_is_null(tmp_path):
    log = MetricLog()
    log.start(RunStart(tmp_path))
    log.metrics("eval", 5, {"AP": 0.5, "APs": float("nan"), "per_class": {"cat": {"AP": None, "n": [1, 2]}}})
    log.metrics("event", 5, {"message": "a word"})
    log.finish()
    assert lines(tmp_path) == [
        {"kind": "eval", "step": 5, "AP": 0.5, "APs": None, "per_class": {"cat": {"AP": None, "n": [1, 2]}}},
        {"kind": "event", "step": 5, "message": "a word"},
    ]


def test_going_on_cuts_back_what_lies_ahead_and_what_was_torn(tmp_path):
    kinds = [("train", 3), ("train", 4), ("eval", 4), ("event", 5), ("train", 6)]
    text = "".join(json.dumps({"kind": kind, "step": step}) + "\n" for kind, step in kinds) + '{"kind": "tra'
    for step, evaluated, kept in [(4, 4, kinds[:3]), (4, 2, kinds[:2]), (9, 9, kinds), (0, 0, [])]:
        (tmp_path / "metrics.jsonl").write_text(text)
        cut_back(RunStart(tmp_path, step=step, evaluated=evaluated))
        assert [(line["kind"], line["step"]) for line in lines(tmp_path)] == kept


def test_a_run_that_wrote_nothing_has_nothing_to_cut(tmp_path):
    cut_back(RunStart(tmp_path, step=4, evaluated=4))
    assert list(tmp_path.iterdir()) == []
