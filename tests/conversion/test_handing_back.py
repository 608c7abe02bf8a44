"""Detectors of detres's in the hands of torchvision and detectron2, and back again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection import fasterrcnn_resnet50_fpn, fasterrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from detres.backbones.pixels import MSRA_STATS
from detres.backbones.weights.metadata import WeightsMetadata
from detres.config.detection_schema import AnchorsConfig, ModelConfig, TestConfig
from detres.config.yaml_dialect import read_yaml
from detres.conversion.converted import ConvertedDetector, Stated, build_converted
from detres.conversion.detectron2 import reading as detectron2_weights
from detres.conversion.detectron2.writing import to_detectron2
from detres.conversion.torchvision import reading as torchvision_weights
from detres.conversion.torchvision.writing import to_torchvision
from detres.detection.files import DetectorSettings, settings_of
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.errors import WeightsError
from detres.structures import DetectionBatch

State = dict[str, Tensor]
NAMES = ("cat", "dog", "eel", "fox")


def made(detector: ConvertedDetector) -> tuple[FasterRCNN, DetectorSettings]:
    model = build_converted(detector, "made up")
    return model, settings_of(model, detector.model, detector.preprocessing, detector.test, "made up")


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """But for the count of batches, which a frozen norm has no use for."""
    kept = {name: t for name, t in expected.items() if not name.endswith("num_batches_tracked")}
    assert found.keys() == kept.keys()
    for name, tensor in kept.items():
        assert torch.equal(found[name], tensor), name


# detectron2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "architecture", "deep"),
    [("c4", "resnet50", False), ("dc5", "resnet50", False), ("fpn", "resnet18", False), ("fpn", "resnet18", True)],
)
def test_detectron2s_weights_come_back_as_they_were(
    zoo_state: Callable[..., State], layout: str, architecture: str, deep: bool
) -> None:
    theirs = zoo_state(layout, architecture, deep=deep)
    if architecture == "resnet18":
        held = (("pixel_mean", (123.675, 116.28, 103.53)), ("pixel_std", (58.395, 57.12, 57.375)))
        theirs |= {name: torch.tensor(values).view(3, 1, 1) for name, values in held}
    first = detectron2_weights.understand(theirs, Stated(class_names=NAMES), "made up")
    handed = to_detectron2(*handed_in(first))
    assert handed.otherwise == ()
    assert_same(handed.tensors, theirs)
    again = detectron2_weights.understand(handed.tensors, Stated(class_names=NAMES), "made up")
    assert replace(again, tensors={}) == replace(first, tensors={})
    assert_same(again.tensors, first.tensors)


def test_every_setting_that_detectron2_has_is_in_the_config(zoo_state: Callable[..., State]) -> None:
    """And in the file, where one coming back needs it."""
    detector = detectron2_weights.understand(zoo_state("fpn", "resnet18"), Stated(class_names=NAMES), "made up")
    sizes = tuple((float(16 * 2**level),) for level in range(5))
    model = detector.model.model_copy(
        update={
            "anchors": AnchorsConfig(sizes=sizes, ratios=(0.4, 1.0, 2.5), offset=0.5),
            "rpn": detector.model.rpn.model_copy(update={"pre_nms_test": 500, "nms": 0.6}),
            "roi": detector.model.roi.model_copy(update={"aligned": False, "sampling_ratio": 2}),
        }
    )
    backbone = replace(detector.backbone, pixel_stats=MSRA_STATS)
    test = TestConfig(score=0.1, nms=0.4, max_detections=50)
    built, settings = made(replace(detector, model=model, backbone=backbone, test=test))
    handed = to_detectron2(built.state_dict(), settings)
    assert handed.otherwise == ()
    keys, _ = read_yaml("\n".join(handed.build), "what was told")
    assert "_BASE_" not in keys, "it stands alone"
    assert keys["INPUT"] == {"FORMAT": "BGR", "MIN_SIZE_TEST": 800, "MAX_SIZE_TEST": 1333}
    assert keys["TEST"] == {"DETECTIONS_PER_IMAGE": 50}
    stated = keys["MODEL"]
    assert stated["PIXEL_MEAN"] == [103.06, 115.9, 123.15]
    levels, stages = [f"p{k}" for k in range(2, 7)], [f"res{k}" for k in range(2, 6)]
    assert stated["RESNETS"] == {
        "DEPTH": 18,
        "NORM": "FrozenBN",
        "STRIDE_IN_1X1": False,
        "OUT_FEATURES": stages,
        "RES5_DILATION": 1,
        "RES2_OUT_CHANNELS": 64,
    }
    assert stated["BACKBONE"] == {"NAME": "build_resnet_fpn_backbone"}
    assert (stated["FPN"]["IN_FEATURES"], stated["RPN"]["IN_FEATURES"]) == (stages, levels)
    assert stated["ANCHOR_GENERATOR"] == {
        "SIZES": [list(s) for s in sizes],
        "ASPECT_RATIOS": [[0.4, 1.0, 2.5]],
        "OFFSET": 0.5,
    }
    assert (stated["RPN"]["PRE_NMS_TOPK_TEST"], stated["RPN"]["NMS_THRESH"]) == (500, 0.6)
    assert stated["ROI_HEADS"] == {
        "NAME": "StandardROIHeads",
        "IN_FEATURES": levels[:4],
        "NUM_CLASSES": 4,
        "SCORE_THRESH_TEST": 0.1,
        "NMS_THRESH_TEST": 0.4,
    }
    head = stated["ROI_BOX_HEAD"]
    assert (head["POOLER_TYPE"], head["POOLER_SAMPLING_RATIO"], head["FC_DIM"]) == ("ROIAlign", 2, 48)
    again = detectron2_weights.understand(handed.tensors, Stated(class_names=NAMES), "made up")
    # Where in its cell an anchor stands, nothing in the file says.
    assert again.model.anchors == model.anchors.model_copy(update={"offset": 0.0})
    assert again.backbone.pixel_stats == MSRA_STATS


def test_what_detectron2_computes_otherwise_is_said(zoo_state: Callable[..., State]) -> None:
    detector = detectron2_weights.understand(zoo_state("fpn", "resnet18"), Stated(class_names=NAMES), "made up")
    anchors = AnchorsConfig(rounded=True, order="ratio", fitted=True)
    model = detector.model.model_copy(update={"anchors": anchors})
    backbone = replace(detector.backbone, pool="caffe", norm_eps=0.0)
    built, settings = made(replace(detector, model=model, backbone=backbone, test=TestConfig(refine=1)))
    assert set(to_detectron2(built.state_dict(), settings).otherwise) == {
        "model.anchors.rounded is True here, False there",
        "model.anchors.fitted is True here, False there",
        "model.backbone.pool is caffe here, torch there",
        "model.backbone.norm_eps is 0.0 here, 1e-05 there",
        "test.refine is 1 here, 0 there",
    }


@pytest.mark.slow
def test_what_would_not_come_back_is_handed_over_all_the_same(zoo_state: Callable[..., State]) -> None:
    tensors, settings = handed_in(detectron2_weights.understand(zoo_state("dc5"), Stated(class_names=NAMES), "made up"))
    handed = to_detectron2(tensors, replace(settings, backbone=replace(settings.backbone, stride_in="3x3")))
    assert "the first 3×3 of conv5 is dilated there" in handed.otherwise[0]
    assert handed.coming_back == ()


# torchvision


@pytest.fixture(scope="module")
def small() -> nn.Module:
    """torchvision's ResNet-18 FPN, its scores spread out."""
    torch.manual_seed(0)
    model = TorchvisionFasterRCNN(resnet_fpn_backbone(backbone_name="resnet18", weights=None), len(NAMES) + 1)
    generator = torch.Generator().manual_seed(0)
    heads = (model.rpn.head.cls_logits, 0.2), (model.rpn.head.bbox_pred, 0.02)
    predictor = model.roi_heads.box_predictor
    with torch.no_grad():
        for layer, std in (*heads, (predictor.cls_score, 0.25), (predictor.bbox_pred, 0.05)):
            layer.weight.normal_(0, std, generator=generator)
        # The box of the background is nobody's, and does not come back.
        predictor.bbox_pred.weight[:4] = predictor.bbox_pred.bias[:4] = 0
    return model.eval()


