import copy
from functools import partial

import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from detres.backbones.architectures import BACKBONES, Architecture
from detres.backbones.building import build_backbone
from detres.backbones.norms import FrozenBatchNorm
from detres.backbones.resnet import BLOCKS, BlockOptions, PaddedIdentity, ResNet, project
from detres.classification.classifier import build_classifier
from detres.structures import FeatureSpec

# Narrow, and of one or two blocks a stage: quick, and unlike each other.
SMALL = {
    "basic": Architecture("basic", (1, 2, 1, 2), widths=(4, 6, 8, 10)),
    "bottleneck": Architecture("bottleneck", (1, 2, 1, 2), widths=(2, 3, 4, 5)),
}
FIVE = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


def relative_error(got, expected):
    return ((got - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIVE)
def test_torchvisions_weights_give_torchvisions_logits_and_maps(name, randomize):
    theirs = randomize(torchvision.models.get_model(name)).eval()
    ours = build_classifier(name, num_classes=1000).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    trunk = build_backbone(name).eval()
    trunk.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc")}, strict=True)
    images = torch.randn(2, 3, 64, 64)
    maps = create_feature_extractor(theirs, {f"layer{i}": f"c{i + 1}" for i in range(1, 5)} | {"fc": "logits"})
    expected = maps(images)
    # With gradients batch norms are computed as such, without them they are folded into the convolutions.
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            assert relative_error(ours.predict(images), expected["logits"]) <= 1e-5
            features = trunk(images)
        assert list(features) == ["c2", "c3", "c4", "c5"]
        for stage, features_of_stage in features.items():
            assert relative_error(features_of_stage, expected[stage]) <= 1e-5
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("name", FIVE)
def test_timms_weights_give_timms_logits_and_maps(name, randomize):
    theirs = randomize(timm.create_model(name)).eval()
    ours = build_classifier(name, num_classes=1000).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    pyramid = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4)).eval()
    pyramid.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc")})
    trunk = build_backbone(name).eval()
    trunk.load_state_dict(pyramid.state_dict(), strict=True)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert relative_error(ours.predict(images), theirs(images)) <= 1e-5
        for got, expected in zip(trunk(images).values(), pyramid(images), strict=True):
            assert relative_error(got, expected) <= 1e-5


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("cifar10_resnet20", 269_722),
        ("cifar10_resnet110", 1_727_962),
        ("cifar10_plain20", 269_722),
    ],
)
def test_parameters_are_as_many_as_published(name, count):
    with torch.device("meta"):
        net = build_classifier(name, num_classes=10 if name.startswith("cifar10") else 1000)
    assert sum(parameter.numel() for parameter in net.parameters()) == count


def multiply_adds(net, size):
    total = 0

    def count(module, inputs, output):
        nonlocal total
        per_output = module.weight[0].numel()
        total += output.numel() * per_output

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    net.logits(torch.empty(1, 3, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("resnet18", 1.8),
        ("resnet34", 3.6),
        ("plain18", 1.8),
        ("plain34", 3.6),
        ("resnet50", 3.8),
        ("resnet101", 7.6),
        ("resnet152", 11.3),
    ],
)
def test_multiply_adds_are_those_of_table_1(name, billions):
    basic = BACKBONES[name].block == "basic"
    with torch.device("meta"):
        net = build_classifier(
            name,
            num_classes=1000,
            shortcut="A" if name in ("resnet18", "resnet34") else None,
            stride_in=None if basic else "1x1",
        )
    assert abs(multiply_adds(net, 224) / 1e9 - billions) <= 0.06


def test_a_block_adds_up_by_hand():
    # One channel, one cell: conv1 doubles, conv2 triples, norms are the identity but for eps: relu(6x + x).
    net = ResNet(
        BACKBONES["cifar10_resnet20"].__class__("basic", (1,), "A", (1,), "cifar"), norm="frozen", norm_eps=0.0
    )
    with torch.no_grad():
        for conv, value in ((net.conv1, 1.0), (net.layer1[0].conv1, 2.0), (net.layer1[0].conv2, 3.0)):
            conv.weight.zero_()
            conv.weight[0, 0, 1, 1] = value
    image = torch.tensor([5.0, 1.0, 1.0]).view(1, 3, 1, 1)
    assert net(image)["c2"].item() == pytest.approx(7 * 5.0)


