"""Of every key of the model sections: whether weights mean something else with another value, or only learn otherwise.

Where a training begins with --weights, the file decides the architecture; how is learned from there, and what counts as
a proposal, is the config's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelKeys:
    """Keys below `model`, with dots; a group stands for all below it.

    architecture: what shapes tensors, and what they were trained to mean. training: how is learned, which leaves no
    trace in the model. testing: what is kept of what the model finds, in training as well. data: the data set's word.
    """

    architecture: tuple[str, ...]
    training: tuple[str, ...]
    testing: tuple[str, ...] = ()
    data: tuple[str, ...] = ("class_names",)

    def is_architecture(self, key: str) -> bool:
        """key: below `model`."""
        return any(lies_in(key, each) for each in self.architecture)

    def is_recipe(self, key: str) -> bool:
        """Whether it is the config's to say what the key is, whatever the weights were trained by."""
        return any(lies_in(key, each) for each in (*self.training, *self.testing))


_BACKBONE = (
    # The tensors of a whole model take the place of what its backbone once began with.
    *("backbone.name", "backbone.weights", "backbone.shortcut", "backbone.shortcut_padding", "backbone.stride_in"),
    # Of one shape, but a scale learned beside frozen statistics, or divided by another eps, is another function.
    *("backbone.norm", "backbone.norm_eps"),
)
_BACKBONE_TRAINING = ("backbone.frozen_stages", "backbone.zero_init_last", "backbone.allow_mismatch")

MODEL_KEYS: Mapping[str, ModelKeys] = {
    "detection": ModelKeys(
        architecture=(
            *("layout", *_BACKBONE, "backbone.output_stride", "fpn", "anchors", "global_context", "pad_to"),
            *("rpn.convs", "rpn.codec_weights", "roi.codec_weights", "roi.class_agnostic"),
            *("roi.pool", "roi.sampling_ratio", "roi.aligned"),
            *("roi.canonical_size", "roi.canonical_level", "roi.level_eps"),
            *("roi.head_convs", "roi.head_conv_channels", "roi.head_fcs", "roi.head_fc_channels", "roi.head_norm"),
        ),
        training=(
            *(*_BACKBONE_TRAINING, "checkpoint_blocks"),
            *("rpn.positive_iou", "rpn.negative_iou", "rpn.batch_per_image", "rpn.positive_fraction"),
            *("rpn.pre_nms_train", "rpn.post_nms_train", "rpn.objectness_loss", "rpn.box_loss"),
            "rpn.normalizer",
            *("roi.positive_iou", "roi.negative_iou_low", "roi.batch_per_image", "roi.positive_fraction"),
            *("roi.box_loss", "roi.normalizer"),
        ),
        testing=(
            *("rpn.pre_nms_test", "rpn.post_nms_test", "rpn.nms", "rpn.min_size", "roi.min_size"),
            "roi.roi_align",  # One function, computed in two ways.
        ),
    ),
    "classification": ModelKeys(
        architecture=(*_BACKBONE, "pixel_mean", "pixel_std"),
        training=(*_BACKBONE_TRAINING, "drop_path", "checkpoint_blocks"),
    ),
    "localization": ModelKeys(
        architecture=("stage", *_BACKBONE, "anchors", "rpn.channels", "rpn.codec_weights", "rcnn.codec_weights"),
        training=(
            *(*_BACKBONE_TRAINING, "checkpoint_blocks"),
            *("rpn.positive_iou", "rpn.negative_iou", "rpn.batch_per_image", "rpn.positive_fraction"),
            *("rpn.objectness_loss", "rpn.box_loss"),
            *("rcnn.positive_iou", "rcnn.box_loss"),
        ),
    ),
}
"""By task. A test holds that each key stands in exactly one place."""


def lies_in(key: str, group: str) -> bool:
    """Whether a dotted key is `group`, or one below it."""
    return key == group or key.startswith(f"{group}.")