def detections_of(lines: tuple[str, ...], state: Mapping[str, Tensor], path: Path, rgb: Tensor) -> dict[str, Tensor]:
    """What the model that these lines build, of these weights, finds; the weights are loaded strictly."""
    torch.save(dict(state), path)
    scope: dict[str, nn.Module] = {}
    exec("\n".join(lines).replace("FILE", str(path)), scope)
    path.unlink()
    with torch.no_grad():
        (found,) = scope["model"]([rgb.permute(2, 0, 1).float() / 255])
    return found


def noise(height: int, width: int) -> Tensor:
    """Smooth noise, uint8 RGB; torchvision does not resize it where its sides are as its settings say."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]
    both = 0.7 * smooth + 0.3 * torch.rand(3, height, width, generator=generator)
    return (both * 255).to(torch.uint8).permute(1, 2, 0).contiguous()


def assert_they_detect_what_we_do(
    model: FasterRCNN, settings: DetectorSettings, path: Path, size: tuple[int, int]
) -> None:
    handed = to_torchvision(model.state_dict(), settings)
    assert handed.otherwise == ()
    rgb = noise(*size)
    theirs = detections_of(handed.build, handed.tensors, path, rgb)
    sizes = torch.tensor([size])
    padded = torch.zeros(1, *(-(-side // 32) * 32 for side in size), 3, dtype=torch.uint8)
    padded[0, : size[0], : size[1]] = rgb
    (ours,) = model.eval().predict(DetectionBatch(padded, sizes, sizes, (0,), (), torch.zeros(1, dtype=torch.int64)))
    near = (ours.boxes[:, None] - theirs["boxes"][None]).abs().amax(dim=2) <= 0.05
    alike = (ours.scores[:, None] - theirs["scores"][None]).abs() <= 1e-4
    partner = near & alike & (ours.labels[:, None] == theirs["labels"][None] - 1)
    assert len(ours) >= 20
    assert len(ours) == len(theirs["scores"])
    assert partner.any(dim=1).all()


def fed(detector: ConvertedDetector, shortest: int, longest: int) -> ConvertedDetector:
    sides = {"shortest_side": (shortest,), "longest_side": longest}
    return replace(detector, preprocessing=detector.preprocessing.model_copy(update=sides))


@pytest.mark.slow
def test_torchvisions_weights_come_back_and_detect_the_same(small: nn.Module, tmp_path: Path) -> None:
    """With another eps of norms, which no state dict holds, and their lines set."""
    theirs = small.state_dict()
    detector = fed(torchvision_weights.understand(theirs, Stated(1e-3, NAMES), "made up"), 160, 224)
    model, settings = made(detector)
    handed = to_torchvision(model.state_dict(), settings)
    assert_same(handed.tensors, theirs)
    again = torchvision_weights.understand(handed.tensors, Stated(1e-3, NAMES), "made up")
    assert_same(again.tensors, model.state_dict())
    assert again.model == detector.model
    assert_they_detect_what_we_do(model, settings, tmp_path / "theirs.pth", (160, 208))


@pytest.mark.slow
def test_a_detector_of_ours_is_built_there_by_the_lines_it_is_handed_with(small: nn.Module, tmp_path: Path) -> None:
    """Exact anchors of other sizes, BGR pixels, Caffe's pool, other thresholds: everything there is a line for."""
    detector = fed(torchvision_weights.understand(small.state_dict(), Stated(1e-5, NAMES), "made up"), 128, 256)
    sizes = tuple((float(size),) for size in (24, 48, 96, 192, 384))
    model = detector.model.model_copy(
        update={
            "anchors": AnchorsConfig(sizes=sizes, ratios=(0.4, 1.0, 2.5), fitted=True),
            "rpn": detector.model.rpn.model_copy(update={"pre_nms_test": 300, "post_nms_test": 100, "nms": 0.6}),
            "roi": detector.model.roi.model_copy(update={"sampling_ratio": 0, "codec_weights": (5.0, 5.0, 4.0, 4.0)}),
        }
    )
    stats = replace(MSRA_STATS, std=(60.0, 50.0, 40.0))
    backbone = replace(detector.backbone, pixel_stats=stats, pool="caffe")
    test = TestConfig(score=0.1, nms=0.4, max_detections=60)
    built, settings = made(replace(detector, model=model, backbone=backbone, test=test))
    assert_they_detect_what_we_do(built, settings, tmp_path / "ours.pth", (128, 256))


