"""With the same weights, mmdetection's Faster R-CNN, as its rules are written down, and ours detect the same."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detres.config.loading import read_override
from detres.conversion.converted import ConvertedDetector, Stated, build_converted
from detres.conversion.mmdetection.reading import convert_checkpoint
from detres.errors import ConfigError, WeightsError
from detres.structures import IMAGENET_STATS, DetectionBatch

# 1.x and what followed have other names for the same settings; so few proposals are enough for a test.
NEW_CONFIG = """
model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=50, style={style!r}, norm_eval=True),
    neck=dict(type='FPN', num_outs=5), rpn_head=dict(type='RPNHead'),
    roi_head=dict(type='StandardRoIHead', bbox_head=dict(type='Shared2FCBBoxHead', loss_bbox=dict(type='L1Loss'))),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=150, nms=dict(type='nms', iou_threshold=0.7))))
"""
OLD_CONFIG = """
model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=50, style={style!r}),
    bbox_roi_extractor=dict(type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', out_size=7, sample_num=2)),
    bbox_head=dict(type='SharedFCBBoxHead', loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0)))
test_cfg = dict(rpn=dict(nms_pre=100, nms_post=150, max_num=150, nms_thr=0.7, nms_across_levels=False))
"""


def batch_of(rgb: Tensor) -> DetectionBatch:
    """One picture, padded to multiples of 32."""
    size = torch.tensor([rgb.shape[:2]])
    padded = nn.functional.pad(rgb, (0, 0, 0, -rgb.shape[1] % 32, 0, -rgb.shape[0] % 32))[None]
    return DetectionBatch(padded, size, size, (0,), (), torch.arange(1))


def convert(
    state: Mapping[str, Tensor], text: str | None, stated: Stated | None = None, **meta: Any
) -> ConvertedDetector:
    return convert_checkpoint(state, {"config": text, **meta}, stated or Stated(), recipe="a test")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "style", "old", "dtype"),
    [
        (50, "pytorch", False, torch.float32),
        (50, "caffe", False, torch.float32),
        (18, "caffe", True, torch.float64),
    ],
    ids=["pytorch", "caffe", "1.x"],
)
def test_detections_are_theirs(mmdetection: ModuleType, depth: int, style: str, old: bool, dtype: torch.dtype) -> None:
    """A box of 1.x ends with its last pixel there."""
    rules = mmdetection.Rules(style, old, pre_nms=100, post_nms=150)
    state = mmdetection.random_state(depth, classes=6, rules=rules)
    detector = convert(state, (OLD_CONFIG if old else NEW_CONFIG).format(style=style))
    model = build_converted(detector, "a test").to(dtype).eval()
    rgb = mmdetection.picture(90, 120)
    expected = mmdetection.detect({name: tensor.to(dtype) for name, tensor in state.items()}, rgb, rules)
    (found,) = model.predict(batch_of(rgb))
    assert len(found) >= 20
    assert len(found.labels.unique()) >= 2
    assert mmdetection.unmatched(found.boxes, found.scores, found.labels, expected) == 0


@pytest.fixture(scope="module")
def state(mmdetection: ModuleType) -> dict[str, Tensor]:
    """Of 2.x and 3.x, for three classes."""
    return mmdetection.random_state(18, classes=3, channels=16, width=24)


@pytest.fixture(scope="module")
def old_state(mmdetection: ModuleType) -> dict[str, Tensor]:
    """Of 1.x, for three classes and the background."""
    return mmdetection.random_state(18, classes=3, channels=16, width=24, rules=mmdetection.Rules(old=True))


# As 3.x writes it, its classes named with their modules, and everything otherwise than usual.
UNUSUAL = """
model = dict(type='mmdet.models.FasterRCNN',
    data_preprocessor=dict(mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True, pad_size_divisor=64),
    backbone=dict(type='mmdet.models.ResNet', style='caffe', norm_eval=False, norm_cfg=dict(type='BN', eps=1e-3)),
    rpn_head=dict(
        anchor_generator=dict(type='AnchorGenerator', scales=[4, 8], ratios=[1.0], strides=[4, 8, 16, 32, 64],
            center_offset=0.25),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0, 0, 0, 0], target_stds=[0.5, 0.5, 1, 1]),
        loss_bbox=dict(type='SmoothL1Loss', beta=1.0 / 9.0, loss_weight=2.0)),
    roi_head=dict(
        bbox_roi_extractor=dict(finest_scale=28, roi_layer=dict(type='RoIAlign', sampling_ratio=3, aligned=False)),
        bbox_head=dict(bbox_coder=dict(target_stds=[0.05, 0.05, 0.1, 0.1]), loss_bbox=dict(type='GIoULoss'))),
    train_cfg=dict(rpn_proposal=dict(nms_pre=11, max_per_img=12)),
    test_cfg=dict(rpn=dict(nms_pre=13, max_per_img=14, nms=dict(type='nms', iou_threshold=0.6), min_bbox_size=3),
        rcnn=dict(score_thr=0.01, nms=dict(type='soft_nms', iou_threshold=0.4), max_per_img=15)))
