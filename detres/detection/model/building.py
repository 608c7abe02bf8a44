"""A model's config becomes a FasterRCNN: the only place of this floor where config sections are unpacked."""

from __future__ import annotations

from typing import Literal

from detres.backbones.network import Backbone
from detres.backbones.norms import Norm
from detres.config.detection_schema import ModelConfig, TestConfig
from detres.config.losses import BoxLossConfig, ObjectnessLossConfig
from detres.detection.model.anchors import AnchorGrid, default_sizes
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.layouts import HeadOptions, Layout
from detres.detection.model.losses import BoxLoss, ObjectnessLoss
from detres.detection.model.roi_heads import RoIHeads, RoIPooler
from detres.detection.model.rpn import RPN
from detres.tables import LAYOUTS


def assemble(backbone: Backbone, model: ModelConfig, test: TestConfig) -> FasterRCNN:
    """Hang a detector on a backbone that is already built and loaded.

    model.class_names must be set. Layers beyond the backbone are initialized from torch's global generator.
    """
    stage_norms: dict[str, Norm] = dict(getattr(backbone, "norms", {}))  # Before C4 takes the last stage away.
    layout = _layout(backbone, model)
    sizes = model.anchors.sizes or default_sizes(len(layout.specs))
    anchors = AnchorGrid(
        sizes,
        [spec.stride for spec in layout.specs],
        ratios=model.anchors.ratios,
        rounded=model.anchors.rounded,
        order=model.anchors.order,
        offset=model.anchors.offset,
        fitted=model.anchors.fitted,
    )
    return FasterRCNN(
        layout,
        _rpn(layout, anchors, model),
        _roi_heads(layout, model, test),
        anchors=anchors,
        class_names=model.class_names or (),
        pad_to=padding_multiple(model),
        stage_norms=stage_norms,
    )


def learn_by(model: FasterRCNN, config: ModelConfig) -> None:
    """Let a model that was rebuilt from a file, which runs no code, learn by the losses of a config, which may be code.

    Raises ConfigError where one cannot be used.
    """
    model.rpn.objectness_loss = _objectness_loss(config.rpn.objectness_loss)
    model.rpn.box_loss = _box_loss(config.rpn.box_loss, "rpn")
    model.roi.box_loss = _box_loss(config.roi.box_loss, "roi")


def padding_multiple(model: ModelConfig) -> int:
    """32 on FPN, as in torchvision and detectron2, so that each level halves the one before; others need no padding."""
    return model.pad_to or (32 if model.layout == "fpn" else 1)


def _layout(backbone: Backbone, model: ModelConfig) -> Layout:
    head = HeadOptions(
        convs=model.roi.head_convs,
        conv_channels=model.roi.head_conv_channels,
        fcs=model.roi.head_fcs,
        fc_channels=model.roi.head_fc_channels,
        norm=model.roi.head_norm,
    )
    return LAYOUTS[model.layout](
        backbone, head=head, pool=model.roi.pool, fpn_channels=model.fpn.channels, fpn_norm=model.fpn.norm
    )


def _box_loss(config: BoxLossConfig, part: Literal["rpn", "roi"]) -> BoxLoss:
    return BoxLoss(config.name, config.beta, config.weight, config.options, f"model.{part}.box_loss")


def _objectness_loss(config: ObjectnessLossConfig) -> ObjectnessLoss:
    return ObjectnessLoss(config.name, config.weight, config.options, "model.rpn.objectness_loss")


def _rpn(layout: Layout, anchors: AnchorGrid, model: ModelConfig) -> RPN:
    rpn = model.rpn
    return RPN(
        layout.specs[0].channels,
        anchors.per_cell,
        convs=rpn.convs,
        positive_iou=rpn.positive_iou,
        negative_iou=rpn.negative_iou,
        batch_per_image=rpn.batch_per_image,
        positive_fraction=rpn.positive_fraction,
        pre_nms_train=rpn.pre_nms_train,
        pre_nms_test=rpn.pre_nms_test,
        post_nms_train=rpn.post_nms_train,
        post_nms_test=rpn.post_nms_test,
        nms=rpn.nms,
        min_size=rpn.min_size,
        codec_weights=rpn.codec_weights,
        objectness_loss=_objectness_loss(rpn.objectness_loss),
        box_loss=_box_loss(rpn.box_loss, "rpn"),
        normalizer=rpn.normalizer,
    )


def _roi_heads(layout: Layout, model: ModelConfig, test: TestConfig) -> RoIHeads:
    roi = model.roi
    pooler = RoIPooler(
        [spec.stride for spec in layout.specs[: layout.roi_levels]],
        layout.pool,
        sampling_ratio=roi.sampling_ratio,
        aligned=roi.aligned,
        method=roi.roi_align,
        canonical_size=roi.canonical_size,
        canonical_level=roi.canonical_level,
        level_eps=roi.level_eps,
    )
    return RoIHeads(
        pooler,
        layout.head,
        len(model.class_names or ()),
        global_context=model.global_context,
        positive_iou=roi.positive_iou,
        negative_iou_low=roi.negative_iou_low,
        batch_per_image=roi.batch_per_image,
        positive_fraction=roi.positive_fraction,
        codec_weights=roi.codec_weights,
        class_agnostic=roi.class_agnostic,
        box_loss=_box_loss(roi.box_loss, "roi"),
        normalizer=roi.normalizer,
        min_size=roi.min_size,
        score=test.score,
        nms=test.nms,
        max_detections=test.max_detections,
    )
