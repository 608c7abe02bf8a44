"""Every key a detection config may hold beside the shared sections, with its meaning and default.

Sections are frozen and refuse unknown keys. A yaml states only what differs from the defaults here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from detres.config.anchors import AnchorLearningConfig, AnchorsConfig
from detres.config.choices import OneOf
from detres.config.losses import BoxLossConfig
from detres.config.sections import (
    BackboneConfig,
    ExperimentConfig,
    Names,
    Root,
    Section,
    Size,
    Sizes,
    TrainingConfig,
    Weights4,
    one_as_list,
)
from detres.tables import DETECTION_FORMATS, FUSIONS, HEAD_NORMS, LAYOUTS


def _check_groups(section: Any, norm: str, channels: int) -> Any:
    """Group norm has 32 groups."""
    if norm == "group" and channels % 32:
        raise ValueError(f"group norm splits channels into 32 groups, and {channels} do not divide by 32")
    return section


class FpnConfig(Section):
    channels: int = Field(default=256, ge=1)
    """Channels of every level of the pyramid."""
    norm: Annotated[str, OneOf(HEAD_NORMS, besides=("none",))] = "none"
    """Norm behind the convolutions of the pyramid."""

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        return _check_groups(self, self.norm, self.channels)


class RpnConfig(AnchorLearningConfig):
    convs: int = Field(default=1, ge=1)
    """3x3 convolutions before the two siblings, which give logits and offsets."""
    pre_nms_train: int = Field(default=2000, ge=1)
    """Proposals of a level kept before NMS."""
    pre_nms_test: int = Field(default=1000, ge=1)
    """As pre_nms_train, in tests."""
    post_nms_train: int = Field(default=1000, ge=1)
    """Proposals of an image kept after NMS."""
    post_nms_test: int = Field(default=1000, ge=1)
    """As post_nms_train, in tests."""
    nms: float = Field(default=0.7, ge=0.0, le=1.0)
    """Proposals whose IoU with a better one of their level is above this are dropped."""
    min_size: float = Field(default=0.0, ge=0.0)
    """Proposals with a side shorter than this are dropped, in pixels; those without area always are."""
    normalizer: Literal["constant", "samples"] = "constant"
    """Divide losses by batch_per_image times images, or by the samples there were in a micro-batch, over all ranks."""


class RoiConfig(Section):
    pool: int | None = Field(default=None, ge=1)
    """Bins a side of RoIAlign; null: 14 before conv5 of a ResNet (C4), else 7."""
    sampling_ratio: int = Field(default=0, ge=0)
    """Points a side of a bin; 0: as many as the bin has cells."""
    aligned: bool = True
    """Shift by half a cell, so that RoIAlign reads where the box lies; torchvision's models do not."""
    roi_align: Literal["auto", "rows", "torchvision"] = "auto"
    """The implementation; auto: rows on CPUs and with training.deterministic, torchvision's kernel elsewhere."""
    positive_iou: float = Field(default=0.5, gt=0.0, le=1.0)
    """Proposals that overlap an object by this IoU or more learn its class and box; others may learn to be
    background."""
    negative_iou_low: float = Field(default=0.0, ge=0.0, le=1.0)
    """Proposals below this are no negatives either; 0.1 in Fast R-CNN."""
    batch_per_image: int = Field(default=512, ge=1)
    """Proposals sampled from an image."""
    positive_fraction: float = Field(default=0.25, ge=0.0, le=1.0)
    """Share of the sampled proposals that are positive, at most."""
    codec_weights: Weights4 = (10.0, 10.0, 5.0, 5.0)
    """Factors of the offsets dx, dy, dw and dh that are learned."""
    class_agnostic: bool = False
    """Learn one box for each region instead of one for each region and class."""
    box_loss: BoxLossConfig = BoxLossConfig()
    """How a positive region's box is held against the object's."""
    normalizer: Literal["constant", "samples"] = "constant"
    """As model.rpn.normalizer."""
    head_convs: int = Field(default=0, ge=0)
    """Convolutions before the fully connected layers of the head (not C4)."""
    head_conv_channels: int = Field(default=256, ge=1)
    """Channels of each convolution of the head."""
    head_fcs: int = Field(default=2, ge=1)
    """Fully connected layers of the head (not C4)."""
    head_fc_channels: int = Field(default=1024, ge=1)
    """Outputs of each fully connected layer of the head."""
    head_norm: Annotated[str, OneOf(HEAD_NORMS, besides=("none",))] = "none"
    """Norm behind the convolutions of the head (not C4)."""
    canonical_size: float = Field(default=224.0, gt=0.0)
    """An RoI of this size reads from canonical_level (FPN, equation 1)."""
    canonical_level: int = 4
    """The level that an RoI of canonical_size reads from; half the size reads one level finer."""
    level_eps: float = Field(default=1e-6, ge=0.0)
    """Added before the level is rounded down, so that an RoI of canonical_size lies on the coarser side."""
    min_size: float = Field(default=0.0, ge=0.0)
    """Detections with a side shorter than this are dropped, in pixels of the resized image."""

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        if self.negative_iou_low > self.positive_iou:
            raise ValueError(f"negative_iou_low={self.negative_iou_low} is above positive_iou={self.positive_iou}")
        return _check_groups(self, self.head_norm, self.head_conv_channels)


