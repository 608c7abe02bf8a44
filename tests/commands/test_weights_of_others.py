"""Starting from a detector's weights: one's own on other classes, and torchvision's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from detres import Detector
from detres.commands.main import main
from detres.detection.files import DetectorSettings

LOGITS, DELTAS = "roi.class_logits.weight", "roi.deltas.weight"


@pytest.fixture
def renamed(tiny: Any, tmp_path: Path) -> Path:
    """--data of the tiny set, its squares called boxes."""
    content = json.loads((tiny.root / "coco" / "train.json").read_text())
    content["categories"][0]["name"] = "box"
    (tmp_path / "train.json").write_text(json.dumps(content))
    (tmp_path / "data.yaml").write_text(f"format: coco\ntrain: {tmp_path}/train.json:{tiny.root}/JPEGImages\n")
    return tmp_path / "data.yaml"


@pytest.mark.slow
def test_classes_are_matched_by_name_and_the_rest_starts_anew(
    trained: Path, tiny: Any, renamed: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a rate of nothing, what is saved after a step is what was begun with."""
    command = [
        *("train_det", "--cfg", tiny.cfg, "--data", renamed, "--weights", trained, "--out", run_folder),
        *("--device", "cpu", "training.steps=1", "optimizer.lr=1e-12", "optimizer.weight_decay=0"),
    ]
    assert main([str(part) for part in command]) == 0
    told = capsys.readouterr().out
    assert "classes from the file, by name: 1 disc\n" in told
    assert "classes start anew: 1 box\n" in told
    assert "classes only in the file: 1 square\n" in told
    assert f"weights {trained}/checkpoints/best/model.safetensors" in told

    before, after = (
        load_file(run / "checkpoints" / name / "model.safetensors")
        for run, name in ((trained, "best"), (run_folder, "last"))
    )
    # There: disc, square, background; here: box, disc, background.
    assert torch.allclose(after[LOGITS][1], before[LOGITS][0])
    assert torch.allclose(after[LOGITS][2], before[LOGITS][2])
    assert torch.allclose(after[DELTAS][4:], before[DELTAS][:4])
    for row in before[LOGITS]:
        assert not torch.allclose(after[LOGITS][0], row, atol=1e-3)
    for name, tensor in before.items():
        if "running_" not in name and "num_batches" not in name and not name.startswith(("roi.class", "roi.deltas")):
            assert torch.allclose(after[name], tensor), name


@pytest.mark.slow
def test_classes_of_coco_and_voc_are_matched_under_their_two_names_and_shown(
    trained: Path, tiny: Any, tmp_path: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny set's squares called as VOC calls sofas; the file of the trained run, which knows couches."""
    content = json.loads((tiny.root / "coco" / "train.json").read_text())
    content["categories"] = [{"id": 3, "name": "sofa"}, {"id": 7, "name": "disc"}]
    (tmp_path / "train.json").write_text(json.dumps(content))
    (tmp_path / "data.yaml").write_text(f"format: coco\ntrain: {tmp_path}/train.json:{tiny.root}/JPEGImages\n")
    source = trained / "checkpoints" / "best" / "model.safetensors"
    with safe_open(source, "pt") as opened:
        metadata = opened.metadata()
    del metadata["checksum"]  # of the text as it was
    settings = json.loads(metadata["detres"])
    settings["model"]["class_names"] = ["couch", "disc"]
    weights = tmp_path / "coco.safetensors"
    save_file(load_file(source), weights, {**metadata, "detres": json.dumps(settings)})
    command = [
        *("train_det", "--cfg", tiny.cfg, "--data", tmp_path / "data.yaml", "--weights", weights, "--out", run_folder),
        *("--device", "cpu", "training.steps=1", "optimizer.lr=1e-12", "optimizer.weight_decay=0"),
    ]
    assert main([str(part) for part in command]) == 0
    told = capsys.readouterr().out
    assert "classes from the file, by name: 1 disc\n" in told
    assert "classes from the file, by another name: 1 sofa (couch)\n" in told
    assert "start anew" not in told
    after = load_file(run_folder / "checkpoints" / "last" / "model.safetensors")
    assert torch.allclose(after[LOGITS], load_file(source)[LOGITS])


@pytest.mark.slow
def test_the_file_decides_the_model_and_the_config_the_rest(
    trained: Path, run_folder: Path, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        *("train_det", "--cfg", "shapes_r18_fpn", "--data", tiny.voc, "--weights", trained, "--out", run_folder),
        *("--device", "cpu", "training.steps=1", "training.batch=1", "data.test=[]", "data.shortest_side=[64]"),
    ]
    assert main([str(part) for part in command]) == 0
    assert "classes from the file, by name: 2 disc, square\n" in capsys.readouterr().out
    _, settings = DetectorSettings.load(run_folder / "checkpoints" / "last" / "model.safetensors")
    assert settings.model.layout == "c4"
    assert settings.model.roi.pool == 4
    assert settings.recipe == "shapes_r18_fpn"


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """torchvision's ResNet-50 FPN for 2 classes, its scores spread out, fed with pictures as small as ours."""
    torch.manual_seed(0)
    model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3, min_size=96, max_size=160)
    with torch.no_grad():
        for head, std in (
            (model.rpn.head.cls_logits, 4e-3),
            (model.rpn.head.bbox_pred, 4e-4),
            (model.roi_heads.box_predictor.cls_score, 5e-3),
            (model.roi_heads.box_predictor.bbox_pred, 1e-3),
        ):
            head.weight.normal_(0, std)
    return model.eval()


