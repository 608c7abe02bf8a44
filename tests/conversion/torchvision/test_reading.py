"""What is refused of torchvision's files, and what is told, before anything is built."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from detres.conversion.converted import Stated, write_converted
from detres.conversion.torchvision.reading import read_torchvision, understand
from detres.errors import WeightsError

SCORES, BOXES = "roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred"


@pytest.fixture(scope="module")
def theirs() -> dict[str, Tensor]:
    with torch.device("meta"):
        model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=4)
    return {name: torch.zeros(tensor.shape) for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        (f"{BOXES}.weight", None, "it lacks what is roi.deltas.weight here"),
        (f"{SCORES}.bias", None, "it lacks what is roi.class_logits.bias here"),
        (f"{SCORES}.bias", (), r"what is roi.class_logits.bias here has shape \(\), expected 1 dimensions"),
        (f"{BOXES}.bias", (), r"roi.deltas.bias here has shape \(\)"),
        ("rpn.head.cls_logits.weight", None, "it lacks what is rpn.objectness.weight here"),
        ("rpn.head.cls_logits.weight", (), r"rpn.objectness.weight here has shape \(\)"),
    ],
)
def test_a_state_dict_that_lacks_what_is_read_is_refused(
    theirs: dict[str, Tensor], name: str, shape: tuple[int, ...] | None, said: str
) -> None:
    cut = {key: tensor for key, tensor in theirs.items() if key != name}
    with pytest.raises(WeightsError, match=said):
        understand(cut if shape is None else cut | {name: torch.zeros(shape)}, Stated(), "a test")


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_have_diverged_are_not_written(theirs: dict[str, Tensor], value: float, tmp_path: Path) -> None:
    detector = understand(theirs | {f"{BOXES}.bias": torch.full((16,), value)}, Stated(), "a test")
    with pytest.raises(WeightsError, match=r"a file: not finite in 1 tensors, such as what is roi\.deltas\.bias here"):
        write_converted(detector, tmp_path / "ours.safetensors", "a file")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_wrappers_prefix_is_taken_off_or_named(theirs: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({f"net.detector.{name}": tensor for name, tensor in theirs.items()}, path)
    detector = read_torchvision(path, Stated())
    assert detector is not None
    assert "taken off its names: net.detector." in detector.told
    torch.save({"scale": torch.ones(1)} | {f"net.{name}": tensor for name, tensor in theirs.items()}, path)
    with pytest.raises(
        WeightsError, match=r"under 'net\.', and 1 names beside it, such as scale; save the state dict of"
    ):
        read_torchvision(path, Stated())
    path.unlink()


def test_the_eps_that_a_published_file_hands_on_is_told_with_the_option(theirs: dict[str, Tensor]) -> None:
    (line,) = (line for line in understand(theirs, Stated(), "a test").told if line.startswith("norm eps"))
    assert "if it was fine-tuned from COCO_V1, it has kept 0.0: say --bn-eps 0 (--bn-eps sets another)" in line
    assert understand(theirs, Stated(norm_eps=0.0), "a test").backbone.norm_eps == 0


def test_no_config_is_offered_where_the_project_has_none(theirs: dict[str, Tensor]) -> None:
    more = {
        f"rpn.head.cls_logits.{part}": torch.zeros(6, *((256, 1, 1) if part == "weight" else ()))
        for part in ("weight", "bias")
    }
    with pytest.raises(WeightsError, match=r"say which they were, with these keys$"):
        understand(theirs | more, Stated(), "a test")


def test_a_checkpoint_of_torchvisions_reference_training_is_read(theirs: dict[str, Tensor], tmp_path: Path) -> None:
    beside = {"optimizer": {"state": {}, "param_groups": []}, "lr_scheduler": {"last_epoch": 25}, "epoch": 25}
    torch.save({"model": theirs, **beside, "args": argparse.Namespace(lr=0.02)}, tmp_path / "model_25.pth")
    detector = read_torchvision(tmp_path / "model_25.pth", Stated())
    assert detector is not None
    alone = understand(theirs, Stated(), "a test")
    assert detector.tensors.keys() == alone.tensors.keys()
    assert detector.model == alone.model
    (tmp_path / "model_25.pth").unlink()
