"""What detectron2's config.yaml says of weights: read without running anything, told key by key, refused where it is
not theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from detres.config.yaml_dialect import read_yaml_1_1
from detres.conversion.converted import ConvertedDetector, Stated
from detres.conversion.detectron2.configs import Detectron2Config
from detres.conversion.detectron2.reading import understand
from detres.conversion.detectron2.said import Beside
from detres.conversion.keys import values_of
from detres.detection.model.anchors import cell_anchors
from detres.errors import ConfigError, WeightsError
from detres.structures import PixelStats

State = dict[str, Tensor]
Read = Callable[..., ConvertedDetector]

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


def test_a_whole_config_says_everything(read: Read, whole_config: Callable[..., str]) -> None:
    detector = read(whole_config())
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


@pytest.mark.slow
def test_keys_win_over_the_config(read: Read, whole_config: Callable[..., str]) -> None:
    detector = read(whole_config(), "model.rpn.nms=0.8", "data.shortest_side=500")
    assert (detector.model.rpn.nms, detector.preprocessing.shortest_side) == (0.8, (500,))
    assert read(whole_config(INPUT__MIN_SIZE_TEST=0), "data.shortest_side=500").preprocessing.shortest_side == (500,)
    assert read(whole_config(TEST__DETECTIONS_PER_IMAGE=-1), "test.max_detections=300").test.max_detections == 300


# Parts of configs


@pytest.mark.slow
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


def test_what_a_config_that_stands_alone_leaves_out_is_detectron2s_default(
    read: Read, whole_config: Callable[..., str]
) -> None:
    keys = ("MODEL__RPN__PRE_NMS_TOPK_TEST", "MODEL__PIXEL_MEAN", "MODEL__PIXEL_STD", "INPUT__FORMAT")
    detector = read(whole_config(**dict.fromkeys(keys)))
    assert detector.model.rpn.pre_nms_test == 6000
    assert detector.backbone.pixel_stats == PixelStats((103.53, 116.28, 123.675), (1.0, 1.0, 1.0), "bgr")
    assert "  detectron2's default, which given.yaml leaves: model.rpn.pre_nms_test=6000" in detector.told
    with pytest.raises(WeightsError, match=r"its RPN has 3 anchors a cell, and .* lays 15"):
        read(whole_config(MODEL__ANCHOR_GENERATOR__SIZES=None))


def test_what_a_config_builds_on_is_read_where_it_is_there(
    read: Read, whole_config: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"its _BASE_ is \.\./base/whole\.yaml, and .* is not there; put it there"):
        read("_BASE_: ../base/whole.yaml")
    base = tmp_path.parent / f"{tmp_path.name}-base"
    base.mkdir()
    (base / "whole.yaml").write_text(whole_config())
    (base / "middle.yaml").write_text("_BASE_: whole.yaml\nTEST: {DETECTIONS_PER_IMAGE: 30}\n")
    detector = read(f"_BASE_: ../{base.name}/middle.yaml\nMODEL: {{RPN: {{NMS_THRESH: 0.5}}}}")
    assert (detector.model.rpn.nms, detector.test.max_detections, detector.test.score) == (0.5, 30, 0.01)
    (base / "whole.yaml").write_text("_BASE_: middle.yaml\n")
    with pytest.raises(ConfigError, match="builds on the file itself"):
        read(f"_BASE_: ../{base.name}/middle.yaml")
    with pytest.raises(ConfigError, match="nothing is downloaded"):
        read("_BASE_: https://example.org/base.yaml")


def test_c4_and_dc5_say_what_they_differ_in(drawn: dict[str, State]) -> None:
    def read(layout: str, text: str) -> ConvertedDetector:
        config = Detectron2Config("given.yaml", read_yaml_1_1(text, "given.yaml"))
        return understand(drawn[layout], Stated(), "made up", Beside(config))

    c4 = read("c4", "MODEL: {ROI_BOX_HEAD: {POOLER_RESOLUTION: 10}, RESNETS: {STRIDE_IN_1X1: false}}")
    assert (c4.model.roi.pool, c4.backbone.stride_in) == (10, "3x3")
    assert "  given.yaml, MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION: model.roi.pool=10" in c4.told
    assert "  assumed model.roi.pool=14" in understand(drawn["c4"], Stated(), "made up").told
    dc5 = "MODEL: {RESNETS: {RES5_DILATION: 2, STRIDE_IN_1X1: %s}}"
    assert read("dc5", dc5 % "true").backbone.stride_in == "1x1"
    with pytest.raises(WeightsError, match="DC5 with the stride in the 3x3"):
        read("dc5", dc5 % "false")


# The config beside the weights


@pytest.mark.slow
def test_a_config_of_the_files_own_name_is_read_and_another_is_pointed_to(
    read: Read, whole_config: Callable[..., str], tmp_path: Path
) -> None:
    usual = tmp_path / "config.yaml"
    usual.write_text(whole_config())
    told = read(None).told
    assert told[0] == f"{usual}: lies beside it and is not read; if it is its own, add --config {usual}"
    (tmp_path / "model_final.yaml").write_text(whole_config())
    detector = read(None)
    assert detector.model.anchors.sizes == EXPECTED["model.anchors.sizes"]
    assert detector.told[0].endswith("model_final.yaml: read, which lies beside it; --config FILE reads another")
    (tmp_path / "model_final.yaml").write_text("_BASE_: absent.yaml\nMODEL: {MASK_ON: false}\n")
    assert read(None).told[0].startswith("warning: not read, though it lies beside the weights: ")
    for text in ("format: coco\n", "{", "model: {a: 1}\n"):
        usual.write_text(text)
        (tmp_path / "model_final.yaml").write_text(text)
        assert "resnet18" in read(None).told[0], "neither is one of detectron2's"


@pytest.mark.slow
def test_a_file_and_its_config_that_contradict_each_other_are_decided_by_a_key(
    read: Read, whole_config: Callable[..., str]
) -> None:
    cells = "proposal_generator.anchor_generator.cell_anchors"
    held = {f"{cells}.{k}": cell_anchors((24.0 * 2**k,), (0.4, 1.0, 2.5)) for k in range(5)}
    with pytest.raises(
        WeightsError, match=r"it holds model\.anchors\.sizes=\[\[24\],.* and its config says .*\[\[16\]"
    ):
        read(whole_config(), held=held)
    sizes = "model.anchors.sizes=[[20],[40],[80],[160],[320]]"
    assert read(whole_config(), sizes, held=held).model.anchors.sizes[0] == (20.0,)
    pixels = {"pixel_mean": torch.tensor([1.0, 2.0, 3.0]), "pixel_std": torch.tensor([4.0, 5.0, 6.0])}
    with pytest.raises(WeightsError, match=r"say model\.backbone\.pixel_stats\.order=bgr or =rgb"):
        read(None, held=pixels)
    stats = read(None, "model.backbone.pixel_stats.order=rgb", held=pixels).backbone.pixel_stats
    assert stats == PixelStats((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "rgb")
