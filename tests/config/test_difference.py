import pytest

from detres.config.detection_schema import Config
from detres.config.difference import MAY_CHANGE, check_resumable, config_difference
from detres.config.problems import all_keys
from detres.errors import ConfigError


def test_equal_configs_do_not_differ():
    assert config_difference(Config(), Config()) == ()


def test_length_workers_and_logging_may_change():
    new = Config(training={"steps": 7, "log_every": 3, "checkpoint_every": 2, "logs": ["csv"]}, data={"workers": 9})
    assert len(config_difference(Config(), new)) == 5
    check_resumable(Config(), new, "runs/x")


def test_anything_else_is_refused_with_the_difference_shown():
    new = Config(training={"steps": 7}, optimizer={"lr": 0.5}, model={"backbone": {"name": "resnet18"}})
    with pytest.raises(ConfigError) as caught:
        check_resumable(Config(), new, "runs/x")
    message = str(caught.value)
    assert "model.backbone.name: was 'resnet50', got 'resnet18'" in message
    assert "optimizer.lr: was 0.02, got 0.5" in message
    assert "training.steps: was" not in message


def test_a_run_may_go_on_with_another_word_on_what_is_left_out():
    """It changes no step; and runs of before wrote false for what nobody had stated."""
    for old, new in ((False, None), (None, True), (True, False)):
        check_resumable(Config(data={"strict": old}), Config(data={"strict": new}), "runs/x")


def test_a_caller_may_allow_more():
    new = Config(data={"root": "elsewhere"}, optimizer={"lr": 0.3})
    with pytest.raises(ConfigError) as raised:
        check_resumable(Config(), new, "runs/x", also={"data.root"})
    assert "optimizer.lr: was" in str(raised.value)
    assert "data.root: was" not in str(raised.value)


def test_every_key_that_may_change_is_one():
    assert {".".join(key) for key in all_keys(Config)} >= MAY_CHANGE


def test_a_run_may_go_on_with_algorithms_that_repeat_or_without():
    """It changes no step but for the order of sums; from there on the run repeats, not as a whole."""
    old, new = (Config(training={"deterministic": asked}) for asked in (False, True))
    check_resumable(old, new, "runs/x")
    check_resumable(new, old, "runs/x")
