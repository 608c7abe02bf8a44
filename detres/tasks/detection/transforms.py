"""What a detection config does to an image before a detector sees it."""

from __future__ import annotations

from detres.config.detection_schema import DataConfig
from detres.data.detection.transforms import DetectionTransform


def transform_of(data: DataConfig, *, training: bool) -> DetectionTransform:
    return DetectionTransform(
        data.augment,
        shortest_side=data.shortest_side,
        longest_side=data.longest_side,
        rounding=data.rounding,
        training=training,
    )
