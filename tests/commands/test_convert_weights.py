"""A detector from one project to detres, on to another, and back."""

from __future__ import annotations

import pickle
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from detres import Detector
from detres.commands import convert_weights
from detres.commands.main import main
from detres.conversion.from_detres import DETECTOR_TARGETS
from detres.conversion.keys import values_of
from detres.conversion.to_detres import SOURCES
from detres.detection.files import DetectorSettings

Command = Callable[..., int]


def run(*arguments: object) -> int:
    return main(["convert_weights", *map(str, arguments)])


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's ResNet-18 FPN as a detector of cats and dogs."""
    folder = tmp_path_factory.mktemp("ours")
    model = FasterRCNN(resnet_fpn_backbone(backbone_name="resnet18", weights=None), 3)
    torch.save(model.state_dict(), folder / "theirs.pth")
    (folder / "names.txt").write_bytes("\ufeffcat\r\ndog\r\n".encode())  # as Notepad writes it
    out = folder / "ours.safetensors"
    assert run("--from", "torchvision", folder / "theirs.pth", out, "--classes", folder / "names.txt") == 0
    (folder / "theirs.pth").unlink()
    return out


def test_the_command_offers_what_there_is() -> None:
    """It lists the names itself, so that the parser starts without torch."""
    assert convert_weights.SOURCES == SOURCES
    assert tuple(DETECTOR_TARGETS) == convert_weights.TARGETS


@pytest.mark.slow
def test_a_detector_goes_on_to_detectron2_and_back(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    zoo, again = tmp_path / "zoo.pkl", tmp_path / "again.safetensors"
    request.addfinalizer(lambda: [path.unlink(missing_ok=True) for path in (zoo, again)])
    assert run("--to", "detectron2", ours, zoo) == 2
    told = capsys.readouterr().err
    assert "detectron2 computes otherwise with these weights" in told
    assert "model.anchors.rounded is True here, False there" in told
    assert not zoo.exists()

    assert run("--to", "detectron2", ours, zoo, "--approximate") == 0
    told = capsys.readouterr().out
    assert "otherwise there: model.anchors.rounded is True here, False there" in told
    assert "    POOLER_TYPE: ROIAlign\n" in told.replace("      ", "    ")
    config = tmp_path / "zoo.yaml"
    assert f"this config goes with it: {config}\n" in told
    assert "what detectron2 has no key for lies in zoo.pkl and is read from there on the way back: " in told
    with zoo.open("rb") as file:
        content = pickle.load(file)
    assert set(content) == {"model", "__author__", "detres"}
    assert content["model"]["backbone.bottom_up.stem.conv1.weight"].shape == (64, 3, 7, 7)

    assert run("--from", "detectron2", zoo, again) == 0
    told = capsys.readouterr().out
    assert f"{config}: read, which lies beside it; --config FILE reads another\n" in told
    assert "resnet18, stride in the 3x3 (as usual; --stride-in sets another), pixels rgb minus" in told
    assert "class names: in the file\n" in told
    assert "assumed" not in told.replace("assumed model.rpn.min_size", "")
    before, after = load_file(ours), load_file(again)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())
    assert settings_in(again) == settings_in(ours)


def settings_in(file: Path) -> dict[str, Any]:
    """All that decides how a detector's file is built, fed and tested, with what an open key stands for."""
    return values_of(DetectorSettings.read(file)[1])


