"""Which of the steps that a config of mmdetection's names are those that its tests go through."""

from __future__ import annotations

import pytest

from detres.conversion.mmdetection.configs import StatedConfig
from detres.conversion.mmdetection.limits import check_convertible
from detres.conversion.mmdetection.pipeline import pipeline_remarks
from detres.conversion.mmdetection.said import said_by
from detres.conversion.mmdetection.settings import Reading, _pad_to, _pixel_stats, data_of


def steps(side: int, mean: int, divisor: int, *, keep_ratio: bool = True) -> str:
    """As 2.x nests them."""
    return (
        f"[dict(type='MultiScaleFlipAug', img_scale=(1333, {side}), flip=False, transforms=["
        f"dict(type='Resize', keep_ratio={keep_ratio}), "
        f"dict(type='Normalize', mean=[{mean}, {mean}, {mean}], std=[1, 1, 1], to_rgb=True), "
        f"dict(type='Pad', size_divisor={divisor})])]"
    )


STALE = f"test_pipeline = {steps(400, 1, 64, keep_ratio=False)}\n"


@pytest.mark.parametrize(
    "used",
    [
        f"data = dict(test=dict(type='CocoDataset', pipeline={steps(640, 2, 16)}))",
        f"data = dict(test=[dict(a=dict(b=dict(pipeline={steps(640, 2, 16)}))), dict(pipeline={steps(9, 9, 9)})])",
        f"test_dataloader = dict(dataset=dict(dataset=dict(pipeline={steps(640, 2, 16)})))",
    ],
    ids=["2.x", "sets", "3.x"],
)
def test_what_is_tested_on_counts_and_a_variable_beside_it_does_not(used: str) -> None:
    stated = StatedConfig.from_text(STALE + used)
    reading = Reading(stated, old=False)
    check_convertible(stated)  # the stale one loses the ratio
    assert data_of(reading).shortest_side == (640,)
    assert _pixel_stats(reading).mean == (2, 2, 2)
    assert _pad_to(reading) == 16
    path = "test_dataloader" if used.startswith("test") else "data.test"
    (sizes, stats, padding) = pipeline_remarks(stated)
    assert sizes.startswith(f"its config has img_scale=[1333, 640] in {path}, which counts, and img_scale=[1333, ")
    assert stats.startswith("its config has mean=[2, 2, 2], std=[1, 1, 1], to_rgb=True in")
    assert "size_divisor=16" in padding


def test_a_variable_counts_where_nothing_else_says_it() -> None:
    stated = StatedConfig.from_text(f"data = dict(test=dict(ann_file='x'))\ntest_pipeline = {steps(400, 1, 64)}")
    reading = Reading(stated, old=False)
    assert data_of(reading).shortest_side == (400,)
    assert _pad_to(reading) == 64
    assert pipeline_remarks(stated) == []
    said = said_by(reading, {"data.shortest_side": (400,)}, has_bottlenecks=True)
    assert said == {"data.shortest_side": (400,)}
