import pytest
import torch
from torch import nn

from detres.training.ema import MovingAverage

ONE = torch.tensor(1.0)


def net():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    model[2].requires_grad_(False)
    return model


def test_an_update_moves_by_one_minus_the_decay():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    ema = MovingAverage(model, 0.75)
    nn.init.constant_(model.weight, 2.0)
    ema.update(1000, ONE)
    assert ema.state_dict()["weight"].item() == 1.25


def test_early_averages_follow_faster():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    ema = MovingAverage(model, 0.9999)
    nn.init.constant_(model.weight, 11.0)
    ema.update(1, ONE)
    assert ema.state_dict()["weight"].item() == pytest.approx(11.0 * 9 / 11)


def test_what_is_trained_and_what_training_changes_is_averaged():
    assert set(MovingAverage(net(), 0.9).state_dict()) == {
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
    }


def test_an_update_that_is_forbidden_changes_nothing():
    model = net()
    ema = MovingAverage(model, 0.5)
    before = {k: v.clone() for k, v in ema.state_dict().items()}
    nn.init.constant_(model[0].weight, 7.0)
    ema.update(1000, torch.tensor(0.0))
    assert all(torch.equal(before[k], v) for k, v in ema.state_dict().items())


def test_averages_are_those_of_torch():
    model = nn.Linear(3, 3)
    ema = MovingAverage(model, 0.5)
    oracle = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
    oracle.update_parameters(model)
    for step in range(1000, 1004):
        with torch.no_grad():
            model.weight += torch.randn(3, 3)
        ema.update(step, ONE)
        oracle.update_parameters(model)
    torch.testing.assert_close(ema.state_dict()["weight"], oracle.module.weight.detach())


def test_the_model_holds_the_averages_only_inside():
    model = net()
    ema = MovingAverage(model, 0.5)
    raw = torch.full((2, 2), 0.1)
    with torch.no_grad():
        model[0].weight.copy_(raw)

    def leave_early():
        with ema.applied():
            assert torch.equal(model[0].weight, ema.state_dict()["0.weight"])
            raise KeyError

    with pytest.raises(KeyError):
        leave_early()
    assert torch.equal(model[0].weight, raw)
