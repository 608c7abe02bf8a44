"""A detector from one project to detres, on to another, and back."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from detres import Detector
from detres.commands import convert_weights
from detres.commands.main import main
from detres.experiments.converting import SOURCES
from detres.experiments.handing_back import DETECTOR_TARGETS

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
    assert "classes, which are not in the file: cat, dog" in told
    with zoo.open("rb") as file:
        content = pickle.load(file)
    assert set(content) == {"model", "__author__"}
    assert content["model"]["backbone.bottom_up.stem.conv1.weight"].shape == (64, 3, 7, 7)

    assert run("--from", "detectron2", zoo, again) == 0
    told = capsys.readouterr().out
    assert "resnet18, stride in the 3x3 (as usual; --stride-in sets another), pixels rgb minus" in told
    assert "class names: numbered (--classes names them)" in told
    assert Detector.from_checkpoint(again, device="cpu").class_names == ("class 0", "class 1")
    before, after = load_file(ours), load_file(again)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


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
    ],
)
def test_what_does_not_go_is_told(
    arguments: tuple[str, ...], said: str, ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(text.format(ours=ours, out=tmp_path / "out") for text in arguments)) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


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
