import copy

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torchvision.ops import FrozenBatchNorm2d

from detres.backbones.building import build_backbone
from detres.backbones.norms import FrozenBatchNorm, conv_norm, fold_norms, freeze_norms, frozen, make_norm


def random_norm(kind, channels=8):
    torch.manual_seed(1)
    norm = kind(channels)
    with torch.no_grad():
        for name, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            getattr(norm, name).copy_(torch.rand(channels) + low)
    return norm


def test_a_frozen_norm_by_hand():
    norm = FrozenBatchNorm(1, eps=0.0)
    norm.load_state_dict(
        {
            "weight": torch.tensor([3.0]),
            "bias": torch.tensor([1.0]),
            "running_mean": torch.tensor([2.0]),
            "running_var": torch.tensor([4.0]),
            "num_batches_tracked": torch.tensor(7),
        }
    )
    # (6 - 2) / sqrt(4) * 3 + 1
    assert norm(torch.full((1, 1, 1, 1), 6.0)).item() == 7.0


def test_a_frozen_norm_is_torchvisions():
    ours, theirs = random_norm(FrozenBatchNorm), FrozenBatchNorm2d(8)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_one_convolution_has_the_value_and_gradients_of_the_two_layers(bias, dtype):
    conv = nn.Conv2d(4, 8, 3, 2, padding=2, dilation=2, groups=2, bias=bias).to(dtype)
    norm = random_norm(FrozenBatchNorm).to(dtype)
    results = []
    for compute in (lambda x: conv_norm(x, conv, norm), lambda x: norm(conv(x))):
        torch.manual_seed(2)
        x = torch.randn(2, 4, 9, 9, dtype=dtype, requires_grad=True)
        conv.zero_grad()
        out = compute(x)
        (out * torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out)).sum().backward()
        results.append((out, x.grad, *(p.grad.clone() for p in conv.parameters())))
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two)


def test_batch_norm_is_folded_only_in_eval_mode_without_gradients():
    conv, norm = nn.Conv2d(4, 8, 3), random_norm(nn.BatchNorm2d)
    x = torch.randn(2, 4, 6, 6)
    before = norm.running_mean.clone()
    conv_norm(x, conv, norm.train())
    assert not torch.equal(norm.running_mean, before)
    norm.eval()
    conv_norm(x, conv, norm).sum().backward()
    assert norm.weight.grad is not None
    with torch.no_grad():
        torch.testing.assert_close(conv_norm(x, conv, norm), norm(conv(x)))


def test_hooks_see_what_they_always_see():
    conv, norm, seen = nn.Conv2d(4, 8, 3), random_norm(FrozenBatchNorm), []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    out = conv_norm(torch.randn(1, 4, 6, 6), conv, norm)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], out)


def test_an_empty_batch_is_normalized():
    assert conv_norm(torch.zeros(0, 4, 6, 6), nn.Conv2d(4, 8, 3), FrozenBatchNorm(8)).shape == (0, 8, 4, 4)


def test_freezing_keeps_statistics_and_leaves_other_norms():
    net = nn.Sequential(nn.Conv2d(3, 8, 1), random_norm(nn.BatchNorm2d), nn.GroupNorm(4, 8))
    x = torch.randn(2, 3, 4, 4)
    expected = net.eval()(x)
    freeze_norms(net)
    assert [type(m) for m in net] == [nn.Conv2d, FrozenBatchNorm, nn.GroupNorm]
    torch.testing.assert_close(net.train()(x), expected)
    assert isinstance(frozen(nn.SyncBatchNorm(8)), FrozenBatchNorm)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_folded_copy_predicts_the_same_and_leaves_the_original_alone(name, randomize):
    net = randomize(build_backbone(name)).train()
    net.freeze_norms(("c1", "c2"))
    folded = fold_norms(net)
    assert net.training
    assert isinstance(net.bn1, FrozenBatchNorm)
    assert not any(isinstance(m, nn.BatchNorm2d | FrozenBatchNorm) for m in folded.modules())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = net.eval()(images)
        for stage, features in folded(images).items():
            assert (features - expected[stage]).abs().max() <= 1e-5 * expected[stage].abs().max()


def test_folding_keeps_group_norms_and_norms_with_activations():
    timm_layers = pytest.importorskip("timm.layers")
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.GroupNorm(4, 8), nn.Conv2d(8, 8, 1), timm_layers.BatchNormAct2d(8)
    ).eval()
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(fold_norms(net)(x), net(x))


def test_unknown_norms_are_refused():
    with pytest.raises(ValueError, match="none of batch"):
        make_norm("layer", 8, 1e-5)


def test_a_frozen_norm_sees_what_its_buffers_are_given() -> None:
    norm, x = FrozenBatchNorm(2), torch.ones(1, 2, 1, 1)
    assert norm(x).flatten().tolist() == pytest.approx([1.0, 1.0], abs=1e-4)
    norm.weight.fill_(2.0)
    assert norm(x).flatten().tolist() == pytest.approx([2.0, 2.0], abs=1e-4)
    norm.load_state_dict(norm.state_dict() | {"bias": torch.tensor([1.0, 3.0])})
    assert norm(x).flatten().tolist() == pytest.approx([3.0, 5.0], abs=1e-4)
    norm.bias.data = torch.zeros(2)
    assert norm(x).flatten().tolist() == pytest.approx([2.0, 2.0], abs=1e-4)
    assert norm.double()(x.double()).dtype == torch.float64
    other = copy.deepcopy(norm)
    other.weight.zero_()
    assert (other(x.double()).abs().max(), norm(x.double()).min() > 1) == (0.0, True)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_frozen_norm_is_traced_by_its_buffers_whatever_it_knows() -> None:
    norm, x = FrozenBatchNorm(2), torch.rand(1, 2, 3, 3)
    before = norm(x)
    traced = torch.jit.trace(norm, x)
    traced.load_state_dict(norm.state_dict() | {"weight": torch.full((2,), 2.0)})
    torch.testing.assert_close(traced(x), 2 * before)


def test_what_a_mode_computed_is_not_kept_after_it() -> None:
    norm = FrozenBatchNorm(2)
    with FakeTensorMode(allow_non_fake_inputs=True):
        norm(torch.rand(1, 2, 3, 3))
    assert type(norm(torch.rand(1, 2, 3, 3))) is torch.Tensor
