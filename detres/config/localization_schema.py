"""Every key a localization config may hold beside the shared sections, with its meaning and default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from detres.config.choices import OneOf
from detres.config.classification_schema import Share, SideRange
from detres.config.detection_schema import AnchorLearningConfig
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
    """Of the 3x3 convolution before the two siblings."""
    batch_per_image: int = Field(default=8, ge=2)
    """Anchors sampled from an image."""


class RcnnConfig(Section):
    positive_iou: float = Field(default=0.5, gt=0.0, le=1.0)
    """Proposals that overlap an object by as much are positive, all others negative."""
    codec_weights: Weights4 = (10.0, 10.0, 5.0, 5.0)
    box_loss: BoxLossConfig = BoxLossConfig()


class LocalizerConfig(Section):
    stage: Literal["rpn", "rcnn"] = "rpn"
    """rpn: boxes of a class on the whole image. rcnn: proposals of a finished rpn run, scored and moved one by one."""
    backbone: BackboneConfig = BackboneConfig()
    checkpoint_blocks: bool = False
    """Compute every block anew in the backward pass instead of keeping its maps: less memory, a third more time."""
    class_names: tuple[str, ...] | None = None
    """null: the data set's."""
    anchors: LocalizerAnchorsConfig = LocalizerAnchorsConfig()
    rpn: ClassRpnConfig = ClassRpnConfig()
    rcnn: RcnnConfig = RcnnConfig()


class LocalizationDataConfig(Section):
    format: Annotated[str, OneOf(LOCALIZATION_FORMATS, own=True)] = "imagenet"
    """How the set is written; or module:callable, which reads one of your own."""
    root: Root | None = None
    """Folder of the set; null: below datasets/ (DETRES_DATASETS moves it). Boxes lie in its Annotations/CLS-LOC/."""
    train: Names = ("train",)
    """Splits to train on: folders below the root; images without boxes are left out."""
    val: Names = ("val",)
    test: Names = ()
    classes: tuple[str, ...] | None = None
    """Select and order the classes by name; null: the set's own."""
    strict: bool | None = None
    """true: refuse a set with bad images or annotations. false: leave them out, also of a split that is measured on.
    null: leave them out of training, but refuse to measure where an image cannot be read."""
    max_pixels: int | None = Field(default=None, ge=1)
    """An image of more is refused before it is decoded; null: as for detection."""
    workers: int = Field(default=2, ge=0)
    crop: int = Field(default=224, ge=1)
    """Side of the training crop, and of a proposal that is warped."""
    shortest_side: SideRange = (256, 480)
    """The shorter side is drawn from this range, then the crop is cut."""
    flip: Share = 0.5
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
    model: LocalizerConfig = LocalizerConfig()
    data: LocalizationDataConfig = LocalizationDataConfig()
    training: LocalizationTrainingConfig = LocalizationTrainingConfig(batch=256, steps=60_000)
    optimizer: OptimizerConfig = OptimizerConfig(lr=0.01)
    test: LocalizationTestConfig = LocalizationTestConfig()

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
