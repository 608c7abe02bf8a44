"""What detectron2's config.yaml says of weights: read without running anything, told key by key, refused where it is
not theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from detres.config.loading import read_override
from detres.detection.anchors import cell_anchors
from detres.detection.conversion_keys import values_of
from detres.detection.converted import ConvertedDetector, Stated
from detres.detection.detectron2_weights import read_detectron2
from detres.errors import ConfigError, UserError, WeightsError
from detres.structures import PixelStats

State = dict[str, Tensor]
Read = Callable[..., ConvertedDetector]

# As detectron2 dumps one: everything stated, tuples that are shared, alphabetically.
WHOLE = """
INPUT: {FORMAT: RGB, MAX_SIZE_TEST: 1000, MIN_SIZE_TEST: 600, MIN_SIZE_TRAIN: [640, 800]}
MODEL:
  ANCHOR_GENERATOR:
    ANGLES: [[-90, 0, 90]]
    ASPECT_RATIOS: [[0.4, 1.0, 2.5]]
    NAME: DefaultAnchorGenerator
    OFFSET: 0.5
    SIZES: [[16], [32], [64], [128], [256]]
  BACKBONE: {FREEZE_AT: 2, NAME: build_resnet_fpn_backbone}
  FPN: {FUSE_TYPE: sum, IN_FEATURES: [res2, res3, res4, res5], NORM: '', OUT_CHANNELS: 32}
  LOAD_PROPOSALS: false
  META_ARCHITECTURE: GeneralizedRCNN
  PIXEL_MEAN: [110.0, 120.0, 130.0]
  PIXEL_STD: [50.0, 60.0, 70.0]
  PROPOSAL_GENERATOR: {MIN_SIZE: 0, NAME: RPN}
  RESNETS:
    DEFORM_ON_PER_STAGE: [false, false, false, false]
    DEPTH: 18
    NORM: FrozenBN
    NUM_GROUPS: 1
    RES2_OUT_CHANNELS: 64
    RES5_DILATION: 1
    STEM_OUT_CHANNELS: 64
    STRIDE_IN_1X1: true
    WIDTH_PER_GROUP: 64
  RETINANET: {BBOX_REG_WEIGHTS: &id001 [2.0, 2.0, 1.0, 1.0]}
  ROI_BOX_HEAD:
    BBOX_REG_WEIGHTS: &id002 [8.0, 8.0, 4.0, 4.0]
    CLS_AGNOSTIC_BBOX_REG: false
    CONV_DIM: 256
    FC_DIM: 48
    NAME: FastRCNNConvFCHead
    NUM_CONV: 0
    NUM_FC: 2
    POOLER_RESOLUTION: 7
    POOLER_SAMPLING_RATIO: 2
    POOLER_TYPE: ROIAlign
  ROI_BOX_CASCADE_HEAD: {BBOX_REG_WEIGHTS: [*id002]}
  ROI_HEADS:
    IN_FEATURES: [p2, p3, p4, p5]
    NAME: StandardROIHeads
    NMS_THRESH_TEST: 0.4
    NUM_CLASSES: 4
    SCORE_THRESH_TEST: 0.01
  RPN:
    BBOX_REG_WEIGHTS: *id001
    HEAD_NAME: StandardRPNHead
    IN_FEATURES: [p2, p3, p4, p5, p6]
    NMS_THRESH: 0.6
    POST_NMS_TOPK_TEST: 300
    PRE_NMS_TOPK_TEST: 700
