"""What --weights may name."""

from pathlib import Path

import pytest
import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from detres.conversion import published
from detres.conversion.published import locate_detector
from detres.detection.files import DetectorSettings
from detres.errors import WeightsError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETRES_WEIGHTS", str(tmp_path))
    return tmp_path


def test_an_unknown_tag_is_told_with_those_there_are(cache: Path) -> None:
    with pytest.raises(WeightsError, match="there are torchvision/fasterrcnn_resnet50_fpn, torchvision/fasterrcnn"):
        locate_detector("torchvision/retinanet_resnet50_fpn")


def test_without_a_network_it_is_said_where_the_file_goes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(WeightsError, match=r"put that file at .*/fasterrcnn_resnet50_fpn_coco-258fb6c6\.pth"):
        locate_detector("torchvision/fasterrcnn_resnet50_fpn")


@pytest.mark.slow
def test_a_tag_is_converted_once_and_found_from_then_on(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cache / "theirs.pth"
    torch.save(fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict(), file)
    fetched = []
    monkeypatch.setattr(published, "fetch", lambda what: fetched.append(what.tag) or file)
    paths = {locate_detector("torchvision/fasterrcnn_resnet50_fpn") for _ in range(2)}
    assert paths == {cache / "torchvision" / "fasterrcnn_resnet50_fpn.safetensors"}
    assert fetched == ["torchvision/fasterrcnn_resnet50_fpn"]
    settings = DetectorSettings.read(paths.pop())[1]
    assert settings.backbone.norm_eps == 0.0  # As the published v1 weights were trained.
    assert settings.model.class_names[0] == "person"


def test_another_project_s_file_is_sent_to_the_converter(tmp_path: Path) -> None:
    (tmp_path / "model.pth").touch()
    with pytest.raises(
        WeightsError,
        match=r"convert_weights --from torchvision \(or detectron2, mmdetection\) .*model\.pth model\.safetensors",
    ):
        locate_detector(tmp_path / "model.pth")
