from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from detres.training.norm_statistics import Moments, recompute_norms


@dataclass
class Images:
    values: Tensor

    @property
    def image_ids(self):
        return tuple(range(len(self.values)))


class Net(nn.Module):
    def __init__(self, depth=1, dropout=0.5):
        super().__init__()
        torch.manual_seed(0)
        layers = [[nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(dropout)] for _ in range(depth)]
        self.layers = nn.Sequential(*(layer for block in layers for layer in block))
        for norm in self.norms():
            nn.init.uniform_(norm.weight, 0.5, 2.0)

    def norms(self):
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, batch):
        return self.layers(batch.values)


def images(count=24, side=9):
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(count, 3, side, side, generator=generator) * 3 + 100
    return values * torch.linspace(0.5, 2, count)[:, None, None, None]  # batches differ much


def parts(values, *sizes):
    return [Images(part) for part in values.split(sizes)]


def test_two_batches_by_hand():
    """Values 1, 3 and 5: mean 3, unbiased variance 4."""
    moments = Moments(torch.zeros(1))
    moments.add(torch.tensor([[1.0], [3.0]]))
    moments.add(torch.tensor([[5.0]]))
    mean, variance = moments.over_ranks()
    assert (mean.item(), variance.item()) == (3.0, 4.0)


def test_statistics_are_those_of_the_whole_set_in_one_batch():
    values = images()
    model, oracle = Net(), Net().train()
    recompute_norms(model, parts(values, 10, 7, 6, 1))
    (norm,), (theirs,) = model.norms(), oracle.norms()
    theirs.momentum = 1.0  # The last batch alone: the whole set.
    oracle(Images(values))
    torch.testing.assert_close(norm.running_mean, theirs.running_mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(norm.running_var, theirs.running_var, rtol=1e-6, atol=0)


def test_every_layer_of_a_deep_net_has_the_statistics_of_all_that_it_was_given():
    model, values = Net(depth=3), images()
    given = [[] for _ in model.norms()]
    hooks = [
        norm.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0].clone()))
        for norm, seen in zip(model.norms(), given, strict=True)
    ]
    recompute_norms(model, parts(values, 8, 8, 8))
    for hook in hooks:
        hook.remove()
    for norm, seen in zip(model.norms(), given, strict=True):
        variance, mean = torch.var_mean(torch.cat(seen).double(), dim=(0, 2, 3))
        torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(norm.running_var.double(), variance, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_a_compiled_model_is_seen_through():
    values = images()
    model, plain = Net(depth=2), Net(depth=2)
    model.layers = torch.compile(model.layers, backend="eager")
    model(Images(values))
    for net in (model, plain):
        recompute_norms(net, parts(values, 12, 12))
    for one, other in zip(model.norms(), plain.norms(), strict=True):
        assert torch.equal(one.running_var, other.running_var)


def test_nothing_else_of_the_model_changes():
    model = Net(depth=2)
    model.layers[1].eval()
    model.layers[5].num_batches_tracked += 3
    before = {n: t.clone() for n, t in model.state_dict().items() if "running" not in n}
    modes = [module.training for module in model.modules()]
    recompute_norms(model, parts(images(), 24))
    assert [module.training for module in model.modules()] == modes
    for name, tensor in before.items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert not model.layers[1]._forward_pre_hooks


def test_it_stops_with_the_batch_that_reaches_the_count():
    values = images()
    limited, all_of_them = Net(), Net()
    recompute_norms(limited, parts(values, 8, 8, 8), 9)
    recompute_norms(all_of_them, parts(values[:16], 16))
    assert torch.allclose(limited.norms()[0].running_var, all_of_them.norms()[0].running_var, rtol=1e-6)


def test_no_batch_is_refused_and_a_model_without_norms_has_nothing_to_recompute():
    model = Net()
    before = model.norms()[0].running_var.clone()
    with pytest.raises(ValueError, match="no batch"):
        recompute_norms(model, [])
    assert torch.equal(model.norms()[0].running_var, before)
    recompute_norms(nn.Linear(1, 1), [])


def test_two_ranks_have_the_statistics_of_both(monkeypatch):
    """The sum over two ranks, one of them played here by what it would have sent."""
    values = images()
    mine, other, whole = (Moments(torch.zeros(3)) for _ in range(3))
    mine.add(values[:5])
    other.add(values[5:])
    whole.add(values)
    sent = iter([])

    def add(value):
        return value + next(sent)

    monkeypatch.setattr("detres.training.norm_statistics.sum_over_ranks", add)
    mean = (mine._mean * 5 + other._mean * 19) / 24
    gap = other._mean - mean
    sent = iter([other._count, other._mean * other._count, other._deviations + other._count * gap.square()])
    got = mine.over_ranks()
    monkeypatch.undo()
    for one, expected in zip(got, whole.over_ranks(), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-6, atol=0)
