"""Every key a classification config may hold beside the shared sections, with its meaning and default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from detres.config.choices import OneOf
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
)
from detres.tables import CLASSIFICATION_FORMATS

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Pixel = tuple[float, float, float]
SideRange = Annotated[
    tuple[int, int],
    BeforeValidator(
        lambda side: (side, side) if isinstance(side, int) else side, json_schema_input_type=tuple[int, int] | int
    ),
]


class ClassifierConfig(Section):
    backbone: BackboneConfig = BackboneConfig(norm="batch")
    """The network, whose last layer the classes of the set decide."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes, in the order of their logits; null: the data set's."""
    drop_path: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Chance that the last block's residual is left out of an image; it grows from 0 at the first block."""
    checkpoint_blocks: bool = False
    """Compute every block of the backbone anew in the backward pass instead of keeping its maps: less memory, a third
    more time."""
    pixel_mean: Pixel | None = None
    """What is taken from pixels, RGB on the 0..255 scale; null: as the weights were trained, else the architecture's
    usual one."""
    pixel_std: tuple[Positive, Positive, Positive] | None = None
    """What pixels are then divided by, RGB on the 0..255 scale; null: as pixel_mean."""


class ClassificationDataConfig(Section):
    format: Annotated[str, OneOf(CLASSIFICATION_FORMATS, own=True)] = "imagenet"
    """How the set is written; or module:callable, which reads one of your own."""
    root: Root | None = None
    """Folder of the set; null: below datasets/ (DETRES_DATASETS moves it)."""
    train: Names = ("train",)
    """Splits to train on: folders of class folders below the root; of a webdataset, shards such as a-{000..146}.tar."""
    val: Names = ("val",)
    """Splits to evaluate on during training, named as in train."""
    test: Names = ()
    """Splits of the final evaluation, named as in train."""
    val_fraction: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the training images set apart as val; where it is set, no val may be named."""
    classes: tuple[str, ...] | None = None
    """Select and order the classes by name; null: the set's own."""
    images: int | None = Field(default=None, ge=1)
    """Training images of a webdataset, the length of an epoch; null: counted, which piped shards do not allow."""
    strict: bool | None = None
    """true: refuse a set with unreadable images. false: leave them out, also of a split that is measured on. null:
    leave them out of training, but refuse to measure where there are any."""
    exif: bool = True
    """Turn images as their EXIF orientation says."""
    max_pixels: int | None = Field(default=None, ge=1)
    """An image of more is refused before it is decoded; null: as for detection."""
    workers: int | None = Field(default=None, ge=0)
    """Processes that load images, on each device; 0: the main process does; null: one a core, at most 16."""
    in_memory: bool | None = None
    """Decode the set once and keep it on the device; null: for images of one small size, such as CIFAR's."""
    crop: int = Field(default=224, ge=1)
    """Side of the training crop."""
    cropping: Literal["scale", "area", "pad"] = "scale"
    """scale: the shorter side is drawn from shortest_side, then a square is cut (the paper). area: a share and a ratio
    are drawn, the cut is resized (Inception). pad: a square is cut from the image padded by `padding` (CIFAR)."""
    shortest_side: SideRange = (256, 480)
    """Pixels from and to, or one number for both: the shorter side before cropping=scale cuts."""
    area: tuple[Share, Share] = (0.08, 1.0)
    """Of cropping=area: from and to which share of the image is cut out."""
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """Of cropping=area: from and to which width over height is cut out."""
    padding: int = Field(default=4, ge=0)
    """Of cropping=pad: pixels added on every side before the crop."""
    flip: Share = 0.5
    """Chance that a training image is mirrored."""
    pca_lighting: float = Field(default=0.0, ge=0.0)
    """Standard deviation of AlexNet's colour augmentation; 0.1 in the paper."""
    randaugment: str | None = None
    """timm's description, such as rand-m7-mstd0.5-inc1."""
    repeats: int = Field(default=1, ge=1)
    """Times an image stands in a batch, drawn differently each time (repeated augmentation)."""


class LossConfig(Section):
    name: Literal["cross_entropy", "bce"] = "cross_entropy"
    """cross_entropy: one class is right. bce: each class is a yes or no of its own."""
    smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of a label that is spread over all classes."""
    mixup: float = Field(default=0.0, ge=0.0)
    """alpha of mixup's Beta distribution; 0: none."""
    cutmix: float = Field(default=0.0, ge=0.0)
    """alpha of CutMix's Beta distribution; 0: none. Beside mixup, one of the two is drawn for each batch."""
    target_threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Of bce: classes with more than this share of a mixed image are there as wholly as a label's; null: by share."""

    @model_validator(mode="after")
    def _threshold_fits(self) -> Self:
        if self.target_threshold is not None and self.name != "bce":
            raise ValueError(f"loss.target_threshold is a choice of loss.name=bce, not of {self.name}")
        return self


class ClassificationTrainingConfig(TrainingConfig):
    best_metric: Literal["top1_error", "top5_error"] = "top1_error"
    """The key of metrics.json that decides which checkpoint is best."""
    recompute_norms: int = Field(default=0, ge=0)
    """Training images over which batch norm's statistics are averaged anew after the last step; 0: left as they are."""
    cuda_graphs: bool = False
    """Of compile on a GPU: all kernels of a pass are launched at once, which small nets are faster by."""

    @model_validator(mode="after")
    def _graphs_fit(self) -> Self:
        if self.cuda_graphs and (not self.compile or self.per_device_batch is not None):
            # Gradients lie in the graph's memory, which the next micro-batch writes to.
            raise ValueError("training.cuda_graphs=true needs training.compile=true and no per_device_batch")
        return self


class ClassificationTestConfig(Section):
    __test__ = False  # pytest collects classes by this prefix

    crops: Literal[1, 10, "dense"] = 1
    """1: the centre. 10: corners, centre and their mirrors. dense: the whole image, the net made convolutional."""
    scales: Sizes | None = None
    """Shorter sides; the softmax is averaged over them. null: 256; where data.cropping=pad, images as they are."""
    crop: int | None = Field(default=None, ge=1)
    """Side of the crop; null: data.crop."""
    flip: bool = False
    """Average over mirrors too; ten crops always do."""
    batch: int = Field(default=64, ge=1)
    """Images tested at once, a device."""


class ClassificationConfig(ExperimentConfig):
    """One classification experiment."""

    task: Literal["classification"] = "classification"
    """What the config is for, which decides the keys it may hold."""
    model: ClassifierConfig = ClassifierConfig()
    """The classifier, and how it learns."""
    data: ClassificationDataConfig = ClassificationDataConfig()
    """The set, and how its images become batches."""
    loss: LossConfig = LossConfig()
    """How the logits are held against the labels, and how images are mixed for it."""
    training: ClassificationTrainingConfig = ClassificationTrainingConfig(batch=256, steps=600_000)
    """How long is trained, on how many images at once, and what is kept and told of it."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=0.1)
    """What moves the weights."""
    test: ClassificationTestConfig = ClassificationTestConfig()
    """Which crops of an image are classified in evaluations."""

    @model_validator(mode="after")
    def _pairs_fit(self) -> Self:
        at_once = min(self.training.per_device_batch or self.training.batch, self.training.batch)
        if (self.loss.mixup or self.loss.cutmix) and at_once % 2:
            raise ValueError(f"loss.mixup and loss.cutmix mix images in pairs, and a device takes {at_once} at once")
        return self

    @model_validator(mode="after")
    def _one_source_of_val(self) -> Self:
        if self.data.val and self.data.val_fraction:
            raise ValueError("data.val and data.val_fraction are both set; a val split has one source")
        return self