def test_an_empty_batch_passes():
    net = build_backbone("resnet18").eval()
    assert net(torch.zeros(0, 3, 64, 64))["c5"].shape == (0, 512, 2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("shortcut", ["A", "B", "C", "plain"])
def test_the_shortcut_is_a_choice_of_the_same_trunk(name, shortcut):
    net = build_backbone(name, shortcut=shortcut)
    assert {k: tuple(v.shape) for k, v in net(torch.randn(2, 3, 64, 64)).items()} == {
        k: (2, spec.channels, 64 // spec.stride, 64 // spec.stride) for k, spec in net.specs.items()
    }
    projections = sum("downsample.0" in key for key in net.state_dict())
    basic = name == "resnet18"
    everywhere = sum(BACKBONES[name].depths)
    assert projections == {"A": 0, "B": 3 if basic else 4, "C": everywhere, "plain": 0}[shortcut]


def test_option_a_pads_the_identity_with_zeros():
    net = build_backbone("resnet18", shortcut="A")
    x = torch.arange(2 * 64 * 4 * 4.0).view(2, 64, 4, 4)
    padded = net.layer2[0].downsample(x)
    assert padded.shape == (2, 128, 2, 2)
    assert torch.equal(padded[:, :64], x[:, :, ::2, ::2])
    assert not padded[:, 64:].any()


def test_option_a_pads_behind_or_half_on_either_side():
    x = torch.ones(1, 1, 3, 4)
    for padding, expected in (("end", [1, 0, 0, 0, 0, 0]), ("both", [0, 0, 1, 0, 0, 0])):
        padded = PaddedIdentity(2, 5, padding)(x)
        assert padded.shape == (1, 6, 2, 2)
        assert padded[0, :, 0, 0].tolist() == padded[0, :, 1, 1].tolist() == expected
    assert PaddedIdentity(2, 5)(x)[0, 0].all()


def test_its_form_is_what_its_weights_do_not_tell():
    net = ResNet(SMALL["bottleneck"], stride_in="1x1", pool="caffe", shortcut_padding="both")
    assert net.form == {"stride_in": "1x1", "pool": "caffe", "shortcut": "B", "shortcut_padding": None}
    assert ResNet(SMALL["basic"], shortcut="A", shortcut_padding="both").form["shortcut_padding"] == "both"


def test_a_parameter_belongs_to_a_stage_by_its_name():
    names = ("conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer3.0.bn1.bias", "fc.bias")
    assert [ResNet(SMALL["basic"]).stage_of(name) for name in names] == ["c1", "c1", "c2", "c4", "fc"]


def test_every_placement_of_a_window_is_a_mean_told_apart():
    net, cells = ResNet(SMALL["basic"], num_classes=3), torch.randn(2, 10, 3, 5)
    logits = net.placed_logits(cells, (2, 3))
    windows = [cells[:, :, y : y + 2, x : x + 3] for y in range(2) for x in range(3)]
    expected = torch.stack([net.fc(window.mean(dim=(2, 3))) for window in windows], dim=1)
    torch.testing.assert_close(logits, expected)


def test_logits_are_those_of_the_one_window_that_is_the_whole_map():
    net, images = ResNet(SMALL["bottleneck"], num_classes=3).eval(), torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(net.logits(images)[:, None], net.placed_logits(net.last_map(images), (2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(("output_stride", "replace"), [(16, [False, False, True]), (8, [False, True, True])])
def test_dilation_is_torchvisions(output_stride, replace, randomize):
    theirs = randomize(torchvision.models.resnet50(replace_stride_with_dilation=replace)).eval()
    ours = build_backbone("resnet50", output_stride=output_stride).eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc")})
    images = torch.randn(1, 3, 65, 80)
    expected = create_feature_extractor(theirs, {"layer4": "c5"})(images)["c5"]
    assert relative_error(ours(images)["c5"], expected) <= 1e-5
    assert ours.specs["c5"] == FeatureSpec(2048, output_stride)


@pytest.mark.slow
@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("resnet18", {}),
        ("resnet18", {"shortcut": "A"}),
        ("plain18", {}),
        ("resnet50", {"stride_in": "1x1"}),
        ("resnet50", {"stride_in": "3x3", "shortcut": "C"}),
    ],
)
def test_a_dilated_net_computes_the_strided_one_between_its_cells(name, choice, output_stride, randomize):
    strided = randomize(build_backbone(name, **choice)).double().eval()
    dilated = build_backbone(name, output_stride=output_stride, **choice).double().eval()
    dilated.load_state_dict(strided.state_dict())
    images = torch.randn(1, 3, 75, 96, dtype=torch.float64)
    with torch.no_grad():
        fine, coarse = dilated(images)["c5"], strided(images)["c5"]
    step = 32 // output_stride
    torch.testing.assert_close(fine[:, :, ::step, ::step], coarse)


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    ("block", "choice"),
    [
        ("basic", {}),
        ("basic", {"shortcut": "A"}),
        ("bottleneck", {"stride_in": "1x1"}),
        ("bottleneck", {"stride_in": "3x3"}),
    ],
)
def test_a_small_dilated_net_computes_the_strided_one_between_its_cells(block, choice, output_stride, randomize):
    strided = randomize(ResNet(SMALL[block], **choice)).double().eval()
    dilated = ResNet(SMALL[block], output_stride=output_stride, **choice).double().eval()
    dilated.load_state_dict(strided.state_dict())
    assert [spec.stride for spec in strided.specs.values()] == [4, 8, 16, 32]
    assert {conv.dilation for conv in strided.modules() if isinstance(conv, nn.Conv2d)} == {(1, 1)}
    assert [spec.stride for spec in dilated.specs.values()] == [min(s, output_stride) for s in (4, 8, 16, 32)]
    images = torch.randn(1, 3, 75, 96, dtype=torch.float64)
    with torch.no_grad():
        fine, coarse = dilated(images)["c5"], strided(images)["c5"]
    step = 32 // output_stride
    torch.testing.assert_close(fine[:, :, ::step, ::step], coarse)


def test_a_cifar_net_strides_twice():
    net = ResNet(Architecture("basic", (1, 1, 1), "A", (4, 8, 16), "cifar"))
    assert [(spec.channels, spec.stride) for spec in net.specs.values()] == [(4, 1), (8, 2), (16, 4)]
    assert net.conv1.stride == (1, 1)


def test_a_bottleneck_strides_where_it_is_told_to():
    for stride_in, expected in (("1x1", [2, 1, 1]), ("3x3", [1, 2, 1])):
        block = ResNet(SMALL["bottleneck"], stride_in=stride_in).layer2[0]
        assert [conv.stride[0] for conv in (block.conv1, block.conv2, block.conv3)] == expected
        assert [conv.padding[0] for conv in (block.conv1, block.conv2, block.conv3)] == [0, 1, 0]


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_taken_stage_of_a_classifier_leaves_a_smaller_backbone_without_classes(block, randomize):
    whole = randomize(ResNet(SMALL[block], num_classes=3)).eval()
    backbone = copy.deepcopy(whole)
    stage = backbone.take_stage("c5")
    assert backbone.stages == ("c1", "c2", "c3", "c4")
    assert list(backbone.specs) == list(backbone.norms)[1:] == ["c2", "c3", "c4"]
    assert not any(key.startswith(("layer4", "fc")) for key in backbone.state_dict())
    assert backbone.num_classes is None
    assert stage.spec == whole.specs["c5"]
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(stage(backbone(images)["c4"]), whole(images)["c5"])
        assert torch.equal(backbone.last_map(images), whole(images)["c4"])


@pytest.mark.slow
def test_a_taken_stage_continues_on_regions_where_the_backbone_ends(randomize):
    whole = randomize(build_backbone("resnet50")).eval()
    backbone = copy.deepcopy(whole)
    stage = backbone.take_stage("c5")
    assert list(backbone.specs) == ["c2", "c3", "c4"]
    assert not any(key.startswith("layer4") for key in backbone.state_dict())
    assert stage.spec == FeatureSpec(2048, 32)
    assert stage(torch.randn(3, 1024, 14, 14)).shape == (3, 2048, 7, 7)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(stage(backbone(images)["c4"]), whole(images)["c5"])


def test_only_the_last_stage_can_be_taken():
    with pytest.raises(ValueError, match="cannot take c4"):
        build_backbone("resnet18").take_stage("c4")
    with pytest.raises(ValueError, match="cannot take c5"):
        build_backbone("resnet18", outputs=("c5",)).take_stage("c5")


def test_nothing_behind_the_last_output_is_computed():
    net = build_backbone("resnet18", outputs=("c4", "c1"))
    net.layer4.register_forward_hook(lambda *_: pytest.fail("c5 was computed"))
    features = net(torch.randn(2, 3, 64, 64))
    assert {k: tuple(v.shape[1:]) for k, v in features.items()} == {"c1": (64, 32, 32), "c4": (256, 4, 4)}
    assert net.specs == {"c1": FeatureSpec(64, 2), "c4": FeatureSpec(256, 16)}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "torch_size", "caffe_size"), [(64, 16, 16), (66, 17, 16), (67, 17, 17)])
