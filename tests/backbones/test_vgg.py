"""VGG-16 against torchvision's, and small nets of its kind by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.vgg import VGG, cfgs, make_layers

from detres.backbones import build_backbone
from detres.backbones.architectures import BACKBONES, VggArchitecture
from detres.backbones.complexity import cost_of
from detres.backbones.norms import FrozenBatchNorm
from detres.backbones.vgg import Vgg
from detres.backbones.weights.files import read_weights, write_weights
from detres.backbones.weights.loading import save_backbone
from detres.backbones.weights.metadata import WeightsMetadata
from detres.backbones.weights.tags import find_published
from detres.classification.classifier import build_classifier
from detres.classification.testing import dense_softmax
from detres.errors import ConfigError, WeightsError
from detres.files.checksums import sha256
from detres.structures import FeatureSpec

MAPS = {"features.3": "c1", "features.8": "c2", "features.15": "c3", "features.22": "c4", "features.29": "c5"}
# One convolution in the first two stages, two in the others, and fc6 and fc7 of 16.
SMALL = VggArchitecture((1, 1, 2, 2, 2), (8, 8, 12, 12, 8), fc_channels=16)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def small_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """small and small_bn are names of backbones."""
    monkeypatch.setitem(BACKBONES, "small", SMALL)
    monkeypatch.setitem(BACKBONES, "small_bn", VggArchitecture(SMALL.depths, SMALL.widths, 16, batch_norm=True))


def relative_error(got: Tensor, expected: Tensor) -> float:
    return ((got - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.slow
def test_torchvisions_weights_give_torchvisions_logits_and_maps() -> None:
    theirs = VGG(make_layers(cfgs["D"]), init_weights=False).eval()
    with torch.device("meta"):
        ours = build_classifier("vgg16", num_classes=1000).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    # fc6 reads 7×7 cells; those of 64 pixels are 2×2, and are pooled to as many.
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = create_feature_extractor(theirs, MAPS | {"classifier.5": "fc7", "classifier.6": "logits"})(images)
        assert relative_error(ours.predict(images), maps["logits"]) <= 1e-5
        found = Vgg.forward(ours, images)
        ours.outputs = ours.stages
        found |= Vgg.forward(ours, images)
    assert list(found) == ["c2", "c3", "c4", "c5", "c1", "fc7"]
    for stage, features in found.items():
        assert features.shape == maps[stage].shape
        assert relative_error(features, maps[stage]) <= 1e-5


def test_torchvisions_weights_with_batch_norm_give_its_maps(randomize: Callable[[nn.Module], nn.Module]) -> None:
    theirs = nn.Sequential()
    theirs.features = randomize(make_layers(cfgs["D"], batch_norm=True)).eval()
    ours = build_backbone("vgg16_bn", outputs=("c3", "c5")).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(1, 3, 48, 64)
    expected = create_feature_extractor(theirs.features, {"22": "c3", "42": "c5"})(images)
    # With gradients batch norms are computed as such, without them they are folded into the convolutions.
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            for stage, features in ours(images).items():
                assert relative_error(features, expected[stage]) <= 1e-5
    ours.freeze_norms(ours.stages)
    assert relative_error(ours(images)["c5"], expected["c5"]) <= 1e-5
    assert set(ours.norms.values()) == {"frozen"}


@pytest.mark.parametrize(("name", "count"), [("vgg16", 138_357_544), ("vgg16_bn", 138_365_992)])
def test_names_shapes_and_counts_are_torchvisions(name: str, count: int) -> None:
    with torch.device("meta"):
        theirs, ours = torchvision.models.get_model(name), build_classifier(name, num_classes=1000)
    assert sum(p.numel() for p in ours.parameters()) == count
    mine, other = ours.state_dict(), theirs.state_dict()
    assert [(key, tensor.shape) for key, tensor in mine.items()] == [(k, t.shape) for k, t in other.items()]
    theirs.load_state_dict(mine, strict=True, assign=True)


def test_multiply_adds_are_those_torchvision_publishes_and_the_papers_without_the_linear_layers() -> None:
    cost = cost_of("vgg16")
    published = torchvision.models.VGG16_Weights.IMAGENET1K_V1.meta
    assert cost.parameters == published["num_params"]
    assert cost.multiply_adds / 1e9 == pytest.approx(published["_ops"], abs=0.005)
    convolutions = sum(stage.multiply_adds for stage in cost.stages if stage.stage.startswith("c"))
    assert round(convolutions / 1e9, 1) == 15.3
    assert [(s.stage, s.channels, s.size[0]) for s in cost.stages] == [
        *(("c1", 64, 224), ("c2", 128, 112), ("c3", 256, 56), ("c4", 512, 28), ("c5", 512, 14)),
        *(("fc7", 4096, 1), ("fc", 1000, 1)),
    ]


def test_maps_have_the_channels_and_strides_they_declare() -> None:
    net = Vgg(SMALL, outputs=("c5", "c1", "c3", "fc7"))
    assert net.outputs == ("c1", "c3", "c5", "fc7")
    assert net.specs == {"c1": FeatureSpec(8, 1), "c3": FeatureSpec(12, 4), "c5": FeatureSpec(8, 16)}
    found = net(torch.randn(2, 3, 64, 100))
    assert [tuple(features.shape) for features in found.values()] == [
        *((2, 8, 64, 100), (2, 12, 16, 25), (2, 8, 4, 6), (2, 16)),
    ]
    assert not hasattr(Vgg(SMALL), "classifier")
    with pytest.raises(ValueError, match="has no fc7, c6; its stages are c1, c2, c3, c4, c5"):
        Vgg(SMALL).checked_outputs(("fc7", "c6"))


def test_the_map_of_a_strip_keeps_a_row() -> None:
    net = Vgg(SMALL, outputs=("c5", "fc7"))
    found = net(torch.randn(1, 3, 5, 70))
    assert found["c5"].shape == (1, 8, 1, 4)
    assert found["fc7"].shape == (1, 16)


def test_every_name_belongs_to_a_stage(small_names: None) -> None:
    for name in ("small", "small_bn"):
        net = build_classifier(name, num_classes=3)
        held = {id(p): stage for stage in net.stages for m in net.modules_of(stage) for p in m.parameters()}
        for key, parameter in net.named_parameters():
            assert net.stage_of(key) == held.get(id(parameter), "fc"), key
    assert net.stage_of("classifier.6.weight") == "fc"


@pytest.mark.parametrize("name", ["small", "small_bn"])
def test_frozen_stages_do_not_move(name: str, small_names: None, tmp_path: Path) -> None:
    save_backbone(tmp_path / "w.safetensors", build_backbone(name, outputs=("c5", "fc7")), recipe="none")
    net = build_backbone(name, weights=tmp_path / "w.safetensors", outputs=("c5", "fc7"), frozen_stages=2).train()
    assert all(isinstance(m, FrozenBatchNorm) for m in net.modules() if hasattr(m, "running_var"))
    assert net.norms == ({} if name == "small" else dict.fromkeys(("c1", "c2", "c3", "c4", "c5"), "frozen"))
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.1)
    net(torch.randn(2, 3, 64, 64))["fc7"].sum().backward()
    optimizer.step()
    moved = {net.stage_of(key) for key, tensor in net.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved == {"c3", "c4", "c5", "fc7"}
    with pytest.raises(WeightsError, match="frozen_stages=2 freezes c1, c2 of small"):
        build_backbone(name, frozen_stages=2)


def test_weights_load_into_other_classes_and_into_a_trunk(small_names: None, tmp_path: Path) -> None:
    other = build_classifier("small", num_classes=7)
    write_weights(tmp_path / "w.safetensors", other.state_dict(), WeightsMetadata("small", SMALL.pixel_stats))
    classifier = build_classifier("small", num_classes=5, weights=tmp_path / "w.safetensors")
    last = {"classifier.6.weight", "classifier.6.bias"}
    assert set(classifier.load_report.missing) == set(classifier.load_report.left_over) == last
    trunk = build_backbone("small", weights=tmp_path / "w.safetensors", outputs=("c5", "fc7"))
    assert not trunk.load_report.missing
    assert set(trunk.load_report.left_over) == last
    assert torch.equal(trunk.classifier[3].weight, other.classifier[3].weight)
    lines = trunk.load_report.lines()
    assert "small, pixels rgb" in lines[0]
    assert "  norms: none" in lines


def test_timms_form_of_the_net_is_refused_where_its_linear_layers_would_be_lost(
    small_names: None, tmp_path: Path
) -> None:
    tensors = build_backbone("small").state_dict() | {"pre_logits.fc1.weight": torch.zeros(16, 8, 7, 7)}
    write_weights(tmp_path / "w.safetensors", tensors, WeightsMetadata("small", SMALL.pixel_stats))
    with pytest.raises(WeightsError, match="timm's form of a VGG net"):
        build_backbone("small", weights=tmp_path / "w.safetensors")


def test_fc6_and_fc7_are_taken_out_to_be_run_on_regions() -> None:
    net = Vgg(SMALL, outputs=("c5", "fc7")).eval()
    cells = torch.randn(3, 8, 7, 7)
    expected = net.classifier(cells.flatten(1))
    with pytest.raises(ValueError, match="cannot take c5"):
        net.take_stage("c5")
    head = net.take_stage("fc7").eval()
    assert head.out_channels == 16
    torch.testing.assert_close(head(cells), expected)
    assert head(cells[:0]).shape == (0, 16)
    assert net.outputs == net.stages[-1:] == ("c5",)
    assert list(net(torch.randn(1, 3, 32, 32))) == ["c5"]
    assert not any(key.startswith("classifier") for key in net.state_dict())


def test_dropout_is_of_training_alone_and_drawn_from_the_global_generator() -> None:
    net = Vgg(SMALL, outputs=("c5", "fc7"))
    head, cells = net.take_stage("fc7"), torch.rand(64, 8, 7, 7)
    nn.init.constant_(head.fc7.bias, 1.0)
    assert (head.eval()(cells) != 0).all()
    torch.manual_seed(3)
    first = head.train()(cells)
    assert 0.4 < (first == 0).float().mean() < 0.6
    assert not torch.equal(first, head(cells))
    torch.manual_seed(3)
    assert torch.equal(first, head(cells))


def test_a_dense_test_reads_every_placement_as_a_crop_of_its_own() -> None:
    net = Vgg(SMALL, num_classes=4).eval()
    nn.init.normal_(net.classifier[6].weight)
    images = torch.randn(2, 3, 9 * 32, 8 * 32)
    with torch.no_grad():
        cells = net.last_map(images)
        assert cells.shape[2:] == (9, 8)
        crops = [cells[:, :, y : y + 7, x : x + 7].flatten(1) for y in range(3) for x in range(2)]
        scores = torch.stack([net.classifier(crop) for crop in crops], dim=1)
        torch.testing.assert_close(net.placed_logits(cells, (7, 7)), scores)
        torch.testing.assert_close(dense_softmax(net, images, (7, 7)), scores.softmax(dim=2).mean(dim=1))
        one = net.placed_logits(cells, (9, 8))
        torch.testing.assert_close(one[:, 0], net.logits(images))


@pytest.mark.parametrize(
    ("name", "choices", "told"),
    [
        ("vgg16", {"shortcut": "A"}, r"no shortcuts.*got shortcut='A'.*model\.backbone\.shortcut=null"),
        ("vgg16", {"stride_in": "3x3"}, "no 1x1 convolutions"),
        ("vgg16_bn", {"output_stride": 16}, r"strides that are fixed.*model\.backbone\.output_stride=32"),
        ("vgg16", {"zero_init_last": True, "allow_mismatch": True}, "zero_init_last=True, allow_mismatch=True"),
        ("vgg16", {"norm": "frozen"}, "has no norms, got norm='frozen'.*or use vgg16_bn"),
        ("vgg16", {"norm_eps": 1e-3}, "has no norms"),
        ("vgg16_bn", {"norm": {"c1": "batch"}}, r"norm names \['c1'\]; its stages are \['c1', 'c2'"),
        ("vgg16", {"frozen_stages": 6}, "frozen_stages is 6 of 5 stages"),
        ("vgg16", {"outputs": ("c6",)}, "has no c6"),
        ("vgg19", {}, "did you mean vgg16"),
    ],
)
def test_choices_that_mean_nothing_are_refused(name: str, choices: dict[str, object], told: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=told):
        build_backbone(name, **choices)


def test_a_classifier_refuses_what_drops_and_recomputes_residual_blocks() -> None:
    with pytest.raises(ConfigError, match=r"model\.drop_path=0\.0 model\.checkpoint_blocks=false"):
        build_classifier("vgg16", num_classes=2, drop_path=0.1, checkpoint_blocks=True)


@pytest.mark.parametrize(
    ("name", "tag"), [("vgg16", "IMAGENET1K_V1"), ("vgg16", "IMAGENET1K_FEATURES"), ("vgg16_bn", "IMAGENET1K_V1")]
)
def test_published_weights_have_the_pixel_statistics_torchvision_states(name: str, tag: str) -> None:
    transform = torchvision.models.get_model_weights(name)[tag].transforms()
    stats = find_published(f"torchvision/{tag}", name).metadata.pixel_stats
    assert stats.mean == pytest.approx([255 * value for value in transform.mean], abs=1e-4)
    assert stats.std == pytest.approx([255 * value for value in transform.std], abs=1e-4)
    assert stats.order == "rgb"


@pytest.mark.parametrize("prefix", ["vgg16", "vgg16_bn", "vgg16_features-amdegroot"])
def test_torchvisions_files_are_recognised(prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"features.0.weight": torch.ones(1)}, path)
    known = read_weights(path.rename(tmp_path / f"{prefix}-{sha256(path)[:8]}.pth")).metadata
    assert known.architecture == prefix.removesuffix("_features-amdegroot")
    assert (known.pixel_stats.std == (1.0, 1.0, 1.0)) == ("features" in prefix)
