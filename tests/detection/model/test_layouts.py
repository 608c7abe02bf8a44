import pytest
import torch
from torch import nn

from detres.backbones import build_backbone
from detres.backbones.architectures import BACKBONES, VggArchitecture
from detres.backbones.vgg import FullyConnected
from detres.detection.model.box_heads import FcHead, StageHead
from detres.detection.model.layouts import HeadOptions, Layout, outputs_of
from detres.errors import ConfigError
from detres.structures import FeatureSpec
from detres.tables import LAYOUTS

HEAD = HeadOptions(convs=0, conv_channels=8, fcs=2, fc_channels=24, norm="none")


@pytest.fixture(autouse=True)
def small_vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "small", VggArchitecture((1,) * 5, (4, 4, 4, 4, 8), fc_channels=16))


def hang(layout: str, backbone: nn.Module, pool: int | None = None) -> Layout:
    with torch.device("meta"):
        return LAYOUTS[layout](backbone, head=HEAD, pool=pool, fpn_channels=16, fpn_norm="none")


def backbone_for(layout: str, name: str = "resnet18", **options: object) -> nn.Module:
    with torch.device("meta"):
        return build_backbone(name, outputs=outputs_of(layout, name), **options)


def read(hung: Layout) -> tuple[list[torch.Size], torch.Size]:
    """Shapes of the pyramid of images of 64 pixels, and of the head's features of two RoIs."""
    pyramid = hung.neck(hung.backbone(torch.zeros(2, 3, 64, 64, device="meta")))
    pooled = torch.zeros(2, hung.specs[0].channels, hung.pool, hung.pool, device="meta")
    return [maps.shape[1:] for maps in pyramid], hung.head(pooled).shape


def test_c4_shares_conv4_and_runs_conv5_on_fourteen_bins() -> None:
    hung = hang("c4", backbone_for("c4"))
    assert isinstance(hung.head, StageHead)
    assert (hung.specs, hung.roi_levels, hung.pool) == ((FeatureSpec(256, 16),), 1, 14)
    assert hung.head.out_channels == 512
    assert read(hung) == ([(256, 4, 4)], (2, 512))
    assert not hasattr(hung.backbone, "layer4")
    assert hang("c4", backbone_for("c4"), pool=4).pool == 4


@pytest.mark.parametrize("pool", [None, 7])
def test_c4_of_vgg_shares_conv5_and_runs_fc6_and_fc7_on_seven_bins(pool: int | None) -> None:
    hung = hang("c4", backbone_for("c4", "small"), pool=pool)
    assert isinstance(hung.head, FullyConnected)
    assert (hung.specs, hung.roi_levels, hung.pool) == ((FeatureSpec(8, 16),), 1, 7)
    assert hung.head.out_channels == 16
    assert read(hung) == ([(8, 4, 4)], (2, 16))


def test_fc6_takes_no_other_bins() -> None:
    with pytest.raises(ConfigError, match=r"model\.roi\.pool=14: fc6 of small reads 7x7 bins"):
        hang("c4", backbone_for("c4", "small"), pool=14)


def test_dc5_reads_one_map_through_fully_connected_layers() -> None:
    hung = hang("dc5", backbone_for("dc5", output_stride=16))
    assert isinstance(hung.head, FcHead)
    assert (hung.specs, hung.roi_levels, hung.pool) == ((FeatureSpec(512, 16),), 1, 7)
    assert read(hung) == ([(512, 4, 4)], (2, 24))
    assert hang("dc5", backbone_for("dc5", output_stride=16), pool=5).pool == 5


def test_fpn_proposes_from_five_levels_and_pools_from_four() -> None:
    hung = hang("fpn", backbone_for("fpn"))
    assert [spec.stride for spec in hung.specs] == [4, 8, 16, 32, 64]
    assert {spec.channels for spec in hung.specs} == {16}
    assert (hung.roi_levels, hung.pool) == (4, 7)
    assert read(hung) == ([(16, side, side) for side in (16, 8, 4, 2, 1)], (2, 24))
    assert hang("fpn", backbone_for("fpn"), pool=5).pool == 5


def test_fpn_refuses_other_strides() -> None:
    with pytest.raises(ConfigError, match=r"this backbone's are \[4, 8, 16, 16\]"):
        hang("fpn", backbone_for("fpn", output_stride=16))


def test_c4_refuses_a_backbone_that_lends_no_stage() -> None:
    with pytest.raises(ConfigError, match="takes conv5 of a ResNet to each RoI; Identity has no such stage"):
        hang("c4", nn.Identity())


@pytest.mark.parametrize(
    ("layout", "backbone", "expected"),
    [
        ("c4", "resnet50", ("c4", "c5")),
        ("c4", "vgg16", ("c5", "fc7")),
        ("c4", "timm/resnet50", ("c4", "c5")),
        ("dc5", "vgg16", ("c5",)),
        ("fpn", "resnet50", ("c2", "c3", "c4", "c5")),
        ("fpn", "timm/vgg16", ("c2", "c3", "c4", "c5")),
    ],
)
def test_a_split_is_asked_of_c4_alone(layout: str, backbone: str, expected: tuple[str, ...]) -> None:
    assert outputs_of(layout, backbone) == expected
