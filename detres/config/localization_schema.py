"""Every key a localization config may hold beside the shared sections, with its meaning and default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from detres.config.anchors import AnchorLearningConfig
from detres.config.choices import OneOf
from detres.config.classification_schema import Share, SideRange
from detres.config.losses import BoxLossConfig
from detres.config.sections import (
    BackboneConfig,
    ExperimentConfig,
    Names,
    OptimizerConfig,
    Positive,
    Root,
    Section,
    Sizes,
    TrainingConfig,
    Weights4,
)
from detres.tables import LOCALIZATION_FORMATS


class LocalizerAnchorsConfig(Section):
    sizes: tuple[Positive, ...] = Field(default=(64.0, 128.0, 256.0), min_length=1)
    """Square roots of areas in pixels of the crop."""
    ratios: tuple[Positive, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    """Height over width."""


class ClassRpnConfig(AnchorLearningConfig):
    channels: int = Field(default=512, ge=1)
    """Channels of the 3x3 convolution before the two siblings."""
    batch_per_image: int = Field(default=8, ge=2)
    """Anchors sampled from an image."""


class RcnnConfig(Section):
    positive_iou: float = Field(default=0.5, gt=0.0, le=1.0)
    """Proposals that overlap an object by as much are positive, all others negative."""
    codec_weights: Weights4 = (10.0, 10.0, 5.0, 5.0)
    """Factors of the offsets dx, dy, dw and dh that are learned."""
    box_loss: BoxLossConfig = BoxLossConfig()
    """How a positive proposal's box is held against the object's."""


class LocalizerConfig(Section):
    stage: Literal["rpn", "rcnn"] = "rpn"
    """rpn: boxes of a class on the whole image. rcnn: proposals of a finished rpn run, scored and moved one by one."""
    backbone: BackboneConfig = BackboneConfig()
    """The network that the features come from."""
    checkpoint_blocks: bool = False
    """Compute every block of the backbone anew in the backward pass instead of keeping its maps: less memory, a third
    more time."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes, in the order of their logits; null: the data set's."""
    anchors: LocalizerAnchorsConfig = LocalizerAnchorsConfig()
    """The boxes that stage rpn begins from."""
    rpn: ClassRpnConfig = ClassRpnConfig()
    """Stage rpn: a box and a logit of every class at every anchor."""
    rcnn: RcnnConfig = RcnnConfig()
    """Stage rcnn: what its proposals learn from."""


class LocalizationDataConfig(Section):
    format: Annotated[str, OneOf(LOCALIZATION_FORMATS, own=True)] = "imagenet"
    """How the set is written; or module:callable, which reads one of your own."""
    root: Root | None = None
    """Folder of the set; null: below datasets/ (DETRES_DATASETS moves it). Boxes lie in its Annotations/CLS-LOC/."""
    train: Names = ("train",)
    """Splits to train on: folders below the root; images without boxes are left out."""
    val: Names = ("val",)
    """Splits to evaluate on during training, named as in train."""
    test: Names = ()
    """Splits of the final evaluation, named as in train."""
    classes: tuple[str, ...] | None = None
    """Select and order the classes by name; null: the set's own."""
    strict: bool | None = None
    """true: refuse a set with bad images or annotations. false: leave them out, also of a split that is measured on.
    null: leave them out of training, but refuse to measure where an image cannot be read."""
    max_pixels: int | None = Field(default=None, ge=1)
    """An image of more is refused before it is decoded; null: as for detection."""
    workers: int | None = Field(default=None, ge=0)
    """Processes that load images, on each device; 0: the main process does; null: one a core, at most 16."""
    crop: int = Field(default=224, ge=1)
    """Side of the training crop, and of a proposal that is warped."""
    shortest_side: SideRange = (256, 480)
    """The shorter side is drawn from this range, then the crop is cut."""
    flip: Share = 0.5
    """Chance that a training image is mirrored."""
    visible: Share = 0.5
    """A box with less of its area in the crop is not learned from, neither as an object nor as ground."""
    proposals: str | None = None
    """Of stage rcnn: the finished run of stage rpn whose proposals are learned from and tested."""


class LocalizationTrainingConfig(TrainingConfig):
    best_metric: Literal["true_class_error"] = "true_class_error"
    """The key of metrics.json that decides which checkpoint is best."""


class LocalizationTestConfig(Section):
    __test__ = False  # pytest collects classes by this prefix

    crops: Literal[1, "dense"] = "dense"
    """1: the centre crop of data.crop pixels. dense: the whole image."""
    scales: Sizes = (256,)
    """Shorter sides; the best box over all of them is taken."""
    proposals: int = Field(default=200, ge=1)
    """Of an image and a class, for stage rcnn: the best after NMS."""
    nms: float = Field(default=0.7, ge=0.0, le=1.0)
    """Proposals that a better one overlaps by more are dropped."""
    classifier: str | None = None
    """Weights of a classifier, whose five best classes are localized: the top-5 error; null: the true class alone."""
    batch: int = Field(default=16, ge=1)
    """Images tested at once, a device."""

    @model_validator(mode="after")
    def _one_crop_of_one_scale(self) -> Self:
        if self.crops == 1 and len(self.scales) > 1:
            raise ValueError(f"crops=1 takes one scale, got scales={list(self.scales)}; several are for crops=dense")
        return self


class LocalizationConfig(ExperimentConfig):
    """One localization experiment (He et al. 2015, appendix C)."""

    task: Literal["localization"] = "localization"
    """What the config is for, which decides the keys it may hold."""
    model: LocalizerConfig = LocalizerConfig()
    """The localizer, and how its parts learn."""
    data: LocalizationDataConfig = LocalizationDataConfig()
    """The set, and how its images become batches."""
    training: LocalizationTrainingConfig = LocalizationTrainingConfig(batch=256, steps=60_000)
    """How long is trained, on how many images at once, and what is kept and told of it."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=0.01)
    """What moves the weights."""
    test: LocalizationTestConfig = LocalizationTestConfig()
    """How boxes are found in evaluations."""

    @model_validator(mode="after")
    def _proposals_have_a_source(self) -> Self:
        if self.model.stage == "rpn" and self.data.proposals is not None:
            raise ValueError("data.proposals is for model.stage=rcnn; stage rpn makes them")
        return self

    @model_validator(mode="after")
    def _crops_fit(self) -> Self:
        if self.test.crops == 1 and self.test.scales[0] < self.data.crop:
            raise ValueError(f"test.scales={self.test.scales[0]} holds no crop of data.crop={self.data.crop} pixels")
        return self