def test_caffes_pool_takes_whole_windows_from_the_first_cell(size, torch_size, caffe_size):
    sizes = []
    for pool in ("torch", "caffe"):
        net = ResNet(BACKBONES["resnet18"], pool=pool, outputs=("c2",))
        sizes.append(net(torch.randn(2, 3, size, 64))["c2"].shape[2])
    assert sizes == [torch_size, caffe_size]


@pytest.mark.parametrize("layers", [20, 32])
@pytest.mark.parametrize("kind", ["resnet", "plain"])
def test_cifar_nets_work_on_32_16_and_8_cells(kind, layers):
    net = build_classifier(f"cifar10_{kind}{layers}", num_classes=10)
    weighted = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers
    assert [tuple(v.shape[1:]) for v in ResNet.forward(net, torch.randn(2, 3, 32, 32)).values()] == [
        (16, 32, 32),
        (32, 16, 16),
        (64, 8, 8),
    ]


@pytest.mark.slow
def test_the_deepest_cifar_net_has_1202_layers():
    with torch.device("meta"):
        net = build_classifier("cifar10_resnet1202", num_classes=10)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules()) == 1202


def test_he_initialization_keeps_the_variance_of_what_it_rectifies():
    weight = build_backbone("resnet50").layer3[0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)


