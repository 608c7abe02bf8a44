import sys

import pytest

from detres.errors import ConfigError
from detres.training.logging.logger import Logger, PictureLogger
from detres.training.logging.making import ALWAYS, LOGGERS, check_logger, make_loggers

OWN = """
class Mine:
    def start(self, run): ...
    def metrics(self, kind, step, values): ...
    def finish(self): ...

class Half:
    def start(self, run): ...

def broken():
    return 1 / 0
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_loggers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_loggers", raising=False)


def kinds(names):
    return [type(logger).__name__ for logger in make_loggers(names)]


def test_every_name_of_the_table_makes_a_logger(monkeypatch):
    for package in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, package, type(sys)(package))
    for name in LOGGERS:
        assert all(isinstance(logger, Logger) for logger in make_loggers([name]))
    takes = {name for name in LOGGERS if isinstance(make_loggers([name])[-1], PictureLogger)}
    assert takes == {"tensorboard", "wandb", "mlflow"}


def test_what_others_read_is_always_written_and_each_logger_is_there_once():
    assert kinds(()) == ["MetricLog", "TextLog"]
    assert kinds(["csv", "json", "csv"]) == ["MetricLog", "TextLog", "CsvLog"]
    assert set(ALWAYS) <= LOGGERS.keys()


def test_ones_own_is_called_by_its_place(own):
    assert kinds(["own_loggers:Mine"]) == ["MetricLog", "TextLog", "Mine"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "no_such_module:X",
            r"training.logs: no_such_module:X cannot be imported: No module named 'no_such_module'",
        ),
        (
            "own_loggers:Absent",
            r"own_loggers:Absent cannot be imported: module 'own_loggers' has no attribute 'Absent'",
        ),
        (
            "own_loggers:broken",
            r"ZeroDivisionError: division by zero \(.*own_loggers.py:\d+\); mend it, or name another",
        ),
        ("own_loggers:Half", r"training.logs: own_loggers:Half: a Half is no logger, it lacks metrics, finish; see"),
    ],
)
def test_what_is_no_logger_is_told(own, name, said):
    with pytest.raises(ConfigError, match=said):
        make_loggers([name])


@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_a_package_that_is_absent_is_told_with_its_mend(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"training.logs: {package} needs .* pip install 'detres\[{package}\]', or"):
        make_loggers([package])


def test_an_object_that_is_no_logger_is_told():
    with pytest.raises(ConfigError, match=r"logs\[0\]: a str is no logger, it lacks start, metrics, finish"):
        check_logger("json", "logs[0]")
