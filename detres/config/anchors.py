"""The keys of anchors: where they lie, and what is learned from them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from detres.config.losses import BoxLossConfig, ObjectnessLossConfig
from detres.config.sections import Positive, Section, Weights4


class AnchorsConfig(Section):
    sizes: tuple[tuple[Positive, ...], ...] | None = None
    """Square roots of areas in pixels, one list a level; null: 32..512, all on one level or one a level on FPN."""
    ratios: tuple[Positive, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    """Height over width."""
    rounded: bool = False
    """Round the anchors' corners to whole pixels, as torchvision does."""
    order: Literal["size", "ratio"] = "size"
    """Which of size and ratio varies slowest along the channels of the RPN."""
    offset: float = Field(default=0.0, ge=0.0, le=1.0)
    """Where in its cell an anchor stands: 0 on its upper left corner, 0.5 in its middle, as in mmdetection 1.x."""
    fitted: bool = False
    """Take a level's stride as image side // map side, as torchvision does; on p6 that differs from the declared."""

    @model_validator(mode="after")
    def _same_number_on_every_level(self) -> Self:
        counts = {len(level) for level in self.sizes or ((1.0,),)}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(f"every level needs the same number of sizes, one at least, got {self.sizes}")
        return self


class AnchorLearningConfig(Section):
    """What anchors are learned from and by, whatever they are of: objects (RPN), or objects of a class (ClassRPN)."""

    positive_iou: float = Field(default=0.7, gt=0.0, le=1.0)
    """Anchors that overlap an object by this IoU or more learn to find it; so does the best anchor of each
    object."""
    negative_iou: float = Field(default=0.3, ge=0.0, le=1.0)
    """Anchors whose IoU with every object is below this learn to be background; those in between learn nothing."""
    batch_per_image: int = Field(default=256, ge=1)
    """Anchors sampled from an image."""
    positive_fraction: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the sampled anchors that are positive, at most."""
    codec_weights: Weights4 = (1.0, 1.0, 1.0, 1.0)
    """Factors of the offsets dx, dy, dw and dh that are learned."""
    objectness_loss: ObjectnessLossConfig = ObjectnessLossConfig()
    """How an anchor's logit is held against whether there is an object."""
    box_loss: BoxLossConfig = BoxLossConfig()
    """How a positive anchor's box is held against the object's."""

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        if self.negative_iou > self.positive_iou:
            raise ValueError(f"negative_iou={self.negative_iou} is above positive_iou={self.positive_iou}")
        return self