def test_zero_initialized_blocks_start_as_their_shortcut():
    net = build_backbone("resnet50", zero_init_last=True).eval()
    x = torch.randn(2, 256, 4, 4)
    torch.testing.assert_close(net.layer1[1](x), x.relu())
    with pytest.raises(Exception, match="outputs zero"):
        build_backbone("plain18", zero_init_last=True)


@pytest.mark.parametrize("options", [{"drop_path": 0.2}, {"zero_init_last": True}])
def test_a_plain_net_refuses_what_leaves_it_nothing(options):
    with pytest.raises(ValueError, match="outputs zero"):
        ResNet(SMALL["basic"], shortcut="plain", **options)


@pytest.mark.parametrize(
    ("depths", "expected"), [((1,), [0.0]), ((1, 1), [0.0, 0.3]), ((2, 1, 2), [0.0, 0.075, 0.15, 0.225, 0.3])]
)
def test_the_chance_to_drop_a_block_grows_with_its_depth(depths, expected):
    net = ResNet(Architecture("basic", depths, widths=(4,) * len(depths)), drop_path=0.3)
    blocks = [block for stage in net.stages[1:] for block in net.stage(stage)]
    assert [block.drop_path for block in blocks] == pytest.approx(expected)


def test_by_itself_a_net_drops_nothing_recomputes_nothing_and_has_norms_of_the_usual_eps():
    net = ResNet(SMALL["basic"])
    blocks = [block for stage in net.stages[1:] for block in net.stage(stage)]
    assert [block.drop_path for block in blocks] == [0.0] * 6
    assert not any(net.stage(stage).recomputes for stage in net.stages[1:])
    assert {norm.eps for norm in net.modules() if isinstance(norm, nn.BatchNorm2d)} == {1e-5}
    options = BlockOptions("B", "end", "3x3", nn.BatchNorm2d, project)
    alone = [kind(4, 4, stride=1, dilation=(1, 1), options=options) for kind in BLOCKS.values()]
    assert [block.drop_path for block in alone] == [0.0, 0.0]