OUTPUT_STRIDES: Mapping[str, tuple[Literal[8, 16, 32], ...]] = {"c4": (32,), "dc5": (16, 8), "fpn": (32,)}
"""Strides that c5 may have in each layout, the usual one first."""


class DetectorBackboneConfig(BackboneConfig):
    output_stride: Literal[8, 16, 32] | None = None
    """Stride of c5, which dilates instead of striding below 32; null: 16 for dc5, where 8 is to be had, else 32."""


class ModelConfig(Section):
    layout: Annotated[Literal["c4", "dc5", "fpn"], OneOf(LAYOUTS)] = "fpn"
    """c4: RoIs read c4, and conv5 runs on each. dc5: both read a dilated c5. fpn: both read a pyramid of levels."""
    backbone: DetectorBackboneConfig = DetectorBackboneConfig()
    """The network that the features come from."""
    fpn: FpnConfig = FpnConfig()
    """The feature pyramid."""
    anchors: AnchorsConfig = AnchorsConfig()
    """The boxes that the RPN begins from."""
    rpn: RpnConfig = RpnConfig()
    """The region proposal network: what it learns from, and which proposals it hands on."""
    roi: RoiConfig = RoiConfig()
    """What becomes of each proposal: pooling, the head, what it learns from."""
    global_context: bool = False
    """Join the features of the whole image to those of each region, before the two sibling layers."""
    checkpoint_blocks: bool = False
    """Compute every block of the backbone anew in the backward pass instead of keeping its maps: less memory, a third
    more time."""
    pad_to: int | None = Field(default=None, ge=1)
    """Images are padded to multiples of this; null: 32 on FPN, else 1."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes, in the order of their logits; null: the data set's."""

    @model_validator(mode="after")
    def _one_size_list_a_level(self) -> Self:
        levels = 5 if self.layout == "fpn" else 1
        if self.anchors.sizes is not None and len(self.anchors.sizes) != levels:
            raise ValueError(f"anchors.sizes has {len(self.anchors.sizes)} lists; layout {self.layout} takes {levels}")
        return self

    @model_validator(mode="after")
    def _layout_has_the_stride(self) -> Self:
        asked, had = self.backbone.output_stride, OUTPUT_STRIDES[self.layout]
        if asked is not None and asked not in had:
            raise ValueError(
                f"backbone.output_stride={asked} is not to be had with layout {self.layout}, which takes "
                f"{' or '.join(map(str, had))}; dc5 alone dilates c5, fpn needs levels of doubling strides, and c4 has "
                "conv5 stride on each region"
            )
        return self

    @property
    def output_stride(self) -> Literal[8, 16, 32]:
        """Of c5, in pixels a cell."""
        return self.backbone.output_stride or OUTPUT_STRIDES[self.layout][0]


class DataConfig(Section):
    format: Annotated[str, OneOf(DETECTION_FORMATS, own=True)] = "coco"
    """How the set is written; or module:callable, which reads one of your own."""
    root: Root | None = None
    """Folder of the set; null: below datasets/ (DETRES_DATASETS moves it)."""
    train: Names = ()
    """Splits to train on: annotation files (COCO), YEAR/SPLIT lists (VOC), folders or lists (YOLO), lists (DET)."""
    val: Names = ()
    """Splits to evaluate on during training, named as in train."""
    test: Names = ()
    """Splits of the final evaluation, named as in train."""
    val_fraction: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the training images set apart where there is no val."""
    val_groups: Literal["none", "near_duplicates"] = "none"
    """What stays together where images are set apart. near_duplicates: pictures that look almost the same, as those of
    a burst do, so that none is measured on whose like was learned from; every picture is read for it once."""
    classes: tuple[str, ...] | None = None
    """Select and order the classes by name; null: the set's own."""
    difficult: Literal["ignore", "positive", "drop"] = "ignore"
    """What VOC's difficult and COCO's crowd regions are in training."""
    strict: bool | None = None
    """true: refuse a set with anything wrong. false: leave out what is wrong, also images of a split that is measured
    on. null: leave out what is wrong, but refuse to measure where images are missing or cannot be read."""
    exif: bool = True
    """Turn images as their EXIF orientation says."""
    max_pixels: int | None = Field(default=None, ge=1)
    """An image of more is refused before it is decoded; null: 268 million, and above 17 million no more than 32 for
    each byte of its file, as bombs have."""
    workers: int | None = Field(default=None, ge=0)
    """Processes that load images, on each device; 0: the main process does; null: one a core, at most 16."""
    shortest_side: Sizes = (800,)
    """Pixels; one of several is drawn for each training image, the last is used in tests."""
    longest_side: int = Field(default=1333, ge=1)
    """Pixels; an image whose longer side would be above this is made smaller than shortest_side says."""
    rounding: Literal["floor", "nearest"] = "floor"
    """How the resized sides become whole."""
    augment: tuple[dict[str, dict[str, Any]], ...] = ({"HorizontalFlip": {"p": 0.5}},)
    """albumentations by name, each with its arguments, in order, before the resize."""


