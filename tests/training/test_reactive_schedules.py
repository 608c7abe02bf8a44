import json
import signal

import pytest
import torch

from detres.checkpoints.reading import load_checkpoint
from detres.errors import ConfigError
from detres.training import schedules
from detres.training.reactive_schedules import PlateauSchedule, WarmupUntil
from detres.training.schedule_building import build_schedule
from detres.training.schedules import Rates, constant, cosine

CONSTANT = constant(Rates(0.1, 100))


def rates_after(schedule, errors, metric="top1_error"):
    """The rate after each evaluation."""
    rates = []
    for place, error in enumerate(errors):
        schedule.observe(place, {metric: error})
        rates.append(schedule.lr_at(place))
    return rates


def measure(schedule, *errors):
    for step, error in enumerate(errors, start=1):
        schedule.measure(step, [{"top1_error": torch.tensor(error)}])


def test_the_rate_falls_after_patience_evaluations_without_a_better_one():
    schedule = PlateauSchedule(CONSTANT, gamma=0.1, patience=3, threshold=0.01)
    # 0.395 beats 0.40 by less than the threshold; 0.38 beats it by more, and the wait begins anew.
    errors = [0.50, 0.40, 0.395, 0.41, 0.38, 0.39, 0.375, 0.38, 0.30, 0.31, 0.30, 0.295]
    expected = [0.1] * 7 + [0.01] * 4 + [0.001]
    assert rates_after(schedule, errors) == pytest.approx(expected)


def test_the_wait_begins_anew_after_a_fall():
    schedule = PlateauSchedule(CONSTANT, gamma=0.5, patience=2, threshold=0.0)
    assert rates_after(schedule, [0.3] * 6) == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])


def test_the_rate_stops_at_its_least_share():
    schedule = PlateauSchedule(CONSTANT, gamma=0.1, patience=1, end_factor=0.05)
    assert rates_after(schedule, [0.3] * 4) == pytest.approx([0.1, 0.01, 0.005, 0.005])


def test_a_metric_that_shall_rise_is_watched_the_other_way_round():
    schedule = PlateauSchedule(CONSTANT, "AP", gamma=0.1, patience=1, threshold=0.0)
    assert rates_after(schedule, [0.1, 0.2, 0.3, 0.2], "AP") == pytest.approx([0.1, 0.1, 0.1, 0.01])


def test_an_undefined_metric_says_nothing():
    schedule = PlateauSchedule(CONSTANT, patience=1)
    assert rates_after(schedule, [None, 0.3, None, None]) == [0.1] * 4


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_rates_are_those_of_torchs_plateau_scheduler(patience):
    """torch waits for one evaluation more than its patience."""
    generator = torch.Generator().manual_seed(patience)
    errors = (torch.rand(60, generator=generator) * 0.2 + torch.linspace(0.5, 0.2, 60)).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience - 1, threshold=0.02, threshold_mode="abs", eps=0.0
    )
    ours = PlateauSchedule(CONSTANT, gamma=0.5, patience=patience, threshold=0.02)
    for step, error in enumerate(errors):
        theirs.step(error)
        ours.observe(step, {"top1_error": error})
        assert ours.lr_at(step) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.drops > 1


def test_the_warm_up_ends_with_the_first_window_below_the_error():
    schedule = WarmupUntil(schedules.step(Rates(0.1, 100), milestones=(7,)), 0.75, factor=0.1, window=2)
    rates = [schedule.lr_at(0)]
    # Means of the windows: 0.875; 0.75, which is not below; 0.625. A single error below is not enough.
    for step, error in enumerate([0.875, 0.875, 0.5, 1.0, 0.75, 0.5, 1.0, 1.0], start=1):
        schedule.measure(step, [{"top1_error": torch.tensor(error)}])
        rates.append(schedule.lr_at(step))
    assert rates == pytest.approx([0.01] * 6 + [0.1] + [0.01] * 2)
    assert schedule.over


def test_a_steps_error_is_the_mean_over_its_micro_batches():
    schedule = WarmupUntil(CONSTANT, 0.5, factor=0.1, window=1)
    schedule.measure(1, [{"top1_error": torch.tensor(0.2)}, {"top1_error": torch.tensor(0.9)}])
    assert not schedule.over
    schedule.measure(2, [{"top1_error": torch.tensor(0.2)}, {"top1_error": torch.tensor(0.7)}])
    assert schedule.over


def test_a_window_goes_on_bitwise_where_it_was_saved():
    errors = torch.rand(9, generator=torch.Generator().manual_seed(0)).tolist()
    whole, saved, resumed = (WarmupUntil(CONSTANT, 0.0, factor=0.1, window=20) for _ in range(3))
    measure(whole, *errors)
    measure(saved, *errors[:4])
    resumed.load_state_dict(json.loads(json.dumps(saved.state_dict())))
    measure(resumed, *errors[4:])
    assert resumed.state_dict() == whole.state_dict()
    assert whole.state_dict()["steps"] == 9


def test_a_model_that_measures_no_error_cannot_end_a_warm_up():
    with pytest.raises(ConfigError, match="top1_error of the training batches"):
        WarmupUntil(CONSTANT, 0.8, factor=0.1).measure(1, [{}])


def test_a_section_becomes_the_schedules_it_names():
    plain = build_schedule(0.1, 10, name="cosine", warmup_steps=3)
    expected = cosine(Rates(0.1, 10, warmup_steps=3))
    assert [plain.lr_at(done) for done in range(10)] == [expected.lr_at(done) for done in range(10)]
    both = build_schedule(0.1, 10, name="plateau", gamma=0.5, patience=1, warmup_error=0.8, warmup_factor=0.1)
    assert both.lr_at(0) == pytest.approx(0.01)
    measure(both, *[0.5] * 50)
    assert both.lr_at(50) == 0.1
    for step in (1, 2):
        both.observe(step, {"top1_error": 0.4})
    assert both.lr_at(60) == 0.05
    again = build_schedule(0.1, 10, name="plateau", gamma=0.5, patience=1, warmup_error=0.8, warmup_factor=0.1)
    again.load_state_dict(both.state_dict())
    assert again.lr_at(60) == 0.05
    assert again.state_dict() == both.state_dict()


REACTIVE = {
    "name": "plateau",
    "gamma": 0.5,
    "patience": 1,
    "threshold": 0.2,
    "warmup_error": 0.99,
    "warmup_factor": 0.1,
    "warmup_window": 5,
}


@pytest.mark.slow
def test_a_killed_run_goes_on_bitwise_amid_a_window_whatever_is_logged(toy, run_toy, tmp_path, one_thread):
    """Killed at step 14 after the checkpoint at 12: a window of five steps began at 10."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    schedule = {**REACTIVE, "warmup_error": 0.3}
    toy.train_toy(whole, name="lamb", schedule=schedule)
    ((status, output),) = run_toy(run=cut, name="lamb", schedule=schedule, log=7, kill_at=14)
    assert status == -signal.SIGKILL, output
    state = load_checkpoint(cut / "checkpoints/last").trainer["schedule"]
    assert state["steps"] == 2
    assert state["sum"] > 0
    toy.train_toy(cut, name="lamb", schedule=schedule, log=1, resume=True)
    one, other = (load_checkpoint(run / "checkpoints/last") for run in (whole, cut))
    assert one.trainer["schedule"] == other.trainer["schedule"]
    assert one.trainer["schedule"]["schedule"]["drops"] > 0
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
    states = [checkpoint.trainer["optimizer"] for checkpoint in (one, other)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    for name, state in states[0]["state"].items():
        for key, value in state.items():
            assert torch.equal(value, states[1]["state"][name][key])
