"""A config that is another detector's, that asks for what detres does not compute, or that means harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from detres.conversion.converted import ConvertedDetector, Stated
from detres.conversion.detectron2.reading import read_detectron2, understand
from detres.errors import ConfigError, UserError, WeightsError

State = dict[str, Tensor]
Read = Callable[..., ConvertedDetector]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"MODEL__ROI_HEADS__NUM_CLASSES": 80}, "MODEL.ROI_HEADS.NUM_CLASSES is 80, and 4 by the weights"),
        ({"MODEL__RESNETS__DEPTH": 50}, "MODEL.RESNETS.DEPTH is 50, and 18 by the weights"),
        ({"MODEL__ROI_BOX_HEAD__POOLER_RESOLUTION": 14}, "POOLER_RESOLUTION is 14, and 7 by the weights"),
        ({"MODEL__ROI_BOX_HEAD__CLS_AGNOSTIC_BBOX_REG": True}, "CLS_AGNOSTIC_BBOX_REG is True, and False by"),
        ({"MODEL__FPN__OUT_CHANNELS": 256}, "MODEL.FPN.OUT_CHANNELS is 256, and 32 by the weights"),
        ({"MODEL__RESNETS__NUM_GROUPS": 32}, "MODEL.RESNETS.NUM_GROUPS is 32, expected 1"),
        ({"MODEL__RESNETS__NORM": "GN"}, "MODEL.RESNETS.NORM is 'GN'"),
        ({"MODEL__RESNETS__RES5_DILATION": 2}, "MODEL.RESNETS.RES5_DILATION is 2, expected 1"),
        ({"MODEL__RESNETS__DEFORM_ON_PER_STAGE": [False, True, True, True]}, "DEFORM_ON_PER_STAGE is [False, True"),
        ({"MODEL__FPN__FUSE_TYPE": "avg"}, "MODEL.FPN.FUSE_TYPE is 'avg', expected sum"),
        ({"MODEL__META_ARCHITECTURE": "RetinaNet"}, "MODEL.META_ARCHITECTURE is 'RetinaNet'"),
        ({"MODEL__ROI_HEADS__NAME": "CascadeROIHeads"}, "MODEL.ROI_HEADS.NAME is 'CascadeROIHeads'"),
        ({"MODEL__RPN__IN_FEATURES": ["res4"]}, "MODEL.RPN.IN_FEATURES is ['res4'], expected"),
        ({"MODEL__ANCHOR_GENERATOR__NAME": "RotatedAnchorGenerator"}, "MODEL.ANCHOR_GENERATOR.NAME is"),
        (
            {"MODEL__ROI_BOX_HEAD__POOLER_TYPE": "ROIPool"},
            "POOLER_TYPE is 'ROIPool'; detres has ROIAlignV2 or ROIAlign",
        ),
        ({"MODEL__ROI_BOX_HEAD__USE_SIGMOID_CE": True}, "USE_SIGMOID_CE is True, expected False"),
        ({"INPUT__FORMAT": "L"}, "INPUT.FORMAT is 'L'; detres has BGR or RGB"),
        ({"INPUT__MIN_SIZE_TEST": 0}, "INPUT.MIN_SIZE_TEST is 0, by which detectron2 resizes nothing"),
        ({"TEST__DETECTIONS_PER_IMAGE": -1}, "a number of them: say which with test.max_detections=…"),
        ({"MODEL__ANCHOR_GENERATOR__SIZES": [[16], [32]]}, "SIZES has 2 lists; fpn has 5 levels"),
        ({"MODEL__ANCHOR_GENERATOR__ASPECT_RATIOS": [[1.0]] * 4 + [[2.0]]}, "ASPECT_RATIOS differ by level"),
        ({"MODEL__ANCHOR_GENERATOR__SIZES": []}, "SIZES is [], expected lists of numbers"),
        ({"MODEL__ANCHOR_GENERATOR__SIZES": {"a": 1}}, "SIZES: got {'a': 1}, expected numbers, text, or lists of them"),
        ({"MODEL__RPN__NMS_THRESH": 7}, "given.yaml, MODEL.RPN.NMS_THRESH: model.rpn.nms: got 7, expected"),
        ({"MODEL__RPN__NMS_THRESH": "high"}, "MODEL.RPN.NMS_THRESH is 'high', expected numbers"),
        ({"MODEL__RPN__POST_NMS_TOPK_TEST": True}, "POST_NMS_TOPK_TEST is True, expected numbers"),
        ({"MODEL__RPN__PRE_NMS_TOPK_TEST": 10**400}, "is beyond the whole numbers of 64 bits (line"),
        ({"MODEL__ANCHOR_GENERATOR__OFFSET": float("nan")}, "OFFSET: got nan, expected numbers"),
        ({"MODEL__PIXEL_STD": [1.0, 0.0, 1.0]}, "model.backbone.pixel_stats.std.1: got 0.0, expected a number above 0"),
        ({"MODEL__RPN__ANCHOR_SIZES": [[32]]}, "has MODEL.RPN.ANCHOR_SIZES, as before detectron2 was published"),
    ],
)
def test_another_detectors_config_and_what_detres_does_not_compute_are_refused_by_key(
    keys: dict[str, Any], said: str, read: Read, whole_config: Callable[..., str]
) -> None:
    with pytest.raises(UserError) as told:
        read(whole_config(**keys))
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1\n", "no config of detectron2's"),
        ("format: coco\n", "no key of detectron2's"),
        ("model: {_target_: os.system}\n", "a lazy config, which only detectron2 itself can build"),
        (
            "MODEL: !!python/object/apply:os.system ['touch here']\n",
            "tags such as !!python/object/apply:os.system are not read",
        ),
        ("MODEL: {", "this is no YAML: "),
        ("[" * 500, "values lie more than 64 deep in each other"),
        ("MODEL: &a {RPN: *a, ANCHOR_GENERATOR: {OFFSET: *a}}\n", "an alias stands for what it lies in itself"),
        ("MODEL: {RPN: {NMS_THRESH: 0x" + "f" * 9000 + "}}\n", "is beyond the whole numbers of 64 bits"),
        ("x" * (1 << 18) + "x", "over 256 KiB, which no config is"),
    ],
)
def test_a_file_that_is_none_or_means_harm_ends_in_one_message(
    text: str, said: str, read: Read, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as told:
        read(text)
    assert said in str(told.value)
    assert len(str(told.value)) < 600
    assert not (tmp_path / "here").exists()


def test_what_means_harm_stays_small(read: Read) -> None:
    """Shared parts would be gigabytes where they are walked through or shown."""
    bomb = "MODEL:\n  A0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]\n"
    bomb += "".join(f"  A{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 8)}]\n" for k in range(30))
    with pytest.raises(ConfigError, match="with its aliases this stands for more than 100,000 values"):
        read(f"{bomb}  ANCHOR_GENERATOR: {{SIZES: *a30}}\n")


def test_a_config_in_python_is_never_run(tmp_path: Path, drawn: dict[str, State]) -> None:
    torch.save({"model": drawn["fpn"]}, tmp_path / "model.pth")
    (tmp_path / "config.py").write_text(f"open({str(tmp_path / 'here')!r}, 'w')")
    with pytest.raises(ConfigError, match="Python is never run"):
        read_detectron2(tmp_path / "model.pth", Stated(config=tmp_path / "config.py"))
    with pytest.raises(ConfigError, match="no such config file"):
        read_detectron2(tmp_path / "model.pth", Stated(config=tmp_path / "absent.yaml"))
    assert not (tmp_path / "here").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "said", "kind"),
    [
        ("model.anchors.size=[[16]]", "did you mean model.anchors.sizes?", ConfigError),
        ("model.rpn.nms=2", "model.rpn.nms: got 2, expected a number of at most 1", ConfigError),
        ("model.backbone.pixel_stats.order=grb", "expected one of rgb, bgr", ConfigError),
        ("model.roi.head_fcs=3", "the weights themselves say model.roi.head_fcs; leave it out", WeightsError),
        ("model.roi.pool=7", "the weights themselves say model.roi.pool; leave it out", WeightsError),
        ("data.workers=3", "a file of weights does not keep data.workers; leave it out", WeightsError),
        ("model.backbone.stride_in=1x1", "resnet18 has no bottlenecks; leave it out", WeightsError),
        ("model.anchors.sizes=[[16],[32]]", "anchors.sizes has 2 lists; layout fpn takes 5", ConfigError),
        ("model.anchors.ratios=[1]", "its RPN has 3 anchors a cell", WeightsError),
        ("model.class_names=[cat]", "1 class names for weights with 4 classes", WeightsError),
        ("optimizer.lr=1", "optimizer is unknown", ConfigError),
    ],
)
def test_a_key_that_is_wrong_or_of_no_use_is_named(key: str, said: str, kind: type[UserError], read: Read) -> None:
    with pytest.raises(kind) as told:
        read(None, key)
    assert said in str(told.value)
    assert key in str(told.value) or kind is WeightsError


@pytest.mark.slow
def test_settings_that_the_file_says_of_itself_are_checked(drawn: dict[str, State], tmp_path: Path) -> None:
    for inside, said in (
        ([3], "no list of key=value under `detres`"),
        ("abc", "no list of key=value under `detres`"),
        (["data.workers=3"], "a file of weights does not keep data.workers"),
        (["model.backbone.name=os:system"], "the weights themselves say model.backbone.name"),
        (["test.scoer=1"], "did you mean test.score?"),
        (["model.class_names=3"], "model.class_names: got 3, expected a list in brackets"),
        (["mine"], "no list of key=value under `detres`"),
    ):
        torch.save({"model": drawn["fpn"], "detres": inside}, tmp_path / "model.pth")
        with pytest.raises(UserError) as told:
            read_detectron2(tmp_path / "model.pth", Stated())
        assert said in str(told.value)


@pytest.mark.parametrize("name", ["roi_heads.box_predictor.cls_score.bias", "backbone.bottom_up.res2.0.conv2.weight"])
def test_tensors_without_extent_are_named(name: str, drawn: dict[str, State]) -> None:
    for shape in ((), (0,), (0, 3, 3, 3)):
        with pytest.raises(WeightsError, match=r"has shape \(.*\); the file may be cut"):
            understand({**drawn["fpn"], name: torch.zeros(shape)}, Stated(), "made up")