TEST: {DETECTIONS_PER_IMAGE: 20}
VERSION: 2
"""


@pytest.fixture(scope="module")
def drawn(zoo_state: Callable[..., State]) -> dict[str, State]:
    return {"fpn": zoo_state("fpn", "resnet18"), "c4": zoo_state("c4"), "dc5": zoo_state("dc5")}


@pytest.fixture
def read(drawn: dict[str, State], tmp_path: Path) -> Read:
    """Read the weights with a config of this text; more: key=value. held: tensors beside."""

    def run(
        config: str | None, *more: str, layout: str = "fpn", held: State | None = None, stated: Stated | None = None
    ) -> ConvertedDetector:
        file, beside = tmp_path / "model_final.pth", tmp_path / "given.yaml"
        torch.save({"model": drawn[layout] | (held or {})}, file)
        if config is not None:
            beside.write_text(config)
        layers = tuple(map(read_override, more))
        said = replace(stated or Stated(), config=None if config is None else beside, layers=layers)
        return read_detectron2(file, said)

    return run


def changed(**keys: Any) -> str:
    """The whole config with other values: MODEL__RPN__NMS_THRESH=0.5; None takes the key away."""
    values = yaml.safe_load(WHOLE)
    for key, value in keys.items():
        *above, last = key.split("__")
        group = values
        for name in above:
            group = group.setdefault(name, {})
        if value is None:
            group.pop(last, None)
        else:
            group[last] = value
    return yaml.safe_dump(values)


EXPECTED = {
    "model.anchors.sizes": ((16.0,), (32.0,), (64.0,), (128.0,), (256.0,)),
    "model.anchors.ratios": (0.4, 1.0, 2.5),
    "model.anchors.offset": 0.5,
    "model.rpn.pre_nms_test": 700,
    "model.rpn.post_nms_test": 300,
    "model.rpn.nms": 0.6,
    "model.rpn.codec_weights": (2.0, 2.0, 1.0, 1.0),
    "model.roi.codec_weights": (8.0, 8.0, 4.0, 4.0),
    "model.roi.sampling_ratio": 2,
    "model.roi.aligned": False,
    "data.shortest_side": (600,),
    "data.longest_side": 1000,
    "test.score": 0.01,
    "test.nms": 0.4,
    "test.max_detections": 20,
}


def test_a_whole_config_says_everything(read: Read) -> None:
    detector = read(WHOLE)
    values = values_of(detector)
    assert {key: values[key] for key in EXPECTED} == EXPECTED
    assert detector.backbone.pixel_stats == PixelStats((110.0, 120.0, 130.0), (50.0, 60.0, 70.0), "rgb")
    assert detector.backbone.stride_in == "3x3", "of basic blocks, whatever the config says"
    told = "\n".join(detector.told)
    assert "assumed" not in told
    assert "  given.yaml, MODEL.ANCHOR_GENERATOR.SIZES: model.anchors.sizes=[[16],[32],[64],[128],[256]]\n" in told


def test_without_a_config_each_assumption_is_told_with_its_key_and_a_key_changes_it(read: Read) -> None:
    told = read(None).told
    assert "what the tensors do not hold (key=value sets another; --config FILE reads them from detectron2's" in told[2]
    for line in (
        "model.anchors.sizes=[[32],[64],[128],[256],[512]]",
        "model.anchors.ratios=[0.5,1,2]",
        "model.anchors.offset=0",
        "model.backbone.pixel_stats.order=rgb",
        "model.rpn.pre_nms_test=1000",
        "model.rpn.codec_weights=[1,1,1,1]",
        "model.roi.sampling_ratio=0",
        "model.roi.aligned=true",
        "data.shortest_side=[800]",
        "data.longest_side=1333",
        "test.score=0.05",
        "test.nms=0.5",
        "test.max_detections=100",
    ):
        assert f"  assumed {line}" in told
    keys = (
        "model.anchors.sizes=[[16],[32],[64],[128],[256]]",
        "test.score=0.1",
        "model.backbone.pixel_stats.order=bgr",
    )
    detector = read(None, *keys)
    assert detector.model.anchors.sizes == EXPECTED["model.anchors.sizes"]
    assert (detector.test.score, detector.backbone.pixel_stats.order) == (0.1, "bgr")
    assert all(f"  stated {key}" in detector.told for key in keys)


def test_keys_win_over_the_config(read: Read) -> None:
    detector = read(WHOLE, "model.rpn.nms=0.8", "data.shortest_side=500")
    assert (detector.model.rpn.nms, detector.preprocessing.shortest_side) == (0.8, (500,))
    assert read(changed(INPUT__MIN_SIZE_TEST=0), "data.shortest_side=500").preprocessing.shortest_side == (500,)


# Parts of configs


def test_a_part_is_as_the_zoo_where_it_says_nothing(read: Read) -> None:
    """Literals of Python's in text, as detectron2 reads them; one list of sizes is every level's."""
    text = "MODEL: {RPN: {BBOX_REG_WEIGHTS: '(2, 2, 1, 1)'}, ROI_HEADS: {SCORE_THRESH_TEST: 1e-3}}"
    detector = read(text)
    assert detector.model.rpn.codec_weights == (2.0, 2.0, 1.0, 1.0)
    assert detector.test.score == 0.001
    assert detector.model.rpn.pre_nms_test == 1000
    assert "  assumed model.rpn.pre_nms_test=1000" in detector.told
    one = read("MODEL: {ANCHOR_GENERATOR: {SIZES: [[48]]}}")
    assert one.model.anchors.sizes == ((48.0,),) * 5
    assert read("MODEL: {ANCHOR_GENERATOR: {SIZES: [48]}}").model.anchors.sizes == ((48.0,),) * 5


def test_what_a_config_that_stands_alone_leaves_out_is_detectron2s_default(read: Read) -> None:
    keys = ("MODEL__RPN__PRE_NMS_TOPK_TEST", "MODEL__PIXEL_MEAN", "MODEL__PIXEL_STD", "INPUT__FORMAT")
    detector = read(changed(**dict.fromkeys(keys)))
    assert detector.model.rpn.pre_nms_test == 6000
    assert detector.backbone.pixel_stats == PixelStats((103.53, 116.28, 123.675), (1.0, 1.0, 1.0), "bgr")
    assert "  detectron2's default, which given.yaml leaves: model.rpn.pre_nms_test=6000" in detector.told
    with pytest.raises(WeightsError, match=r"its RPN has 3 anchors a cell, and .* lays 15"):
        read(changed(MODEL__ANCHOR_GENERATOR__SIZES=None))


def test_what_a_config_builds_on_is_read_where_it_is_there(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"its _BASE_ is \.\./base/whole\.yaml, and .* is not there; put it there"):
        read("_BASE_: ../base/whole.yaml")
    base = tmp_path.parent / f"{tmp_path.name}-base"
    base.mkdir()
    (base / "whole.yaml").write_text(WHOLE)
    (base / "middle.yaml").write_text("_BASE_: whole.yaml\nTEST: {DETECTIONS_PER_IMAGE: 30}\n")
    detector = read(f"_BASE_: ../{base.name}/middle.yaml\nMODEL: {{RPN: {{NMS_THRESH: 0.5}}}}")
    assert (detector.model.rpn.nms, detector.test.max_detections, detector.test.score) == (0.5, 30, 0.01)
    (base / "whole.yaml").write_text("_BASE_: middle.yaml\n")
    with pytest.raises(ConfigError, match="builds on the file itself"):
        read(f"_BASE_: ../{base.name}/middle.yaml")
    with pytest.raises(ConfigError, match="nothing is downloaded"):
        read("_BASE_: https://example.org/base.yaml")


def test_c4_and_dc5_say_what_they_differ_in(read: Read) -> None:
    c4 = read("MODEL: {ROI_BOX_HEAD: {POOLER_RESOLUTION: 10}, RESNETS: {STRIDE_IN_1X1: false}}", layout="c4")
    assert (c4.model.roi.pool, c4.backbone.stride_in) == (10, "3x3")
    assert "  given.yaml, MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION: model.roi.pool=10" in c4.told
    assert "  assumed model.roi.pool=14" in read(None, layout="c4").told
    dc5 = "MODEL: {RESNETS: {RES5_DILATION: 2, STRIDE_IN_1X1: %s}}"
    assert read(dc5 % "true", layout="dc5").backbone.stride_in == "1x1"
    with pytest.raises(WeightsError, match="DC5 with the stride in the 3x3"):
        read(dc5 % "false", layout="dc5")


# The config beside the weights


def test_a_config_of_the_files_own_name_is_read_and_another_is_pointed_to(read: Read, tmp_path: Path) -> None:
    usual = tmp_path / "config.yaml"
    usual.write_text(WHOLE)
    told = read(None).told
    assert told[0] == f"{usual}: lies beside it and is not read; if it is its own, add --config {usual}"
    (tmp_path / "model_final.yaml").write_text(WHOLE)
    detector = read(None)
    assert detector.model.anchors.sizes == EXPECTED["model.anchors.sizes"]
    assert detector.told[0].endswith("model_final.yaml: read, which lies beside it; --config FILE reads another")
    for text in ("format: coco\n", "{", "model: {a: 1}\n"):
        usual.write_text(text)
        (tmp_path / "model_final.yaml").write_text(text)
        assert "resnet18" in read(None).told[0], "neither is one of detectron2's"


def test_a_file_and_its_config_that_contradict_each_other_are_decided_by_a_key(read: Read) -> None:
    cells = "proposal_generator.anchor_generator.cell_anchors"
    held = {f"{cells}.{k}": cell_anchors((24.0 * 2**k,), (0.4, 1.0, 2.5)) for k in range(5)}
    with pytest.raises(
        WeightsError, match=r"it holds model\.anchors\.sizes=\[\[24\],.* and its config says .*\[\[16\]"
    ):
        read(WHOLE, held=held)
    sizes = "model.anchors.sizes=[[20],[40],[80],[160],[320]]"
    assert read(WHOLE, sizes, held=held).model.anchors.sizes[0] == (20.0,)
    pixels = {"pixel_mean": torch.tensor([1.0, 2.0, 3.0]), "pixel_std": torch.tensor([4.0, 5.0, 6.0])}
    with pytest.raises(WeightsError, match=r"say model\.backbone\.pixel_stats\.order=bgr or =rgb"):
        read(None, held=pixels)
    stats = read(None, "model.backbone.pixel_stats.order=rgb", held=pixels).backbone.pixel_stats
    assert stats == PixelStats((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "rgb")


# What is refused


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
        ({"MODEL__ANCHOR_GENERATOR__SIZES": [[16], [32]]}, "SIZES has 2 lists; fpn has 5 levels"),
        ({"MODEL__ANCHOR_GENERATOR__ASPECT_RATIOS": [[1.0]] * 4 + [[2.0]]}, "ASPECT_RATIOS differ by level"),
        ({"MODEL__ANCHOR_GENERATOR__SIZES": []}, "SIZES is [], expected lists of numbers"),
        ({"MODEL__ANCHOR_GENERATOR__SIZES": {"a": 1}}, "SIZES: got {'a': 1}, expected numbers, text, or lists of them"),
        ({"MODEL__RPN__NMS_THRESH": 7}, "given.yaml, MODEL.RPN.NMS_THRESH: model.rpn.nms: got 7, expected"),
        ({"MODEL__RPN__NMS_THRESH": "high"}, "MODEL.RPN.NMS_THRESH is 'high', expected numbers"),
        ({"MODEL__RPN__POST_NMS_TOPK_TEST": True}, "POST_NMS_TOPK_TEST is True, expected numbers"),
        ({"MODEL__RPN__PRE_NMS_TOPK_TEST": 10**400}, "PRE_NMS_TOPK_TEST: got "),
        ({"MODEL__ANCHOR_GENERATOR__OFFSET": float("nan")}, "OFFSET: got nan, expected numbers"),
        ({"MODEL__PIXEL_STD": [1.0, 0.0, 1.0]}, "model.backbone.pixel_stats.std.1: got 0.0, expected a number above 0"),
        ({"MODEL__RPN__ANCHOR_SIZES": [[32]]}, "has MODEL.RPN.ANCHOR_SIZES, as before detectron2 was published"),
    ],
)
def test_another_detectors_config_and_what_detres_does_not_compute_are_refused_by_key(
    keys: dict[str, Any], said: str, read: Read
) -> None:
    with pytest.raises(UserError) as told:
        read(changed(**keys))
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1\n", "no config of detectron2's"),
        ("format: coco\n", "no key of detectron2's"),
        ("model: {_target_: os.system}\n", "a lazy config, which only detectron2 itself can build"),
        ("MODEL: !!python/object/apply:os.system ['touch here']\n", "no YAML of plain values"),
        ("MODEL: {", "no YAML of plain values"),
        ("[" * 500, "no YAML of plain values"),
        ("MODEL: &a {RPN: *a, ANCHOR_GENERATOR: {OFFSET: *a}}\n", "OFFSET: got "),
        ("MODEL: {RPN: {NMS_THRESH: 0x" + "f" * 9000 + "}}\n", "NMS_THRESH: got "),
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
    with pytest.raises(ConfigError, match="SIZES: got"):
        read(f"{bomb}  ANCHOR_GENERATOR: {{SIZES: *a30}}\n")


def test_a_config_in_python_is_never_run(tmp_path: Path, drawn: dict[str, State]) -> None:
    torch.save({"model": drawn["fpn"]}, tmp_path / "model.pth")
    (tmp_path / "config.py").write_text(f"open({str(tmp_path / 'here')!r}, 'w')")
    with pytest.raises(ConfigError, match="Python is never run"):
        read_detectron2(tmp_path / "model.pth", Stated(config=tmp_path / "config.py"))
    with pytest.raises(ConfigError, match="no such config file"):
        read_detectron2(tmp_path / "model.pth", Stated(config=tmp_path / "absent.yaml"))
    assert not (tmp_path / "here").exists()


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


def test_settings_that_the_file_says_of_itself_are_checked(drawn: dict[str, State], tmp_path: Path) -> None:
    for inside, said in (
        ([3], "no list of key=value under `detres`"),
        ("abc", "no list of key=value under `detres`"),
        (["data.workers=3"], "a file of weights does not keep data.workers"),
        (["model.backbone.name=os:system"], "the weights themselves say model.backbone.name"),
        (["test.scoer=1"], "did you mean test.score?"),
    ):
        torch.save({"model": drawn["fpn"], "detres": inside}, tmp_path / "model.pth")
        with pytest.raises(UserError) as told:
            read_detectron2(tmp_path / "model.pth", Stated())
        assert said in str(told.value)