@pytest.mark.slow
def test_resnet_50_loads_strictly_and_strides_where_it_did(tmp_path: Path) -> None:
    """The stride in the 1x1; a tall picture whose sides are no multiples of 32."""
    torch.manual_seed(1)
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=len(NAMES) + 1)
    for layer, std in ((theirs.rpn.head.cls_logits, 4e-3), (theirs.roi_heads.box_predictor.cls_score, 5e-3)):
        nn.init.normal_(layer.weight, std=std)
    detector = fed(torchvision_weights.understand(theirs.state_dict(), Stated(1e-5, NAMES), "made up"), 96, 160)
    model, settings = made(replace(detector, backbone=replace(detector.backbone, stride_in="1x1")))
    theirs.load_state_dict(to_torchvision(model.state_dict(), settings).tensors)
    assert_they_detect_what_we_do(model, settings, tmp_path / "r50.pth", (140, 96))


def test_the_second_form_comes_back_as_well() -> None:
    """Four convolutions and batch norm; by names and shapes alone."""
    with torch.device("meta"):
        model = fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=len(NAMES) + 1)
    detector = torchvision_weights.understand(model.state_dict(), Stated(1e-5, NAMES), "made up")
    handed = to_torchvision(*handed_in(detector))
    assert handed.otherwise == ()
    assert "fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=5)" in handed.build[2]
    model.load_state_dict(handed.tensors, strict=True, assign=True)


