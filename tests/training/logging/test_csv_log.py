import pytest

from detres.training.logging.csv_log import CsvLog
from detres.training.logging.logger import RunStart


@pytest.fixture
def begun(tmp_path):
    def begin(**start):
        log = CsvLog()
        log.start(RunStart(tmp_path, **start))
        return log

    return begin


def test_columns_grow_and_earlier_rows_stay(tmp_path, begun):
    log = begun()
    log.metrics("train", 1, {"lr": 0.1, "loss": 2.0})
    log.metrics("train", 2, {"lr": 0.1, "loss": float("nan")})
    log.metrics("event", 2, {"message": "a word"})
    assert (tmp_path / "metrics.csv").read_text() == "kind,step,lr,loss\ntrain,1,0.1,2.0\ntrain,2,0.1,\n"
    log.metrics("eval", 2, {"AP, all": 0.5, "APs": None, "per_class": {"cat": 1.0}, "set": "val"})
    log.metrics("train", 3, {"loss": 1.5, "lr": 0.05})
    log.finish()
    assert (tmp_path / "metrics.csv").read_text() == (
        'kind,step,lr,loss,"AP, all"\ntrain,1,0.1,2.0,\ntrain,2,0.1,,\neval,2,,,0.5\ntrain,3,0.05,1.5,\n'
    )


def test_going_on_cuts_back_what_lies_ahead_and_what_was_torn(tmp_path, begun):
    text = "kind,step,loss,AP\ntrain,1,2.0,\ntrain,2,1.0,\neval,2,,0.5\ntrain,3,0.9,\n"
    (tmp_path / "metrics.csv").write_text(text + "train,4,0.")
    log = begun(step=2, evaluated=0)
    assert (tmp_path / "metrics.csv").read_text() == "kind,step,loss,AP\ntrain,1,2.0,\ntrain,2,1.0,\n"
    log.metrics("eval", 2, {"AP": 0.25})
    log.metrics("train", 3, {"loss": 0.8})
    assert (tmp_path / "metrics.csv").read_text().splitlines()[2:] == ["train,2,1.0,", "eval,2,,0.25", "train,3,0.8,"]


def test_a_run_that_begins_anew_keeps_no_row(tmp_path, begun):
    (tmp_path / "metrics.csv").write_text("kind,step,loss\ntrain,1,2.0\n")
    log = begun()
    log.metrics("train", 1, {"loss": 3.0})
    assert (tmp_path / "metrics.csv").read_text() == "kind,step,loss\ntrain,1,3.0\n"


@pytest.mark.parametrize("text", ["", "kind,st", "no,table\n1\n", "\n\n", 'kind,step\ntrain,x\n"'])
def test_a_damaged_file_ends_nothing(tmp_path, begun, text):
    (tmp_path / "metrics.csv").write_text(text)
    log = begun(step=9, evaluated=9)
    log.metrics("train", 10, {"loss": 3.0})
    assert (tmp_path / "metrics.csv").read_text().splitlines()[-1].split(",")[-1] == "3.0"


def test_a_file_that_was_taken_away_begins_with_its_columns(tmp_path, begun):
    log = begun()
    log.metrics("train", 1, {"loss": 3.0})
    (tmp_path / "metrics.csv").unlink()
    log.metrics("train", 2, {"loss": 2.0})
    assert (tmp_path / "metrics.csv").read_text() == "kind,step,loss\ntrain,2,2.0\n"
