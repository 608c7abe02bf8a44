"""A config's text is read by its syntax, and never run."""

from pathlib import Path

import pytest

from detres.conversion.mmdetection.configs import StatedConfig, kind_of
from detres.errors import ConfigError

FILE_BY_FILE = """/home/some user/configs/_base_/models/faster_rcnn_r50_fpn.py
# model settings
model = dict(
    type='FasterRCNN',
    backbone=dict(type='ResNet', depth=50, style='pytorch'),
    rpn_head=dict(loss_bbox=dict(type='SmoothL1Loss', beta=1.0 / 9.0)))

/home/some user/configs/faster_rcnn/faster_rcnn_r101_caffe_fpn_1x_coco.py
_base_ = './faster_rcnn_r50_fpn_1x_coco.py'
model = dict(
    backbone=dict(depth=101, style='caffe'),
    rpn_head=dict(_delete_=True, loss_bbox=dict(type='L1Loss')))
img_norm_cfg = dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
test_pipeline = [
    dict(type='MultiScaleFlipAug', img_scale=(1333, 800),
         transforms=[dict(type='Resize', keep_ratio=True), dict(type='Normalize', **img_norm_cfg)]),
]
data = dict(test=dict(pipeline=test_pipeline))
"""


def test_files_one_after_another_are_merged_as_they_build_on_each_other() -> None:
    stated = StatedConfig.from_text(FILE_BY_FILE)
    assert stated.get("model.type") == "FasterRCNN"
    assert stated.get("model.backbone") == {"type": "ResNet", "depth": 101, "style": "caffe"}
    assert stated.get("model.rpn_head") == {"loss_bbox": {"type": "L1Loss"}}
    steps = list(stated.below("data.test"))
    assert {"type": "Resize", "keep_ratio": True} in steps
    assert {"type": "Normalize", "mean": [103.53, 116.28, 123.675], "std": [1.0] * 3, "to_rgb": False} in steps


def test_the_first_path_that_is_stated_counts() -> None:
    stated = StatedConfig.from_text(
        "test_cfg = dict(rpn=dict(max_num=5, nms=None))\nn = {'a': -1, **dict({'b': 0}, **test_cfg)}"
    )
    assert stated.get("model.test_cfg.rpn.max_num", "test_cfg.rpn.max_num") == 5
    assert stated.get("test_cfg.rpn.nms", default=1) is None
    assert stated.get("test_cfg.rpn.nms.type", "nowhere", default=1) == 1
    assert stated.get("n") == {"a": -1, "b": 0, "rpn": {"max_num": 5, "nms": None}}


def test_what_only_running_would_tell_is_absent(tmp_path: Path) -> None:
    trace = tmp_path / "was here"
    text = f"""
import os
os.system("touch '{trace}'")
depth = int('50')
size = [getattr(os, 'system')("touch '{trace}'"), 2]
model = dict(backbone=dict(depth=depth, **unknown, style='caffe'), lr=0.02 * 2, zero=1 / 2 - 0.5, names=f'{{depth}}')
while True: pass
"""
    stated = StatedConfig.from_text(text)
    assert not trace.exists()
    assert stated.get("depth", default="absent") == "absent"
    assert stated.get("model") == {"backbone": {"style": "caffe"}, "lr": 0.04, "zero": 0.0}
    assert stated.get("size")[1] == 2


@pytest.mark.parametrize(
    "text", ["model = dict(", "a = 1 / 0", "x = " + "(" * 500, "\0", "x = " + "1 + " * 50000 + "1"]
)
def test_a_text_that_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="no Python"):
        StatedConfig.from_text(text)


def test_numbers_do_not_grow_without_bound() -> None:
    """After sixty squarings a whole number would have more digits than there is memory."""
    assert StatedConfig.from_text("a = 10\n" + "a = a * a\n" * 60).get("a") == float("inf")


def test_a_kind_is_named_without_the_modules_it_lies_in() -> None:
    assert kind_of({"type": "mmdet.models.detectors.FasterRCNN"}) == "FasterRCNN"
    assert kind_of({"depth": 50}) is None
    assert kind_of([1]) is None


# A config that a user names


def test_a_file_is_read_with_the_files_it_builds_on(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.py").write_text(
        "model = dict(type='FasterRCNN', backbone=dict(depth=50, style='caffe'))"
    )
    (tmp_path / "base" / "data.py").write_text("test_pipeline = [dict(type='Resize', scale=(1333, 640))]")
    child = tmp_path / "mine.py"
    child.write_text("_base_ = ['base/model.py', 'base/data.py']\nmodel = dict(backbone=dict(depth=18))\n")
    stated = StatedConfig.from_file(child)
    assert stated.get("model.backbone") == {"depth": 18, "style": "caffe"}
    assert list(stated.below("test_pipeline")) == [{"type": "Resize", "scale": [1333, 640]}]
    (tmp_path / "mine.json").write_text('{"model": {"type": "FasterRCNN"}}')
    assert StatedConfig.from_file(tmp_path / "mine.json").get("model.type") == "FasterRCNN"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.py", "_base_ = '../absent.py'", r"builds on '\.\./absent\.py', which is not there; put it there, or give"),
        ("a.py", "_base_ = 'a.py'", "builds on itself"),
        ("a.py", "_base_ = [some_function()]", "which is not there"),
        ("a.py", "with read_base():\n    from .b import *\n", "imports what it builds on, which only running it"),
        ("a.py", "optimizer = dict(lr=1)", "it assigns no `model`"),
        ("a.py", "model = (", "no Python of a config"),
        ("a.yaml", "model: 1", "it has no group `model`"),
        ("a.yaml", "_base_: b.yaml\nmodel: {}", "builds on 'b.yaml'"),
        ("a.yaml", "model: &a {b: *a}", "an alias stands for what it lies in itself"),
    ],
)
def test_a_file_that_does_not_say_it_by_itself_is_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        StatedConfig.from_file(tmp_path / name)


@pytest.mark.slow
def test_shared_parts_do_not_grow_without_bound() -> None:
    """Walked through, merged or shown, each of these would take longer than anybody waits."""
    doubled = "a0 = dict(x=1)\n" + "".join(f"a{k + 1} = dict(p=a{k}, q=a{k})\n" for k in range(60))
    many = "a = [" + "1, " * 1000 + "]\n" + "b = [" + "a, " * 100 + "]\n" + "c = b\n" * 1000
    for text in (doubled, doubled.replace("dict(p=", "[").replace("q=", "").replace(")\n", "]\n"), many):
        with pytest.raises(ValueError, match=r"which no config has|no Python"):
            StatedConfig.from_text(text)
