import pytest
import torch
from torch import nn

from detres.errors import ConfigError
from detres.training.optimizers import build_optimizer, load_optimizer


def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Linear(4, 2))


def test_norms_and_biases_decay_apart():
    model = net()
    weights, others = build_optimizer(model, lr=0.1, weight_decay=0.01, norm_weight_decay=0.0).param_groups
    assert [id(p) for p in weights["params"]] == [id(model[0].weight), id(model[3].weight)]
    assert len(others["params"]) == 6
    assert (weights["weight_decay"], others["weight_decay"]) == (0.01, 0.0)


def test_all_decay_alike_where_nothing_else_is_said():
    assert {g["weight_decay"] for g in build_optimizer(net(), lr=0.1, weight_decay=0.01).param_groups} == {0.01}


def test_frozen_parameters_are_left_out():
    model = net()
    model[0].requires_grad_(False)
    held = {id(p) for group in build_optimizer(model, lr=0.1).param_groups for p in group["params"]}
    assert held == {id(p) for module in model[1:] for p in module.parameters()}


def test_a_model_without_anything_to_train_is_refused():
    with pytest.raises(ConfigError, match="every parameter is frozen"):
        build_optimizer(net().requires_grad_(False), lr=0.1)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_both_skip_an_update_the_device_forbids(name):
    """This is torch's contract for fused optimizers, on which the finite flag stands."""
    model = net()
    optimizer = build_optimizer(model, name=name, lr=0.1)
    for finite in (True, False, True):
        before = [p.clone() for p in model.parameters()]
        for p in model.parameters():
            p.grad = torch.full_like(p, 1.0 if finite else float("nan"))
        optimizer.found_inf = torch.tensor(0.0 if finite else 1.0)
        optimizer.step()
        moved = [not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True)]
        assert all(moved) if finite else not any(moved)
    assert all(p.isfinite().all() for p in model.parameters())


def test_restored_buffers_lie_in_memory_as_their_weights_do():
    states = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        model = net().to(memory_format=memory_format)
        optimizer = build_optimizer(model, lr=0.1)
        if states:
            load_optimizer(optimizer, states[0])
        for p in model.parameters():
            p.grad = torch.empty_like(p).copy_(torch.arange(p.numel(), dtype=torch.float32).view(p.shape))
        optimizer.step()
        states.append(optimizer.state_dict())
    buffer = optimizer.state[model[0].weight]["momentum_buffer"]
    assert buffer.stride() == model[0].weight.stride()
    assert (buffer / states[0]["state"][0]["momentum_buffer"]).nan_to_num(1.9).sub(1.9).abs().max() < 0.2