@pytest.mark.slow
def test_what_torchvision_computes_otherwise_is_said(zoo_state: Callable[..., State], small: nn.Module) -> None:
    """A detector as detres trains them: nothing but how RoIs lie in their cells and p6's stride cannot be told it."""
    detector = torchvision_weights.understand(small.state_dict(), Stated(1e-5, NAMES), "made up")
    model = ModelConfig(backbone=detector.model.backbone, class_names=NAMES)
    built, settings = made(replace(detector, model=model))
    handed = to_torchvision(built.state_dict(), settings)
    assert handed.otherwise == (
        "model.anchors.fitted is False here, True there",
        "model.roi.aligned is True here, False there",
    )


def test_models_that_the_others_do_not_have_are_refused(zoo_state: Callable[..., State], small: nn.Module) -> None:
    c4 = detectron2_weights.understand(zoo_state("c4"), Stated(class_names=NAMES), "made up")
    with pytest.raises(WeightsError, match="FPN only, and this is c4; --to detectron2 takes it"):
        to_torchvision(*handed_in(c4))
    narrow = detectron2_weights.understand(zoo_state("fpn", "resnet18"), Stated(class_names=NAMES), "made up")
    with pytest.raises(WeightsError, match=r"because of model\.fpn\.channels or .*; model\.roi\.head_fc_channels"):
        to_torchvision(*handed_in(narrow))
    three = narrow.model.model_copy(update={"anchors": AnchorsConfig(sizes=((8.0, 16.0, 32.0),) * 5, ratios=(1.0,))})
    with pytest.raises(WeightsError, match="not one size a level in three ratios"):
        to_torchvision(*handed_in(replace(narrow, model=three)))
    basic = ModelConfig(layout="c4", backbone=narrow.model.backbone, class_names=NAMES)
    for model, backbone, said in (
        (basic, narrow.backbone, "c4 of ResNets with bottlenecks only"),
        (narrow.model.model_copy(update={"global_context": True}), narrow.backbone, "reads the global context"),
        (narrow.model, replace(narrow.backbone, shortcut="A"), "shortcuts of kind A"),
        (narrow.model, WeightsMetadata("timm/resnet18", MSRA_STATS), "ResNets of 18 to 152 layers are handed back"),
    ):
        settings = DetectorSettings(model, narrow.preprocessing, narrow.test, backbone, {"c1": "frozen"})
        with pytest.raises(WeightsError, match=said):
            to_detectron2(narrow.tensors, settings)
    settings = DetectorSettings(narrow.model, narrow.preprocessing, narrow.test, narrow.backbone, {"c1": "group"})
    with pytest.raises(WeightsError, match="its backbone has group norm"):
        to_detectron2(narrow.tensors, settings)


def handed_in(detector: ConvertedDetector) -> tuple[State, DetectorSettings]:
    """Without the cost of building it."""
    settings = DetectorSettings(
        detector.model, detector.preprocessing, detector.test, detector.backbone, {"c1": "frozen"}
    )
    return dict(detector.tensors), settings