_Vote = Literal["none", "score", "uniform", "iou"]


def _vote_of_flag(value: Any) -> Any:
    return {True: "score", False: "none"}[value] if isinstance(value, bool) else value


class TestConfig(Section):
    __test__ = False  # pytest collects classes by this prefix

    score: float = Field(default=0.05, ge=0.0, le=1.0)
    """Candidates below this are left out; soft-NMS and wbf lower the scores of what they merge, also below it."""
    nms: float = Field(default=0.5, ge=0.0, le=1.0)
    """Detections of a class whose IoU with a better one is above this are dropped."""
    max_detections: int = Field(default=100, ge=1)
    """Detections of an image that are kept, the best ones."""
    refine: int = Field(default=0, ge=0)
    """Rounds in which the regressed boxes are pooled, classified and regressed again; all rounds' boxes are used."""
    refine_nms: float = Field(default=0.3, ge=0.0, le=1.0)
    """nms of what all rounds of test.refine together found."""
    vote: Annotated[_Vote | None, BeforeValidator(_vote_of_flag, json_schema_input_type=_Vote | bool | None)] = None
    """Each detection becomes the mean of the boxes it stands for, weighted so; null: score where refine is above 0."""
    scales: Annotated[
        tuple[Size, ...], BeforeValidator(one_as_list, json_schema_input_type=tuple[Size, ...] | Size)
    ] = ()
    """Shorter sides, ascending, at which each image is tested; none: data.shortest_side alone."""
    flip: bool = False
    """Test the mirrored image as well."""
    fusion: Annotated[str, OneOf(FUSIONS, besides=("maxout",))] | None = None
    """maxout: each region is read from the two scales that suit its size, and the larger features count. Others: every
    scale and mirror is tested by itself, and their detections are merged. null: maxout, and nms with flip."""
    batch: int = Field(default=1, ge=1)
    """Images predicted at once, a device; one where a test is more than one look at one size."""

    @model_validator(mode="after")
    def _scales_ascend(self) -> Self:
        if list(self.scales) != sorted(set(self.scales)):
            raise ValueError(f"scales={list(self.scales)} do not ascend; write them as {sorted(set(self.scales))}")
        return self

    @model_validator(mode="after")
    def _fusion_has_copies(self) -> Self:
        if self.fusion == "maxout" and self.flip:
            raise ValueError(
                "fusion=maxout merges scales, not mirrors; leave out flip, or merge detections with fusion="
                + " or ".join(FUSIONS)
            )
        return self


class DetectionTrainingConfig(TrainingConfig):
    best_metric: Literal["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "mAP50", "mAP50_07"] = "AP"
    """The key of metrics.json that decides which checkpoint is best."""
    log_pictures: int = Field(default=0, ge=0)
    """Images of an evaluation that loggers which take pictures get, ground truth beside predictions."""


class Config(ExperimentConfig):
    """One detection experiment."""

    task: Literal["detection"] = "detection"
    """What the config is for, which decides the keys it may hold."""
    model: ModelConfig = ModelConfig()
    """The detector, and how its parts learn."""
    data: DataConfig = DataConfig()
    """The set, and how its images become batches."""
    training: DetectionTrainingConfig = DetectionTrainingConfig()
    """How long is trained, on how many images at once, and what is kept and told of it."""
    test: TestConfig = TestConfig()
    """How the detector is asked, in evaluations and predictions."""

    @model_validator(mode="after")
    def _gradients_repeat(self) -> Self:
        if self.training.deterministic and self.model.roi.roi_align == "torchvision":
            raise ValueError(
                "training.deterministic=true does not go with model.roi.roi_align=torchvision, which adds gradients in "
                "any order on GPUs; take auto or rows"
            )
        return self
