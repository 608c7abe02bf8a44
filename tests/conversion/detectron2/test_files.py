"""What is read from files in detectron2's layout, what is told of it, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from detres.conversion.converted import Stated, build_converted
from detres.conversion.detectron2.reading import read_detectron2, understand
from detres.detection.model.anchors import cell_anchors
from detres.detection.model.building import padding_multiple
from detres.errors import WeightsError
from detres.structures import PixelStats

State = dict[str, Tensor]
ANCHORS = "proposal_generator.anchor_generator.cell_anchors"


@pytest.fixture(scope="module")
def drawn(zoo_state: Callable[..., State]) -> State:
    return zoo_state("fpn", "resnet18")


@pytest.fixture
def state(drawn: State) -> State:
    """To be changed by a test."""
    return dict(drawn)


def refusal(state: State, stated: Stated | None = None) -> str:
    with pytest.raises(WeightsError) as told:
        build_converted(understand(state, stated or Stated(), "made up"), "made up")
    return str(told.value)


# Files


def written(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content, 4))
    return path


def test_a_pickle_of_the_zoo_and_a_checkpoint_are_the_same_detector(state: State, tmp_path: Path) -> None:
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    pickled = written(tmp_path / "zoo.pkl", {"model": arrays, "__author__": "a zoo", "matching_heuristics": True})
    beside = {"optimizer": {"state": {}}, "iteration": 7, "best": np.float64(0.4), "hooks": {print}}
    torch.save({"model": state, **beside}, tmp_path / "model_final.pth")
    first, second = (read_detectron2(path, Stated()) for path in (pickled, tmp_path / "model_final.pth"))
    assert first.model == second.model
    assert first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert torch.equal(tensor, second.tensors[name])
    assert first.recipe == "detectron2 zoo.pkl"
    assert first.told == second.told[:-1]
    assert "left unread, beside the weights: " in second.told[-1]
    assert "print" in second.told[-1]
    # What a file is is seen by its bytes: downloads are renamed.
    renamed = pickled.rename(tmp_path / "zoo.bin")
    assert read_detectron2(renamed, Stated()).tensors.keys() == first.tensors.keys()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"model": {"a": print}}, "builtins.print, and might run any code"),
        ({"model": {1: np.zeros(3)}}, "1 is no array of numbers"),
        ({"model": {"a": [1, 2]}}, "'a' is no array of numbers"),
        ({"model": {"a": np.array(["x"])}}, "'a' is no array of numbers"),
        ({"blobs": {}}, "under `model`"),
        ([1], "under `model`"),
        ({"model": {"a": np.zeros(3)}}, "no box predictor of Faster R-CNN"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(content: object, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "zoo.pkl", content)
    with pytest.raises(WeightsError, match=said) as told:
        read_detectron2(path, Stated())
    assert str(told.value).startswith(f"{path}: ")


def test_a_truncated_or_absent_file_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "zoo.pkl", {"model": {"a": np.zeros(1000)}}).read_bytes()
    (tmp_path / "zoo.pkl").write_bytes(whole[:4000])
    (tmp_path / "zoo.pth").write_bytes(b"PK")
    for name, said in (
        ("zoo.pkl", "not a pickle that can be read"),
        ("zoo.pth", "no weights of any form that is read"),
    ):
        with pytest.raises(WeightsError, match=said):
            read_detectron2(tmp_path / name, Stated())
    with pytest.raises(WeightsError, match="no such weights file"):
        read_detectron2(tmp_path / "absent.pkl", Stated())


# Settings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "before", "pad_to", "stride"), [("c4", 6000, 1, 32), ("dc5", 6000, 1, 16), ("fpn", 1000, 32, 32)]
)
def test_settings_are_the_zoos(
    zoo_state: Callable[..., State], layout: str, before: int, pad_to: int, stride: int
) -> None:
    detector = understand(zoo_state(layout), Stated(), "made up")
    model, test = detector.model, detector.test
    assert (model.rpn.pre_nms_test, model.rpn.post_nms_test, padding_multiple(model)) == (before, 1000, pad_to)
    assert (test.score, test.nms, test.max_detections) == (0.05, 0.5, 100)
    assert (model.roi.aligned, model.roi.sampling_ratio, model.roi.level_eps) == (True, 0, 0.0)
    assert (model.backbone.name, model.backbone.norm, model.output_stride) == ("resnet50", "frozen", stride)
    backbone = detector.backbone
    assert (backbone.pool, backbone.norm_eps, backbone.stride_in) == ("torch", 1e-5, "1x1")
    assert backbone.pixel_stats == PixelStats((103.53, 116.28, 123.675), (1.0, 1.0, 1.0), "bgr")
    assert detector.preprocessing.rounding == "nearest"
    assert "stride in the 1x1 (as usual; --stride-in sets another)" in detector.told[0]


def test_norms_that_learned_stay_trainable(state: State) -> None:
    state["backbone.bottom_up.stem.conv1.norm.num_batches_tracked"] = torch.tensor(5)
    assert understand(state, Stated(), "made up").model.backbone.norm == "batch"


def test_norms_of_fpn_and_head_are_known_by_their_statistics(zoo_state: Callable[..., State]) -> None:
    state = zoo_state("fpn", "resnet18", deep=True)
    batch = understand(state, Stated(), "made up").model
    assert (batch.fpn.norm, batch.roi.head_norm, batch.roi.head_conv_channels) == ("batch", "batch", 32)
    heads = ("backbone.fpn_", "roi_heads.")
    group = {name: t for name, t in state.items() if "running" not in name or not name.startswith(heads)}
    model = understand(group, Stated(), "made up").model
    assert (model.fpn.norm, model.roi.head_norm) == ("group", "group")


def test_anchors_the_file_holds_are_used(state: State) -> None:
    sizes = [(24.0,), (48.0,), (96.0,), (192.0,), (384.0,)]
    held = {f"{ANCHORS}.{level}": cell_anchors(s, (0.4, 1.0, 2.5)) for level, s in enumerate(sizes)}
    anchors = understand(state | held, Stated(), "made up").model.anchors
    assert anchors.sizes == tuple(sizes)
    assert anchors.ratios == (0.4, 1.0, 2.5)
    usual = {f"{ANCHORS}.{level}": cell_anchors((32 * 2**level,), (0.5, 1.0, 2.0)) for level in range(5)}
    assert understand(state | usual, Stated(), "made up").model.anchors.sizes is None


# What is left out, and what is refused


def test_heads_beside_the_boxes_are_left_out_and_told(state: State) -> None:
    state["roi_heads.mask_head.mask_fcn1.weight"] = torch.zeros(1)
    state["roi_heads.mask_head.predictor.weight"] = torch.zeros(1)
    state["roi_heads.keypoint_head.conv_fcn1.weight"] = torch.zeros(1)
    detector = understand(state, Stated(), "made up")
    assert detector.told[-2:] == (
        "left out: 2 tensors, roi_heads.mask_*",
        "left out: 1 tensors, roi_heads.keypoint_head.*",
    )
    assert not any("mask" in name for name in detector.tensors)


def without(state: State, prefix: str) -> State:
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}


def test_another_detector_is_refused_by_its_kind(state: State) -> None:
    cascade = state | {"roi_heads.box_predictor.0.cls_score.weight": torch.zeros(1)}
    assert "a cascade of box heads" in refusal(cascade)
    assert "no RPN: a Fast R-CNN" in refusal(without(state, "proposal_generator."))
    assert "no box predictor" in refusal(without(state, "roi_heads.box_predictor."))
    deformable = state | {"backbone.bottom_up.res5.0.conv2_offset.weight": torch.zeros(1)}
    assert "1 names" in refusal(deformable)
    assert "backbone.bottom_up.res5.0.conv2_offset.weight" in refusal(deformable)
    grouped = state | {"backbone.bottom_up.res2.0.conv2.weight": torch.zeros(64, 2, 3, 3)}
    assert "32 groups: a ResNeXt" in refusal(grouped)
    assert "have no statistics" in refusal({n: t for n, t in state.items() if "running" not in n})


@pytest.mark.parametrize(
    "part", ["roi_heads.box_head.", "roi_heads.box_predictor.bbox_pred", "backbone.bottom_up.res5"]
)
def test_what_is_missing_is_told(state: State, part: str) -> None:
    told = refusal(without(state, part))
    assert "lacks what is" in told or "no ResNet of 18 to 152 layers" in told


def test_a_missing_weight_is_told_by_name(state: State) -> None:
    assert "backbone.layer3.1.bn2.weight" in refusal(without(state, "backbone.bottom_up.res4.1.conv2.norm.weight"))


def test_wrong_widths_are_told_by_name(state: State) -> None:
    state["backbone.bottom_up.res3.0.conv1.weight"] = torch.zeros(100, 64, 3, 3)
    assert "backbone.layer2.0.conv1.weight" in refusal(state)


def test_dc5_with_the_stride_in_the_3x3_is_refused(zoo_state: Callable[..., State]) -> None:
    """As in basic blocks it always is."""
    assert "detectron2 dilates the first 3×3 of conv5" in refusal(zoo_state("dc5", "resnet18"))


def test_pixels_and_anchors_that_cannot_be_known_are_refused(state: State) -> None:
    one = torch.ones(3, 1, 1)
    assert "neither in BGR nor in RGB" in refusal(state | {"pixel_mean": 127 * one, "pixel_std": one})
    name = "proposal_generator.rpn_head.objectness_logits.weight"
    told = refusal(state | {name: torch.zeros(6, 32, 1, 1)})
    assert "its RPN has 6 anchors a cell, and model.anchors.sizes=[[32],[64],[128],[256],[512]] with" in told
    assert "lays 3; say which they were, with these keys or with --config FILE" in told
    shifted = {f"{ANCHORS}.{level}": cell_anchors((32 * 2**level,), (0.5, 1.0, 2.0)) + 8 for level in range(5)}
    assert "around the cell's corner" in refusal(state | shifted)
    assert "--stride-in: resnet18 has no bottlenecks" in refusal(state, Stated(stride_in="1x1"))
