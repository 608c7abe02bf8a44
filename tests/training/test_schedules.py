import pytest
import torch

from detres.training.schedules import Rates, constant, cosine, cosine_decay, poly, poly_decay, step, step_decay, warmup


def test_the_papers_schedule_step_by_step():
    schedule = step(Rates(0.02, 90_000, warmup_steps=500, warmup_factor=0.001), milestones=(60_000, 80_000), gamma=0.1)
    assert schedule.lr_at(0) == pytest.approx(0.02 * 0.001)
    assert schedule.lr_at(250) == pytest.approx(0.02 * 0.5005)
    assert schedule.lr_at(500) == schedule.lr_at(59_999) == 0.02
    assert schedule.lr_at(60_000) == schedule.lr_at(79_999) == pytest.approx(0.002)
    assert schedule.lr_at(80_000) == pytest.approx(0.0002)


def test_no_warm_up_begins_at_the_full_rate():
    assert warmup(0, 0, 0.001) == 1.0


def test_curves_begin_at_one_and_end_where_they_are_told():
    assert cosine_decay(0.0, 0.1) == poly_decay(0.0, 0.9, 0.1) == 1.0
    assert cosine_decay(0.5, 0.0) == pytest.approx(0.5)
    assert cosine_decay(1.0, 0.1) == pytest.approx(0.1)
    assert poly_decay(0.75, 2.0, 0.0) == pytest.approx(1 / 16)
    assert poly(Rates(0.5, 10)).lr_at(11) == 0.0
    assert step_decay(5, (), 0.1) == 1.0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            step(Rates(0.3, 20), milestones=(4, 9), gamma=0.5),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [4, 9], 0.5),
        ),
        (cosine(Rates(0.3, 20)), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20)),
        (poly(Rates(0.3, 20), power=0.9), lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 20, 0.9)),
        (
            constant(Rates(0.3, 20, warmup_steps=7, warmup_factor=0.2)),
            lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.2, 1.0, 7),
        ),
    ],
)
def test_rates_are_those_of_torchs_schedulers(ours, theirs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = theirs(optimizer)
    for done in range(20):
        assert ours.lr_at(done) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_a_function_of_the_step_has_no_state():
    schedule = constant(Rates(0.1, 10))
    schedule.observe(5, {"AP": 0.3})
    assert schedule.state_dict() == {}
