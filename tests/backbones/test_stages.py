import copy

import pytest
import torch
from torch import nn

from detres.backbones.architectures import Architecture
from detres.backbones.resnet import Block, ResNet
from detres.backbones.stages import statistics_kept
from detres.classification.classifier import build_classifier

SMALL = Architecture("basic", (2, 2), widths=(8, 16), stem="cifar")


def small(**options):
    torch.manual_seed(0)
    return ResNet(SMALL, num_classes=5, **options).train()


def learn(net, steps=2):
    """Gradients and buffers after a few steps of a fixed rate."""
    for step in range(steps):
        torch.manual_seed(step)
        net.zero_grad()
        net.logits(torch.randn(4, 3, 16, 16)).square().mean().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
    return {n: p.grad for n, p in net.named_parameters()} | dict(net.named_buffers())


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_recomputed_blocks_give_the_very_gradients_and_statistics_of_kept_ones(drop_path):
    kept, recomputed = (learn(small(drop_path=drop_path, checkpoint_blocks=c)) for c in (False, True))
    assert kept.keys() == recomputed.keys()
    for name, value in kept.items():
        assert torch.equal(value, recomputed[name]), name
    assert kept["layer1.0.bn1.num_batches_tracked"] == 2


def test_recomputed_blocks_keep_one_map_a_block():
    saved = {}
    for recomputes in (False, True):
        net, total = small(checkpoint_blocks=recomputes), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, total=total: total.append(t.numel()) or t, lambda t: t):
            net.logits(torch.randn(4, 3, 16, 16))
        saved[recomputes] = sum(total)
    assert saved[True] < 0.5 * saved[False]


def test_nothing_is_recomputed_without_gradients_or_in_evaluation():
    net = small(checkpoint_blocks=True)
    with torch.no_grad():
        net.logits(torch.randn(2, 3, 16, 16))
    assert net.bn1.num_batches_tracked == net.layer1[0].bn1.num_batches_tracked == 1
    plain = copy.deepcopy(net)
    plain.layer1.recomputes = plain.layer2.recomputes = False
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(net.eval().logits(images), plain.eval().logits(images))


def test_kept_statistics_are_those_from_before_and_the_batch_normalizes_itself():
    norm = nn.BatchNorm2d(3).train()
    images = torch.randn(4, 3, 5, 5)
    with statistics_kept(norm):
        inside = norm(images)
    assert norm.num_batches_tracked == 0
    assert torch.equal(norm.running_mean, torch.zeros(3))
    assert torch.equal(norm(images), inside)
    assert norm.num_batches_tracked == 1


def test_the_chance_to_leave_a_block_out_grows_evenly_to_the_last():
    net = build_classifier("resnet50", num_classes=2, drop_path=0.3)
    chances = [block.drop_path for block in net.modules() if isinstance(block, Block)]
    assert chances == pytest.approx([0.02 * i for i in range(16)])


def test_left_out_images_go_by_the_shortcut_and_the_rest_is_scaled_to_the_same_mean():
    block = small(drop_path=0.5).layer2[1]
    assert block.drop_path == 0.5
    torch.manual_seed(1)
    x = torch.randn(64, 16, 4, 4)
    with statistics_kept(block):
        residual = block.residual(x)
        out = block(x)
    left_out = torch.tensor([torch.equal(o, i.relu()) for o, i in zip(out, x, strict=True)])
    assert 16 < left_out.sum() < 48
    torch.testing.assert_close(out[~left_out], (x + 2 * residual)[~left_out].relu())
    expected = (x + block.eval().residual(x)).relu()
    torch.testing.assert_close(block(x), expected)


def test_a_plain_net_has_no_way_around_what_is_left_out():
    with pytest.raises(ValueError, match="outputs zero"):
        ResNet(SMALL, shortcut="plain", drop_path=0.1)