def test_a_stage_needs_a_width():
    with pytest.raises(ValueError, match="zip"):
        ResNet(Architecture("basic", (1, 1), widths=(4, 4, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "frozen", "sync", "group"])
def test_every_norm_trains_on_one_process(norm):
    net = build_backbone("resnet18", norm=norm).train()
    loss = sum(features.square().mean() for features in net(torch.randn(2, 3, 64, 64)).values())
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert net.norms == dict.fromkeys(("c1", "c2", "c3", "c4", "c5"), norm)


def test_frozen_stages_stay_as_they_are_through_training():
    net = build_backbone("resnet18")
    net.freeze_stages(2)
    net.train()
    before = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net(torch.randn(2, 3, 64, 64))["c5"].square().sum().backward()
    optimizer.step()
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert not any(key.startswith(("conv1", "bn1", "layer1")) for key in changed)
    assert {"layer2.0.conv1.weight", "layer2.0.bn1.running_mean"} <= changed
    assert isinstance(net.bn1, FrozenBatchNorm)
    assert isinstance(net.layer2[0].bn1, nn.BatchNorm2d)
    assert net.norms["c2"] == "frozen"
    assert net.norms["c3"] == "batch"


def test_it_is_built_and_runs_on_the_meta_device():
    with torch.device("meta"):
        net = build_backbone("resnet152", norm="frozen")
        assert net(torch.empty(1, 3, 800, 1066))["c5"].shape == (1, 2048, 25, 34)


def test_double_precision_is_double_throughout(randomize):
    net = randomize(build_backbone("resnet18")).double()
    net.freeze_norms(net.stages)
    assert net.normalize(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)).dtype == torch.float64
    assert net(torch.randn(1, 3, 64, 64, dtype=torch.float64))["c5"].dtype == torch.float64


def test_bf16_autocast_stays_close_and_trains(randomize):
    net = randomize(build_backbone("resnet18"))
    net.freeze_norms(net.stages)
    images = torch.randn(1, 3, 64, 64).to(memory_format=torch.channels_last)
    exact = net(images)["c5"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(images)["c5"]
    assert rounded.dtype == torch.bfloat16
    assert relative_error(rounded.float(), exact) < 0.05
    rounded.float().sum().backward()
    assert net.conv1.weight.grad.dtype == torch.float32


@pytest.mark.slow
def test_it_compiles(randomize):
    net = randomize(build_backbone("resnet18", outputs=("c2",))).eval()
    net.freeze_norms(net.stages)
    images = torch.randn(1, 3, 64, 64)
    try:
        compiled = torch.compile(partial(net.forward), fullgraph=True, backend="eager")(images)
    except torch._dynamo.exc.BackendCompilerFailed as error:  # pragma: no cover - depends on the machine
        pytest.skip(str(error))
    torch.testing.assert_close(compiled["c2"], net(images)["c2"])
