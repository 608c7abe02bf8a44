import pytest
import torch
from timm.optim import create_optimizer_v2
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


def quadratic_steps(optimizer, model, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        sum((p**2).sum() for p in model.parameters()).backward()
        optimizer.step()


def test_lamb_is_timms_without_decay_of_norms():
    torch.manual_seed(0)
    ours, theirs = net(), net()
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(ours, name="lamb", lr=0.01, weight_decay=0.02, norm_weight_decay=0.0)
    # timm leaves norms and biases out of the decay by itself where it is given a model.
    oracle = create_optimizer_v2(theirs, "lamb", lr=0.01, weight_decay=0.02)
    quadratic_steps(optimizer, ours, 5)
    quadratic_steps(oracle, theirs, 5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)  # The norm of all gradients is summed in another order.


def test_any_of_timms_optimizers_goes_by_its_name_with_our_groups():
    optimizer = build_optimizer(net(), name="timm/nadamw", lr=0.1, weight_decay=0.02, norm_weight_decay=0.0)
    assert type(optimizer).__name__ == "NAdamW"
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.02, 0.0]


def test_timms_optimizers_get_stated_betas_and_keep_their_own_otherwise():
    for betas, found in (((0.5, 0.9), (0.5, 0.9)), ((0.9, 0.999), (0.9, 0.99))):
        optimizer = build_optimizer(net(), name="timm/lion", lr=0.1, betas=betas)
        assert {group["betas"] for group in optimizer.param_groups} == {found}
    assert len(build_optimizer(net(), name="timm/adan", lr=0.1, betas=(0.5, 0.9)).param_groups[0]["betas"]) == 3


@pytest.mark.parametrize(
    ("name", "meant"), [("timm/lionn", "timm/lion"), ("adamv", "adamw"), ("rmsprop", "timm/rmsprop")]
)
def test_an_optimizer_s_misspelt_name_is_told_the_nearest(name, meant):
    with pytest.raises(ConfigError, match=rf"^optimizer\.name={name}: .*; did you mean {meant}\?$"):
        build_optimizer(net(), name=name, lr=0.1)


@pytest.mark.parametrize("name", ["timm/qqq", "qqq"])
def test_an_optimizer_nobody_has_is_refused(name):
    with pytest.raises(ConfigError, match=rf"optimizer\.name={name}: there are sgd, adamw, lamb, and timm/NAME"):
        build_optimizer(net(), name=name, lr=0.1)


def test_lambs_state_is_restored_bitwise_by_way_of_a_file(tmp_path):
    models = [net(), net()]
    models[1].load_state_dict(models[0].state_dict())
    whole, again = (build_optimizer(model, name="lamb", lr=0.01) for model in models)
    quadratic_steps(whole, models[0], 3)
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    models[1].load_state_dict(models[0].state_dict())
    load_optimizer(again, torch.load(tmp_path / "state.pt", weights_only=True))
    for optimizer, model in zip((whole, again), models, strict=True):
        quadratic_steps(optimizer, model, 3)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)
