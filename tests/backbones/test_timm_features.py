from collections.abc import Callable
from copy import deepcopy
from subprocess import CompletedProcess

import pytest
import timm
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from detres.backbones.building import build_backbone
from detres.backbones.timm_features import save_timm_features
from detres.backbones.weights.files import write_weights
from detres.backbones.weights.metadata import WeightsMetadata
from detres.errors import ConfigError, WeightsError
from detres.structures import IMAGENET_STATS, FeatureSpec, PixelStats

HALF = PixelStats((127.5,) * 3, (127.5,) * 3)


def test_levels_are_chosen_by_their_stride_not_by_their_position():
    # ResNet-18 has a map of stride 2 in front, ConvNeXt none.
    for name, channels in (("timm/resnet18", 64), ("timm/convnext_atto", 40)):
        net = build_backbone(name)
        assert net.specs["c2"] == FeatureSpec(channels, 4)
        maps = net(torch.randn(1, 3, 64, 96))
        assert {k: tuple(v.shape[1:]) for k, v in maps.items()} == {
            k: (spec.channels, 64 // spec.stride, 96 // spec.stride) for k, spec in net.specs.items()
        }


def test_its_maps_are_timms():
    net = build_backbone("timm/resnet18", outputs=("c3", "c5")).eval()
    theirs = timm.create_model("resnet18", features_only=True, out_indices=(2, 4)).eval()
    theirs.load_state_dict(net.net.state_dict())
    images = torch.randn(1, 3, 64, 64)
    for ours, expected in zip(net(images).values(), theirs(images), strict=True):
        assert torch.equal(ours, expected)


def test_every_parameter_is_used_when_only_early_levels_are_asked_for():
    net = build_backbone("timm/resnet18", outputs=("c2", "c3"))
    sum(features.sum() for features in net(torch.randn(1, 3, 64, 64)).values()).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.slow
def test_windows_take_any_size_and_channels_come_second():
    net = build_backbone("timm/swin_tiny_patch4_window7_224", outputs=("c2",))
    assert net(torch.randn(1, 3, 64, 96))["c2"].shape == (1, 96, 16, 24)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/vit_tiny_patch16_224", "stride 16, 16, 16, so no c2"),
        ("timm/maxvit_tiny_tf_224", "images of 224×224 pixels only"),
        ("timm/resnet_from_nowhere", "timm has no model"),
    ],
)
def test_models_without_a_pyramid_are_refused_with_the_reason(name, message):
    with pytest.raises(ConfigError, match=message):
        build_backbone(name)


def test_norms_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="batch or frozen"):
        build_backbone("timm/resnet18", norm="group")
    with pytest.raises(ConfigError, match="needs weights"):
        build_backbone("timm/resnet18", norm="frozen")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100"])
def test_timms_own_weights_load_and_their_norms_stay_frozen(tmp_path, name, randomize):
    whole = randomize(timm.create_model(name, num_classes=7)).eval()
    path = tmp_path / "w.safetensors"
    write_weights(path, whole.state_dict(), WeightsMetadata(f"timm/{name}", HALF))
    net = build_backbone(f"timm/{name}", weights=path).train()
    assert net.pixel_stats == HALF
    assert net.load_report.missing == ()
    assert "classifier.weight" in net.load_report.left_over or "fc.weight" in net.load_report.left_over
    assert set(net.load_report.norms.values()) == {"frozen"}
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)
    pyramid = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4)).eval()
    pyramid.load_state_dict({k: v for k, v in whole.state_dict().items() if k in pyramid.state_dict()})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, expected in zip(net(images).values(), pyramid(images), strict=True):
            torch.testing.assert_close(ours, expected)


def test_saved_features_come_back_and_fit_no_other_model(tmp_path):
    net = build_backbone("timm/convnext_atto", outputs=("c2", "c3"))
    path = tmp_path / "w.safetensors"
    save_timm_features(path, net, recipe="none")
    again = build_backbone("timm/convnext_atto", outputs=("c2", "c3"), weights=path)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert again.pixel_stats == IMAGENET_STATS
    with pytest.raises(WeightsError, match="not of timm/resnet18"):
        build_backbone("timm/resnet18", weights=path)
    with pytest.raises(WeightsError, match="does not fit"):
        build_backbone("timm/convnext_atto", weights=path)


def test_weights_of_a_resnet_of_another_form_are_refused_though_their_names_fit(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = timm.create_model("resnet26", num_classes=7).state_dict()
    write_weights(path, tensors, WeightsMetadata("resnet26", IMAGENET_STATS, stride_in="1x1"))
    with pytest.raises(WeightsError, match="trained with the stride in the 1x1"):
        build_backbone("timm/resnet26", weights=path)
    with pytest.raises(WeightsError, match=r"caffe's first pool.* Use the backbone resnet50"):
        build_backbone("timm/resnet50", weights="msra/R-50")


def test_strided_points_on_few_channels_are_thinned_before_and_give_the_same():
    net = build_backbone("timm/repvgg_a0", outputs=("c2",)).eval()
    theirs = timm.create_model("repvgg_a0", features_only=True, out_indices=(1,)).eval()
    theirs.load_state_dict(net.net.state_dict())
    strided = [
        m for m in theirs.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride > (1, 1)
    ]
    assert any(m.in_channels == 3 for m in strided)
    images = torch.randn(1, 3, 63, 62)
    for ours in (net, deepcopy(net).to(memory_format=torch.channels_last)):
        torch.testing.assert_close(ours(images)["c2"], theirs(images)[0])


# It is the process that dies where the layer is left as it is, at this size and layout.
STEP = """
import torch
from detres.backbones.building import build_backbone

net = build_backbone("timm/repvgg_a0", outputs=("c2",)).to(memory_format=torch.channels_last)
for dtype in (torch.float32, torch.bfloat16):
    images = torch.randn(2, 3, 128, 128).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        net(images)["c2"].float().sum().backward()
print("done")
"""


@pytest.mark.slow
def test_a_step_with_strided_points_on_the_image_survives_in_channels_last(
    run_python: Callable[..., CompletedProcess[str]],
) -> None:
    stepped = run_python("-c", STEP, MALLOC_CHECK_="3")
    assert stepped.returncode == 0, stepped.stderr
    assert stepped.stdout.strip() == "done"
