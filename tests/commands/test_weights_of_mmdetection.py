"""convert_weights --from mmdetection, with files as 2.x and 3.x write them."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from detres import Detector

Convert = Callable[..., str]

# 3.x: one text, everything in the model; images of 96 × 128 pixels keep their size.
CONFIG_3X = """
model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, style='pytorch', norm_eval=True, norm_cfg=dict(type='BN')),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=150)))
test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize', scale=(128, 96), keep_ratio=True)]))
"""
# 2.x: the texts of a file and of what it builds on.
CONFIG_2X = """/home/user/configs/_base_/models/faster_rcnn_r50_fpn.py
model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=50, style='pytorch'))
/home/user/configs/faster_rcnn_r18_caffe_fpn_1x_coco.py
_base_ = './faster_rcnn_r50_fpn_1x_coco.py'
model = dict(backbone=dict(depth=18, style='caffe'))
img_norm_cfg = dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
test_pipeline = [dict(type='MultiScaleFlipAug', img_scale=(1333, 640), transforms=[
    dict(type='Resize', keep_ratio=True), dict(type='Normalize', **img_norm_cfg), dict(type='Pad', size_divisor=32)])]
data = dict(test=dict(pipeline=test_pipeline))
"""


class Command:
    """A pickle of it runs a command when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.trace}'",)


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Write a checkpoint: the state dict, and meta beside it with three objects of a class that is gone afterwards."""
    path = tmp_path / "theirs.pth"

    def save(state: Any, *, archive: bool = True, **meta: Any) -> Path:
        module = ModuleType("mmengine")
        module.HistoryBuffer = type("HistoryBuffer", (), {"__module__": "mmengine"})
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, "mmengine", module)
            content = {"state_dict": state, "meta": meta, "history": [module.HistoryBuffer() for _ in range(3)]}
            torch.save(content, path, _use_new_zipfile_serialization=archive)
        return path

    yield save
    for file in tmp_path.glob("*.*"):  # of tens of megabytes
        file.unlink()


@pytest.fixture(scope="module")
def state(mmdetection: ModuleType) -> OrderedDict[str, Tensor]:
    return OrderedDict(mmdetection.random_state(18, classes=6))


@pytest.mark.slow
def test_a_checkpoint_of_3x_detects_the_same_and_nothing_in_it_is_run(
    save: Callable[..., Path], state: dict[str, Tensor], done: Convert, mmdetection: ModuleType, tmp_path: Path
) -> None:
    trace, out = tmp_path / "was here", tmp_path / "ours.safetensors"
    classes = tuple("abcdef")
    source = save(state, cfg=CONFIG_3X, dataset_meta={"classes": classes}, hook=Command(trace))
    told = done("convert_weights", "--from", "mmdetection", source, out)
    assert not trace.exists()
    assert "left unread, beside the weights: 3 mmengine.HistoryBuffer, 1 " in told
    assert f"{os.system.__module__}.system" in told
    assert "rgb pixels minus (123.675, 116.28, 103.53) over (58.395, 57.12, 57.375), as its config says" in told
    assert "class names: as the file has them" in told

    rgb = mmdetection.picture(96, 128)
    expected = mmdetection.detect(state, rgb, mmdetection.Rules(pre_nms=100, post_nms=150))
    detector = Detector.from_checkpoint(out, device="cpu")
    found = detector.predict(rgb.numpy())
    assert detector.class_names == classes
    assert len(found) >= 20
    assert mmdetection.unmatched(found.boxes, found.scores, found.labels, expected) == 0


@pytest.mark.slow
def test_a_checkpoint_of_2x_says_its_style_in_texts_that_build_on_each_other(
    save: Callable[..., Path], state: dict[str, Tensor], done: Convert, tmp_path: Path
) -> None:
    out = tmp_path / "ours.safetensors"
    (tmp_path / "names.txt").write_text("\n".join("uvwxyz"))
    source = save(state, archive=False, config=CONFIG_2X, mmdet_version="2.1.0", CLASSES=tuple("abcdef"))
    told = done("convert_weights", "--from", "mmdetection", source, out, "--classes", tmp_path / "names.txt")
    assert "bgr pixels minus (103.53, 116.28, 123.675) over (1.0, 1.0, 1.0), as its config says" in told
    detector = Detector.from_checkpoint(out, device="cpu")
    assert detector.class_names == tuple("uvwxyz")
    assert detector.settings.preprocessing.shortest_side == (640,)


def test_what_is_wrong_is_said_in_one_message(
    save: Callable[..., Path], state: dict[str, Tensor], refused: Convert, tmp_path: Path
) -> None:
    def convert(*more: str, source: Path, out: Path = tmp_path / "ours.safetensors") -> str:
        return refused("convert_weights", "--from", "mmdetection", source, out, *more, kind="WeightsError")

    trace, few = tmp_path / "was here", dict(list(state.items())[:3])
    message = convert(source=save(few | {"x": Command(trace)}))
    assert f"its state dict holds {os.system.__module__}.system under 'x', expected tensors alone" in message
    assert not trace.exists()
    assert "nothing for ['neck.lateral.0.0.weight'" in convert(source=save(few))
    assert "holds a list, expected tensors by name" in convert(source=save([1]))
    assert "RetinaNet" in convert(source=save(few | {"bbox_head.retina_cls.weight": torch.zeros(1)}))
    assert "holds no config that says its style" in convert(source=save(state))
    stated = save(state, cfg=CONFIG_3X)
    assert "--architecture: of no use with a detector" in convert("--architecture", "resnet18", source=stated)
    assert "--stride-in 1x1: its config says style pytorch" in convert("--stride-in", "1x1", source=stated)
    stated.write_bytes(stated.read_bytes()[:-100])
    assert "the archive's end is missing" in convert(source=stated)
    stated.write_bytes(b"no pickle")
    assert "not a file of torch.save that can be read" in convert(source=stated)
    assert "no such weights file" in convert(source=tmp_path / "absent.pth")
    assert not (tmp_path / "ours.safetensors").exists()


@pytest.mark.slow
def test_a_file_without_a_config_is_told_by_one_beside_it_or_by_keys(
    save: Callable[..., Path], state: dict[str, Tensor], done: Convert, refused: Convert, tmp_path: Path
) -> None:
    trace, out, config = tmp_path / "was here", tmp_path / "ours.safetensors", tmp_path / "work_dir.py"
    config.write_text(f"import os\nos.system(\"touch '{trace}'\")\n{CONFIG_3X}")
    command = ("convert_weights", "--from", "mmdetection", save(state), out)
    told = done(*command, "--config", config, "test.score=0.1")
    assert not trace.exists()
    assert f"{config}, model.backbone" not in told
    assert f"  {config}: model.rpn.pre_nms_test=100\n" in told
    assert f"  {config}: data.shortest_side=[96]\n" in told
    assert "  assumed model.anchors.sizes=[[32],[64],[128],[256],[512]]\n" in told
    assert "  stated test.score=0.1\n" in told
    settings = Detector.from_checkpoint(out, device="cpu").settings
    assert (settings.model.rpn.post_nms_test, settings.preprocessing.longest_side, settings.test.score) == (
        150,
        128,
        0.1,
    )

    told = done(*command, "--stride-in", "3x3", "model.anchors.sizes=[[16],[32],[64],[128],[256]]")
    assert "what the tensors do not hold (key=value sets another; --config FILE reads them from mmdetection's" in told
    assert "  assumed model.rpn.pre_nms_test=1000\n" in told
    assert Detector.from_checkpoint(out, device="cpu").settings.model.anchors.sizes[0] == (16.0,)

    held = ("convert_weights", "--from", "mmdetection", save(state, cfg=CONFIG_3X), out, "--config", config)
    assert "it holds its own config; leave the option out" in refused(*held, kind="WeightsError")
    config.write_text("_base_ = 'absent.py'\n")
    save(state)
    assert "which is not there" in refused(*command, "--config", config)