def pictures() -> list[np.ndarray]:
    """Smooth noise, the shorter side 96, so that neither side resizes."""
    random, made = np.random.default_rng(0), []
    for height, width in ((96, 128), (128, 96), (96, 96)):
        coarse = torch.from_numpy(random.uniform(0, 255, (1, 3, height // 16, width // 16)))
        smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0].numpy()
        noisy = 0.7 * smooth + 0.3 * random.uniform(0, 255, smooth.shape)
        made.append(np.ascontiguousarray(noisy.astype(np.uint8).transpose(1, 2, 0)))
    return made


@pytest.mark.slow
def test_torchvisions_detector_converts_and_detects_the_same(
    theirs: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    source, out = tmp_path / "theirs.pth", tmp_path / "ours.safetensors"
    request.addfinalizer(lambda: [path.unlink(missing_ok=True) for path in (source, out)])
    torch.save(theirs.state_dict(), source)
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    command = ["convert_weights", "--from", "torchvision", source, out, "--classes", tmp_path / "names.txt"]
    assert main([str(part) for part in command]) == 0
    told = capsys.readouterr().out
    assert "norm eps 1e-05" in told
    assert "2 classes" in told

    assert Detector.from_checkpoint(out, device="cpu").class_names == ("cat", "dog")
    model, settings = DetectorSettings.load(out)
    assert settings.preprocessing.shortest_side == (800,)
    fed = settings.preprocessing.model_copy(update={"shortest_side": (96,), "longest_side": 160})
    ours = Detector(model, type(settings)(**{**vars(settings), "preprocessing": fed}), device="cpu")
    total = 0
    for rgb in pictures():
        with torch.no_grad():
            (expected,) = theirs([torch.from_numpy(rgb).permute(2, 0, 1).float() / 255])
        found = ours(rgb)
        total += len(found)
        assert len(found) == len(expected["scores"])
        assert unmatched(found.boxes, found.scores, found.labels, expected) == 0
    assert total >= 50


def unmatched(boxes: Tensor, scores: Tensor, labels: Tensor, expected: dict[str, Tensor]) -> int:
    """Ours without one of theirs within 0.05 pixels and 1e-4 of score; their labels count from 1."""
    near = (boxes[:, None] - expected["boxes"][None]).abs().amax(dim=2) <= 0.05
    alike = (scores[:, None] - expected["scores"][None]).abs() <= 1e-4
    same = labels[:, None] == expected["labels"][None] - 1
    return int((~(near & alike & same).any(dim=1)).sum())


@pytest.mark.slow
def test_a_converted_backbone_starts_a_detector(
    tiny: Any, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """timm's and torchvision's classifiers share their names; frozen stages and norms come with statistics."""
    from torchvision.models import resnet18

    source, out = tmp_path / "r18.pth", tmp_path / "r18.safetensors"
    request.addfinalizer(lambda: [path.unlink(missing_ok=True) for path in (source, out)])
    torch.save(resnet18().state_dict(), source)
    convert: Callable[..., int] = lambda *more: main(  # noqa: E731
        ["convert_weights", "--from", "torchvision", str(source), str(out), *more]
    )
    assert convert("--architecture", "resnet18") == 0
    assert "resnet18" in capsys.readouterr().out
    command = ["train_det", "--cfg", str(tiny.cfg), "--out", str(run_folder), "--device", "cpu", "training.steps=1"]
    overrides = [f"model.backbone.weights={out}", "model.backbone.frozen_stages=2", "data.test=[]"]
    assert main([*command, *overrides]) == 0
    assert str(out) in capsys.readouterr().out
    model, _ = DetectorSettings.load(run_folder / "checkpoints" / "last" / "model.safetensors")
    assert set(model.stage_norms.values()) == {"frozen"}
    stem = torch.load(source, weights_only=True)["conv1.weight"]
    assert torch.equal(model.state_dict()["backbone.conv1.weight"], stem)
