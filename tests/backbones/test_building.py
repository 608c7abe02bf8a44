from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from detres.backbones.building import build_backbone, list_backbones
from detres.backbones.norms import FrozenBatchNorm
from detres.backbones.weights.files import write_weights
from detres.backbones.weights.loading import save_backbone
from detres.backbones.weights.metadata import WeightsMetadata
from detres.errors import ConfigError, WeightsError
from detres.structures import IMAGENET_STATS, FeatureSpec, PixelStats

MSRA = Path(__file__).parents[2].parent / "shared" / "weights" / "msra_resnet50_conv1_to_res4.npz"
needs_msra = pytest.mark.skipif(not MSRA.is_file(), reason="the published weights are not here")

METADATA = WeightsMetadata("resnet18", IMAGENET_STATS)


@pytest.fixture
def without_c5(tmp_path, randomize):
    """A file of ResNet-18's weights, of which c5 is missing and fc left over."""
    tensors = randomize(build_backbone("resnet18")).state_dict()
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("layer4")}
    write_weights(tmp_path / "w.safetensors", tensors | {"fc.bias": torch.zeros(10)}, METADATA)
    return tmp_path / "w.safetensors"


@pytest.mark.slow
def test_every_listed_name_is_built():
    with torch.device("meta"):
        for name in list_backbones():
            assert build_backbone(name).specs


def test_what_is_loaded_missing_and_left_over_is_reported_by_name(without_c5):
    report = build_backbone("resnet18", weights=without_c5).load_report
    assert "layer3.1.bn2.running_var" in report.loaded
    assert {name.split(".")[0] for name in report.missing} == {"layer4"}
    assert report.left_over == ("fc.bias",)
    assert "left over in the file: 1: fc.bias" in report.summary()
    assert f"missing, from scratch: {len(report.missing)}" in report.summary()


def test_norms_are_frozen_where_statistics_were_loaded_and_trained_elsewhere(without_c5):
    net = build_backbone("resnet18", weights=without_c5)
    assert net.norms == {"c1": "frozen", "c2": "frozen", "c3": "frozen", "c4": "frozen", "c5": "batch"}
    assert net.load_report.norms == net.norms
    assert isinstance(net.layer3[0].bn1, FrozenBatchNorm)
    assert isinstance(net.layer4[0].bn1, nn.BatchNorm2d)
    assert set(build_backbone("resnet18").norms.values()) == {"batch"}
    assert set(build_backbone("resnet18", weights=without_c5, norm="batch").norms.values()) == {"batch"}


@pytest.mark.slow
def test_freezing_what_was_not_loaded_is_an_error(without_c5):
    net = build_backbone("resnet18", weights=without_c5, frozen_stages=4)
    assert not any(p.requires_grad for p in net.layer3.parameters())
    assert all(p.requires_grad for p in net.layer4.parameters())
    with pytest.raises(WeightsError, match="freezes c5"):
        build_backbone("resnet18", weights=without_c5, frozen_stages=5)
    with pytest.raises(WeightsError, match="freezes c1"):
        build_backbone("resnet18", frozen_stages=1)
    with pytest.raises(WeightsError, match="c5 were not loaded"):
        build_backbone("resnet18", weights=without_c5, norm="frozen")


@pytest.mark.slow
def test_a_saved_backbone_comes_back_as_it_was(tmp_path, randomize):
    net = randomize(build_backbone("resnet50", stride_in="1x1", norm_eps=1e-3)).eval()
    save_backbone(tmp_path / "b.safetensors", net)
    again = build_backbone("resnet50", weights=tmp_path / "b.safetensors").eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(images)["c5"], net(images)["c5"], rtol=1e-4, atol=1e-5)
    assert (again.stride_in, again.norm_eps) == ("1x1", 1e-3)


def test_a_network_whose_weights_come_later_is_rebuilt_from_what_is_known_of_them(without_c5):
    known = WeightsMetadata("resnet50", PixelStats((1, 2, 3), (1, 1, 1), "bgr"), "1x1", "caffe", 1e-3, "C")
    norms = dict.fromkeys(("c1", "c2", "c3", "c4"), "frozen") | {"c5": "batch"}
    with torch.device("meta"):
        net = build_backbone("resnet50", metadata=known, norm=norms)
    assert (net.stride_in, net.pool, net.norm_eps, net.shortcut) == ("1x1", "caffe", 1e-3, "C")
    assert net.pixel_stats == known.pixel_stats
    assert net.norms == norms
    with pytest.raises(ConfigError, match="leave one out"):
        build_backbone("resnet18", weights=without_c5, metadata=METADATA)


