from __future__ import annotations

import itertools
import math

import pytest
import torch

from detres.training import loss_scaling
from detres.training.finite import NonFiniteLoss
from detres.training.loop import train_steps
from detres.training.loss_scaling import LossScaling
from detres.training.optimizers import build_optimizer
from tests.training.test_loop import CPU, batches, net, snapshot


def test_gradients_and_their_norm_are_divided_by_the_factor():
    scaling = LossScaling(CPU)
    gradients = [torch.full((2,), 3 * 65536.0), torch.full((1, 2), 4 * 65536.0)]
    norm, left_out = scaling.undo(gradients, torch.tensor(50.0**0.5 * 65536))
    assert [g.tolist() for g in gradients] == [[3, 3], [[4, 4]]]
    assert norm.item() == pytest.approx(50.0**0.5)
    assert (left_out.item(), scaling.factor.item(), scaling.finite_steps.item()) == (0, 65536, 1)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_an_overflow_leaves_the_step_out_and_halves_the_factor(bad):
    scaling = LossScaling(CPU)
    scaling.undo([torch.ones(1)], torch.tensor(1.0))
    norm, left_out = scaling.undo([torch.tensor([bad])], torch.tensor(bad))
    assert (norm.item(), left_out.item()) == (0, 1)
    assert (scaling.factor.item(), scaling.finite_steps.item()) == (32768, 0)


def test_the_factor_doubles_after_many_finite_steps_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(loss_scaling, "_PATIENCE", 3)
    scaling = LossScaling(CPU)
    factors = []
    for _ in range(30):
        scaling.undo([torch.ones(1)], torch.tensor(1.0))
        factors.append(scaling.factor.item())
    assert factors[:7] == [2.0**16, 2.0**16, 2.0**17, 2.0**17, 2.0**17, 2.0**18, 2.0**18]
    assert factors[-1] == 2.0**24


def test_what_overflows_at_a_factor_of_1_is_not_the_factors_fault():
    scaling = LossScaling(CPU)
    scaling.load_state_dict({"factor": 1.0, "finite_steps": 5})
    norm, left_out = scaling.undo([torch.tensor([math.inf])], torch.tensor(math.inf))
    assert (norm.item(), left_out.item(), scaling.factor.item()) == (math.inf, 0, 1)


def test_a_state_is_taken_up():
    one, other = LossScaling(CPU), LossScaling(CPU)
    one.undo([torch.ones(1)], torch.tensor(1.0))
    one.undo([torch.ones(1)], torch.tensor(math.inf))
    one.undo([torch.ones(1)], torch.tensor(1.0))
    other.load_state_dict(one.state_dict())
    assert other.state_dict() == {"factor": 32768.0, "finite_steps": 1}


def run(model, scaling, steps, *, name="sgd", bad_at=()):
    optimizer = build_optimizer(model, name=name, lr=0.1)
    told = {"optimizer": optimizer, "lr_at": lambda step: 0.1, "steps": steps, "device": CPU, "clip_norm": 0.5}
    return train_steps(model, batches(bad_at=bad_at), **told, scaling=scaling, accumulate=2)


@pytest.mark.parametrize("name", ["sgd", "adamw", "timm/lion"])
def test_in_float32_powers_of_two_change_nothing(name):
    plain, scaled = net(), net()
    reports = list(run(plain, None, 4, name=name))
    with_scaling = list(run(scaled, LossScaling(CPU), 4, name=name))
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(scaled.state_dict()[key], value, rtol=0, atol=1e-7)
    for one, other in zip(reports, with_scaling, strict=True):
        assert other.losses == pytest.approx(one.losses)
    assert with_scaling[-1].measurements == {"loss_scale": 65536.0}
    assert with_scaling[-1].gradient_norm == pytest.approx(reports[-1].gradient_norm)


@pytest.mark.parametrize("name", ["sgd", "timm/lion"])
def test_a_step_that_overflows_changes_nothing_and_the_run_goes_on(name):
    model, scaling = net("gradient"), LossScaling(CPU)
    reports = run(model, scaling, 6, name=name, bad_at=(4,))  # the first micro-batch of step 3
    for _ in itertools.takewhile(lambda report: report.step < 2, reports):
        pass
    (before,) = snapshot(model)
    report = next(reports)
    assert (report.step, report.measurements, report.gradient_norm) == (3, {"loss_scale": 32768.0}, 0)
    for key, value in model.state_dict().items():
        assert torch.equal(before[key], value), key
    assert [report.step for report in reports] == [4, 5, 6]
    assert not torch.equal(before["fc.weight"], model.fc.weight)


def test_gradients_that_are_never_finite_end_the_run():
    model = net("gradient")
    with pytest.raises(NonFiniteLoss, match=r"the gradient.s norm is (nan|inf) at step 17 "):
        list(run(model, LossScaling(CPU), 40, bad_at=range(100)))


def test_a_loss_that_is_not_finite_ends_the_run_at_once():
    with pytest.raises(NonFiniteLoss, match="loss_box is nan at step 2 "):
        list(run(net("loss"), LossScaling(CPU), 40, bad_at=(2,)))