# What no state dict holds: every one of these changes what is found.
OWN = (
    *("model.anchors.sizes=[[16],[32],[64],[128],[256]]", "model.anchors.ratios=[0.4,1,2.5]"),
    *("model.rpn.pre_nms_test=150", "model.rpn.post_nms_test=80", "model.rpn.nms=0.6", "model.roi.sampling_ratio=3"),
    *("model.roi.codec_weights=[8,8,4,4]", "model.rpn.codec_weights=[2,2,1,1]"),
    *("model.backbone.pixel_stats.mean=[110,120,130]", "model.backbone.pixel_stats.std=[50,60,70]"),
    *("data.shortest_side=96", "data.longest_side=150", "test.score=0.2", "test.nms=0.4", "test.max_detections=30"),
    'model.class_names=["a cat","dog"]',
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "suffix"), [("detectron2", ".pkl"), ("detectron2", ".pth"), ("torchvision", ".pth")]
)
def test_what_no_state_dict_holds_comes_back_and_finds_the_same(
    target: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    there, ours, again = tmp_path / f"there{suffix}", tmp_path / "ours.safetensors", tmp_path / "again.safetensors"
    request.addfinalizer(lambda: [path.unlink(missing_ok=True) for path in (there, ours, again)])
    make(tmp_path / "theirs.pth")
    assert run("--from", "torchvision", tmp_path / "theirs.pth", ours, *OWN) == 0
    (tmp_path / "theirs.pth").unlink()
    told = capsys.readouterr().out
    assert "  stated model.anchors.sizes=[[16],[32],[64],[128],[256]]\n" in told
    assert "  assumed model.anchors.offset=0\n" in told

    assert run("--to", target, ours, there, "--approximate") == 0
    told = capsys.readouterr().out
    command = shlex.split(told.rpartition("on the way back:\n")[2]) if target == "torchvision" else []
    assert run("--from", target, there, again, *command[6:]) == 0
    assert settings_in(again) == settings_in(ours)
    for rgb in pictures():
        before, after = (Detector.from_checkpoint(file, device="cpu").predict(rgb) for file in (ours, again))
        assert len(before) >= 10
        assert before.names == after.names
        torch.testing.assert_close(before.boxes, after.boxes, rtol=0, atol=1e-4)
        torch.testing.assert_close(before.scores, after.scores, rtol=0, atol=1e-4)


def make(path: Path) -> None:
    """torchvision's ResNet-18 FPN, its scores spread out."""
    torch.manual_seed(0)
    model = FasterRCNN(resnet_fpn_backbone(backbone_name="resnet18", weights=None), 3)
    with torch.no_grad():
        model.rpn.head.cls_logits.weight.normal_(0, 0.2)
        model.roi_heads.box_predictor.cls_score.weight.normal_(0, 0.25)
    torch.save(model.state_dict(), path)


def pictures() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    return [cv2.resize(random.integers(0, 255, (8, 12, 3), dtype=np.uint8), size) for size in ((120, 80), (90, 170))]


def test_a_config_of_the_users_is_not_written_over(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("format: coco\n")
    assert run("--to", "detectron2", ours, tmp_path / "mine.pkl", "--approximate") == 2
    assert "mine.yaml: is there, and was not written by this command" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    assert (tmp_path / "mine.yaml").read_text() == "format: coco\n"


@pytest.mark.slow
def test_a_detector_goes_back_to_torchvision(ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "theirs.pth"
    assert run("--to", "torchvision", ours, out) == 0
    told = capsys.readouterr().out
    assert f'  model.load_state_dict(torch.load("{out}", weights_only=True))\n' in told
    assert "labels count from 1 there" in told
    assert "otherwise there" not in told
    model = FasterRCNN(resnet_fpn_backbone(backbone_name="resnet18", weights=None), 3)
    model.load_state_dict(torch.load(out, weights_only=True))
    out.unlink()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "torchvision", "{ours}", "{out}.pkl"), "--to torchvision writes .pth; name the output so"),
        (("--to", "detectron2", "{ours}", "{out}.pth", "--bn-eps", "0"), "--bn-eps: of no use with --to"),
        (("--to", "detectron2", "{out}.absent", "{out}.pkl"), "there is no such file or folder"),
        (("--from", "detectron2", "{ours}", "{out}.safetensors", "--approximate"), "of no use with --from"),
        (("--from", "detectron2", "{ours}", "{out}.safetensors"), "not a file of torch.save that can be read"),
        (("--to", "detectron2", "{ours}", "{out}.pkl", "test.score=1"), "test.score=1: of no use with --to"),
        (("--to", "detectron2", "{ours}", "{out}.pkl", "--config", "a"), "--config: of no use with --to"),
        (("--from", "torchvision", "{ours}", "{out}.safetensors", "test.score=1"), "keys are of detectors, and"),
        (("--from", "msra", "{ours}", "{out}.safetensors", "mine"), "mine: this is no override; write key=value"),
        (
            ("--from", "mmdetection", "{ours}", "{out}.safetensors", "--bn-eps", "0", "model.backbone.norm_eps=0"),
            "--bn-eps and model.backbone.norm_eps say the same thing; give one of them",
        ),
    ],
)
def test_what_does_not_go_is_told(
    arguments: tuple[str, ...], said: str, ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(text.format(ours=ours, out=tmp_path / "out") for text in arguments)) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_c4_of_a_resnet_18_has_no_place_with_others(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target, said in (("torchvision", "this is c4; --to detectron2"), ("detectron2", "bottlenecks only")):
        assert run("--to", target, trained, tmp_path / "out.pth") == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("direction", [(), ("--from", "torchvision", "--to", "detectron2")])
def test_one_direction_is_asked_for(direction: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*direction, tmp_path / "in", tmp_path / "out")
    assert ended.value.code == 2