@pytest.mark.slow
def test_weights_are_not_used_otherwise_than_trained_without_saying_so(tmp_path):
    path = tmp_path / "w.safetensors"
    save_backbone(path, build_backbone("resnet50", stride_in="1x1"))
    assert build_backbone("resnet50", weights=path).stride_in == "1x1"
    with pytest.raises(WeightsError, match="stride in the 1x1, asked to stride in the 3x3"):
        build_backbone("resnet50", weights=path, stride_in="3x3")
    with pytest.raises(WeightsError, match="trained with shortcut B, asked for shortcut A"):
        build_backbone("resnet50", weights=path, shortcut="A")
    told = build_backbone("resnet50", weights=path, stride_in="3x3", allow_mismatch=True)
    assert told.stride_in == "3x3"
    assert "asked to stride in the 3x3" in told.load_report.summary()


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, WeightsMetadata("resnet34", IMAGENET_STATS), "resnet34, not of"),
        ({"conv1.weight": torch.zeros(64, 3, 3, 3)}, METADATA, r"conv1.weight is \(64, 3, 3, 3\), expected"),
        ({"stem.weight": torch.zeros(1)}, METADATA, "none of its 1 names"),
        ({"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}, METADATA, "not finite"),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, METADATA, "a norm without statistics"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, tensors, metadata, message):
    write_weights(tmp_path / "w.safetensors", tensors, metadata)
    with pytest.raises(WeightsError, match=message):
        build_backbone("resnet18", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("name", "choices", "message"),
    [
        ("resnet5", {}, "did you mean resnet50"),
        ("resnet18", {"stride_in": "1x1"}, "no 1x1"),
        ("plain18", {"shortcut": "B"}, "no shortcuts"),
        ("plain18", {"zero_init_last": True}, "outputs zero"),
        (
            "resnet18",
            {"zero_init_last": True, "norm": "frozen"},
            "frozen norms cannot learn away from zero; take zero",
        ),
        ("resnet18", {"outputs": ("c6",)}, "has no c6"),
        ("resnet18", {"output_stride": 4}, "may be 32, 16 or 8"),
        ("resnet18", {"frozen_stages": 6}, "6 of 5"),
        ("resnet18", {"norm": {"c1": "batch"}}, "its stages are"),
        ("resnet18", {"norm": "layer"}, "none of batch"),
        ("timm/resnet18", {"stride_in": "3x3"}, r"leave them out.* model\.backbone\.stride_in=null$"),
        (
            "timm/resnet18",
            {"frozen_stages": 2, "weights": "msra/R-50"},
            r"model\.backbone\.frozen_stages=0 model\.backbone\.weights=null \(or",
        ),
        ("absent_module:make", {}, "absent_module"),
        ("collections:OrderedDict", {}, "lacks specs"),
    ],
)
def test_choices_that_cannot_be_are_one_message(name, choices, message):
    with pytest.raises(ConfigError, match=message):
        build_backbone(name, **choices)


class Own(nn.Module):
    def __init__(self, outputs=("c2",)):
        super().__init__()
        self.specs = {name: FeatureSpec(1, 4) for name in outputs}
        self.pixel_stats = IMAGENET_STATS

    def normalize(self, rgb):
        return rgb


def test_anybodys_backbone_is_named_by_module_and_callable(monkeypatch, tmp_path):
    (tmp_path / "my_nets.py").write_text("make = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    import my_nets

    monkeypatch.setattr(my_nets, "make", Own)
    assert list(build_backbone("my_nets:make").specs) == ["c2"]
    assert list(build_backbone("my_nets:make", outputs=("c3",)).specs) == ["c3"]


OWN_CODE = """import torch

def make(outputs=(), **_):
    if "c3" in outputs:
        raise LookupError("no layer\\nof this name")
    return torch.nn.Conv2d(1, 3, 1, groups=2)
"""


@pytest.mark.parametrize(
    ("name", "choices", "said"),
    [
        (
            "my_failing:make",
            {},
            r"with nothing, it raised ValueError: .*groups \(/.*my_failing\.py:6\); mend it",
        ),
        ("my_failing:make", {"outputs": ("c3",)}, r"raised LookupError: no layer of this name \(/.*my_failing\.py:5\)"),
        ("my_unmade:make", {}, r"to import it raised ZeroDivisionError: .* \(/.*my_unmade\.py:1\)"),
        ("os:system", {"outputs": ("c3",)}, r"called with outputs, it raised TypeError: system\(\) .*; mend it"),
        (":make", {}, "to import it raised ValueError: Empty module name"),
    ],
)
def test_what_ones_own_code_raises_is_told_with_its_place(monkeypatch, tmp_path, name, choices, said):
    (tmp_path / "my_failing.py").write_text(OWN_CODE)
    (tmp_path / "my_unmade.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=said) as caught:
        build_backbone(name, **choices)
    assert caught.value.__cause__ is not None, "debuggers see where"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [MemoryError(), ConfigError("own words")])
def test_what_is_no_fault_of_ones_own_code_stays_as_it_is(monkeypatch, error):
    def make(**_):
        raise error

    monkeypatch.setattr(f"{__name__}.Own", make)
    with pytest.raises(type(error)) as caught:
        build_backbone(f"{__name__}:Own")
    assert caught.value is error


def test_sync_norm_between_cpu_processes_is_refused(tmp_path):
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        with pytest.raises(ConfigError, match="norm=sync"):
            build_backbone("resnet18", norm="sync")
    finally:
        dist.destroy_process_group()


@needs_msra
def test_the_published_resnet_50_just_works():
    net = build_backbone("resnet50", weights=MSRA, frozen_stages=2)
    assert (net.stride_in, net.pool, net.norm_eps) == ("1x1", "caffe", 1e-5)
    assert net.pixel_stats == PixelStats((103.06, 115.90, 123.15), (1.0, 1.0, 1.0), "bgr")
    assert len(net.load_report.loaded) == 215
    assert {name.split(".")[0] for name in net.load_report.missing} == {"layer4"}
    assert net.norms["c4"] == "frozen"
    assert net.norms["c5"] == "batch"
    with pytest.raises(WeightsError, match="allow_mismatch"):
        build_backbone("resnet50", weights=MSRA, stride_in="3x3")