test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize', scale=(640, 480), keep_ratio=True)]))
"""


def test_every_setting_that_is_stated_is_taken(state: dict[str, Tensor]) -> None:
    theirs = {
        name: tensor[: len(tensor) * 2 // 3] if ".rpn_cls" in name or ".rpn_reg" in name else tensor
        for name, tensor in state.items()
    }
    detector = convert(theirs, UNUSUAL)
    model = detector.model
    assert (detector.backbone.pixel_stats.mean, detector.backbone.pixel_stats.std) == ((1, 2, 3), (4, 5, 6))
    assert (detector.backbone.pixel_stats.order, detector.backbone.norm_eps) == ("rgb", 1e-3)
    assert (model.backbone.norm, model.pad_to, model.fpn.channels) == ("batch", 64, 16)
    assert model.anchors.sizes == ((16, 32), (32, 64), (64, 128), (128, 256), (256, 512))
    assert (model.anchors.ratios, model.anchors.offset, model.anchors.order) == ((1.0,), 0.25, "ratio")
    rpn = model.rpn
    assert (rpn.pre_nms_train, rpn.post_nms_train, rpn.pre_nms_test, rpn.post_nms_test) == (11, 12, 13, 14)
    assert (rpn.nms, rpn.min_size, rpn.codec_weights) == (0.6, 3, (2, 2, 1, 1))
    assert (rpn.box_loss.name, rpn.box_loss.beta, rpn.box_loss.weight) == ("smooth_l1", 1 / 9, 2.0)
    roi = model.roi
    assert (roi.sampling_ratio, roi.aligned, roi.canonical_size, roi.canonical_level) == (3, False, 112, 4)
    assert (roi.codec_weights, roi.box_loss.name, roi.head_fcs, roi.head_fc_channels) == (
        (20, 20, 10, 10),
        "giou",
        2,
        24,
    )
    assert (detector.test.score, detector.test.nms, detector.test.max_detections) == (0.01, 0.4, 15)
    data = detector.preprocessing
    assert (data.shortest_side, data.longest_side, data.rounding) == ((480,), 640, "nearest")
    assert any("soft_nms" in line for line in detector.told)
    build_converted(detector, "a test")


def test_without_a_config_the_style_is_asked_for_and_the_rest_is_as_usual(state: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match="--stride-in 1x1 for style caffe"):
        convert(state, None)
    detector = convert(state, None, Stated(stride_in="3x3"))
    assert detector.backbone.pixel_stats == IMAGENET_STATS
    assert detector.model.anchors.sizes == ((32,), (64,), (128,), (256,), (512,))
    roi = detector.model.roi
    assert (roi.aligned, roi.sampling_ratio, roi.codec_weights) == (True, 0, (10, 10, 5, 5))
    assert (detector.model.anchors.rounded, detector.model.anchors.offset) == (False, 0)
    assert (detector.preprocessing.shortest_side, detector.preprocessing.longest_side) == ((800,), 1333)
    assert any("holds no config" in line for line in detector.told)


def test_a_style_that_contradicts_the_config_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match="--stride-in 3x3: its config says style caffe"):
        convert(state, NEW_CONFIG.format(style="caffe"), Stated(stride_in="3x3"))
    with pytest.raises(WeightsError, match="style=tensorflow; there are caffe and pytorch"):
        convert(state, NEW_CONFIG.format(style="tensorflow"))


def test_a_config_that_is_no_python_is_told_and_passed_over(state: dict[str, Tensor]) -> None:
    detector = convert(state, "model = dict(", Stated(stride_in="1x1"))
    assert detector.backbone.pixel_stats.order == "bgr"
    assert any("its config cannot be read" in line for line in detector.told)


def test_the_background_of_1x_moves_to_the_end_and_its_box_goes(old_state: dict[str, Tensor]) -> None:
    detector = convert(old_state, None, Stated(stride_in="1x1"))
    logits, deltas = old_state["bbox_head.fc_cls.bias"], old_state["bbox_head.fc_reg.weight"]
    assert torch.equal(detector.tensors["roi.class_logits.bias"], logits[[1, 2, 3, 0]])
    assert torch.equal(detector.tensors["roi.deltas.weight"], deltas[4:])
    assert detector.backbone.pixel_stats.mean == (102.9801, 115.9465, 122.7717)
    assert (detector.model.anchors.rounded, detector.model.anchors.offset) == (True, 0.5)
    assert (detector.model.roi.aligned, detector.model.roi.sampling_ratio) == (False, 2)
    assert any(line.startswith("mmdetection 1.x") for line in detector.told)


def test_one_box_for_all_classes_stays_one(mmdetection: ModuleType) -> None:
    for old in (False, True):
        rules = mmdetection.Rules(old=old, agnostic=True)
        theirs = mmdetection.random_state(18, classes=3, channels=16, width=24, rules=rules)
        detector = convert(theirs, None, Stated(stride_in="3x3"))
        assert detector.model.roi.class_agnostic
        assert detector.tensors["roi.deltas.weight"].shape == (4, 24)


def test_classes_are_named_by_the_file_by_the_user_or_by_their_number(state: dict[str, Tensor]) -> None:
    text = NEW_CONFIG.format(style="pytorch")
    assert convert(state, text, CLASSES=("a", "b", "c")).model.class_names == ("a", "b", "c")
    assert convert(state, text, dataset_meta={"classes": ("a", "b", "c")}).model.class_names == ("a", "b", "c")
    assert convert(state, text, CLASSES=None).model.class_names == ("class 0", "class 1", "class 2")
    stated = Stated(class_names=["x", "y", "z"])
    assert convert(state, text, stated, CLASSES=("a", "b", "c")).model.class_names == ("x", "y", "z")
    with pytest.raises(WeightsError, match="2 class names for weights with 3 classes"):
        convert(state, text, Stated(class_names=["x", "y"]))


def test_norms_and_convolutions_of_neck_and_head_are_taken_by_their_names(state: dict[str, Tensor]) -> None:
    """Of large-scale jitter: batch norm throughout, four convolutions before one layer, two in the RPN."""
    theirs = {n: t for n, t in state.items() if not n.startswith("rpn_head.rpn_conv")}
    for n in range(2):
        for part in ("weight", "bias"):
            theirs[f"rpn_head.rpn_conv.{n}.conv.{part}"] = state[f"rpn_head.rpn_conv.{part}"]
    norm = {part: torch.ones(16) for part in ("weight", "bias", "running_mean", "running_var")}
    blocks = [f"neck.{kind}_convs.{level}" for kind in ("lateral", "fpn") for level in range(4)]
    for block in blocks:
        del theirs[f"{block}.conv.bias"]
    for n in range(4):
        block = f"roi_head.bbox_head.shared_convs.{n}"
        theirs[f"{block}.conv.weight"] = torch.zeros(16, 16, 3, 3)
        blocks.append(block)
    for block in blocks:
        theirs |= {f"{block}.bn.{part}": tensor for part, tensor in norm.items()}
        theirs[f"{block}.bn.num_batches_tracked"] = torch.tensor(7)
    for part in ("weight", "bias"):
        del theirs[f"roi_head.bbox_head.shared_fcs.1.{part}"]
    detector = convert(theirs, NEW_CONFIG.format(style="pytorch"))
    roi = detector.model.roi
    assert (roi.head_convs, roi.head_conv_channels, roi.head_fcs, roi.head_norm) == (4, 16, 1, "batch")
    assert (detector.model.fpn.norm, detector.model.rpn.convs) == ("batch", 2)
    build_converted(detector, "a test")


def test_a_mask_head_is_left_over_and_told(state: dict[str, Tensor]) -> None:
    theirs = state | {"roi_head.mask_head.convs.0.conv.weight": torch.zeros(1)}
    text = NEW_CONFIG.format(style="pytorch").replace("FasterRCNN", "MaskRCNN")
    told = convert(theirs, text).told
    assert "left over, 1 tensors of a mask head, from roi_head.mask_head.convs.0.conv.weight" in told


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("bbox_head.retina_cls.weight", "RetinaNet"),
        ("bbox_head.cls_convs.0.conv.weight", "RetinaNet"),
        ("roi_head.bbox_head.0.fc_cls.weight", "Cascade R-CNN"),
        ("bbox_head.0.fc_cls.weight", "Cascade R-CNN"),
        ("roi_head.shared_head.layer4.0.conv1.weight", "Faster R-CNN C4"),
        ("neck.fpn_convs.4.conv.weight", "add_extra_convs"),
        ("backbone.layer2.0.conv2_offset.weight", "deformable convolutions"),
        ("backbone.stem.0.weight", "1 unknown names, the first"),
        ("roi_head.bbox_head.cls_fcs.0.weight", "1 unknown names, the first"),
    ],
)
def test_other_networks_are_refused_by_what_their_names_give_away(
    state: dict[str, Tensor], name: str, what: str
) -> None:
    with pytest.raises(WeightsError, match=what):
        convert(state | {name: torch.zeros(1)}, None, Stated(stride_in="3x3"))


def test_a_network_without_a_neck_is_refused(state: dict[str, Tensor]) -> None:
    theirs = {name: tensor for name, tensor in state.items() if not name.startswith("neck.")}
    with pytest.raises(WeightsError, match=r"nothing for \['neck\.lateral\.0\.0\.weight', "):
        convert(theirs, None, Stated(stride_in="3x3"))
    with pytest.raises(WeightsError, match=r"nothing for \['roi\.deltas\.bias'\]"):
        convert(state | {"roi_head.bbox_head.fc_reg.bias": torch.zeros(())}, None, Stated(stride_in="3x3"))


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("type='CascadeRCNN'", r"model\.type=CascadeRCNN, expected FasterRCNN or MaskRCNN"),
        ("backbone=dict(type='ResNeXt')", r"model\.backbone\.type=ResNeXt"),
        ("backbone=dict(dilations=(1, 1, 1, 2))", r"model\.backbone\.dilations=\[1, 1, 1, 2\], expected"),
        ("neck=dict(add_extra_convs='on_output')", r"model\.neck\.add_extra_convs=on_output"),
        ("rpn_head=dict(loss_cls=dict(use_sigmoid=False))", r"use_sigmoid=False, expected True"),
        ("rpn_head=dict(bbox_coder=dict(target_means=[0, 0, 0, 1]))", r"subtracts means from boxes"),
        ("test_cfg=dict(rpn=dict(nms_across_levels=True))", r"nms_across_levels=True"),
        ("test_cfg=dict(rcnn=dict(score_thr='high'))", r"rcnn\.score_thr='high', which detres cannot use: "),
        (
            "roi_head=dict(bbox_head=dict(cls_predictor_cfg=dict(type='NormedLinear')))",
            r"NormedLinear, expected Linear",
        ),
        ("roi_head=dict(bbox_head=dict(loss_cls=dict(type='SeesawLoss')))", r"SeesawLoss, expected CrossEntropyLoss"),
        ("backbone=dict(conv_cfg=dict(type='ConvWS'))", r"model\.backbone\.conv_cfg\.type=ConvWS"),
        ("roi_head=dict(bbox_roi_extractor=dict(type='GenericRoIExtractor'))", r"GenericRoIExtractor"),
    ],
)
def test_settings_that_cannot_be_had_are_refused_by_name(state: dict[str, Tensor], section: str, problem: str) -> None:
    with pytest.raises(WeightsError, match=problem):
        convert(state, f"model = dict({section})", Stated(stride_in="3x3"))


def test_an_image_that_loses_its_ratio_is_refused(state: dict[str, Tensor]) -> None:
    text = NEW_CONFIG.format(style="pytorch") + "test_pipeline = [dict(type='Resize', scale=(9, 9), keep_ratio=False)]"
    with pytest.raises(WeightsError, match="resizes without keep_ratio"):
        convert(state, text)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("anchor_generator=dict(octave_base_scale=4, scales_per_octave=300000000)", "=300000000, expected a whole"),
        ("anchor_generator=dict(octave_base_scale=4, scales_per_octave=0)", "scales_per_octave=0, expected a whole"),
        ("anchor_generator=dict(octave_base_scale=4, scales_per_octave=0.5)", "scales_per_octave=0.5, expected"),
        (f"anchor_generator=dict(scales={[8] * 65})", "as anchors' scales, expected 64 numbers at most"),
        (f"anchor_base_sizes={[8] * 65}", "as anchors' base sizes"),
        ("anchor_generator=dict(ratios='many')", "'many' as anchors' ratios"),
    ],
)
def test_anchors_do_not_grow_without_bound(state: dict[str, Tensor], section: str, problem: str) -> None:
    with pytest.raises(WeightsError, match=problem):
        convert(state, f"model = dict(rpn_head=dict({section}))", Stated(stride_in="3x3"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model = dict(data_preprocessor=dict(pad_size_divisor=4097))", "model.pad_to is 4097, expected 4096 at most"),
        ("test_pipeline = [dict(type='Resize', scale=(99999, 99999))]", "expected 65536 at most"),
        ("model = dict(backbone=dict(style='pytorch', norm_cfg=dict(eps=-1e-5)))", "norm_eps is -1e-05; it takes"),
        ("model = dict(data_preprocessor=dict(mean=[0, 0, 0], std=[0, 1, 1]))", "std"),
    ],
)
def test_what_no_detectors_file_may_say_is_refused(state: dict[str, Tensor], text: str, problem: str) -> None:
    with pytest.raises((WeightsError, ConfigError), match=problem):
        convert(state, text, Stated(stride_in="3x3"))


def test_what_detres_cannot_use_is_named_and_may_be_stated(state: dict[str, Tensor]) -> None:
    """-1 is no limit there."""
    text = "model = dict(test_cfg=dict(rcnn=dict(max_per_img=-1)), data_preprocessor=dict(pad_size_divisor=0))"
    with pytest.raises(WeightsError, match=r"pad_size_divisor=0, which .*; say another with model\.pad_to=…$"):
        convert(state, text, Stated(stride_in="3x3"))
    padded = read_override("model.pad_to=1")
    with pytest.raises(WeightsError) as refused:
        convert(state, text, Stated(stride_in="3x3", layers=[padded]))
    assert str(refused.value).startswith("its config says model.test_cfg.rcnn.max_per_img=-1, which detres cannot use")
    assert str(refused.value).endswith("; say another with test.max_detections=…")
    assert "pydantic" not in str(refused.value)
    layers = [padded, read_override("test.max_detections=300")]
    detector = convert(state, text, Stated(stride_in="3x3", layers=layers))
    assert (detector.test.max_detections, detector.model.pad_to) == (300, 1)
    assert "  stated test.max_detections=300" in detector.told


def test_tests_at_several_looks_and_across_classes_are_told(state: dict[str, Tensor]) -> None:
    text = """
model = dict(test_cfg=dict(rcnn=dict(nms=dict(type='nms', iou_threshold=0.5, class_agnostic=True))))
data = dict(test=dict(pipeline=[dict(type='MultiScaleFlipAug', img_scale=[(1333, 640), (1333, 800)], flip=True)]))
"""
    told = "\n".join(convert(state, text, Stated(stride_in="3x3")).told)
    assert "its config tests at 2 sizes, [[1333, 640], [1333, 800]]; here at the last, unless test.scales=…" in told
    assert "its config tests mirrored images as well; here none is, unless test.flip=true" in told
    assert "its config suppresses across classes in tests (model.test_cfg.rcnn.nms.class_agnostic)" in told
