"""What --weights may name."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from detres.classification import published
from detres.classification.files import ClassifierSettings
from detres.classification.published import locate_classifier
from detres.errors import WeightsError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETRES_WEIGHTS", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_a_tag_is_converted_once_and_tested_as_its_publisher_does(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = torchvision.models.resnet18(weights=None).eval()
    torch.save(theirs.state_dict(), cache / "theirs.pth")
    fetched = []
    monkeypatch.setattr(published, "fetch", lambda what: fetched.append(what.tag) or cache / "theirs.pth")
    paths = {locate_classifier(tag) for tag in ("torchvision/resnet18", "torchvision/resnet18.IMAGENET1K_V1")}
    assert fetched == ["torchvision/IMAGENET1K_V1"]
    model, settings = ClassifierSettings.load(paths.pop())
    assert not paths
    assert (settings.preprocessing.crop, settings.test.scales, settings.test.crop) == (224, (256,), None)
    assert (len(settings.class_names), settings.class_names[0]) == (1000, "tench")
    assert settings.recipe == "torchvision resnet18 IMAGENET1K_V1"
    images = model.normalize(torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8))
    with torch.no_grad():
        torch.testing.assert_close(model.predict(images), theirs(images), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_timm_s_tags_have_sizes_of_their_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(timm.create_model("resnet18").state_dict(), cache / "theirs.safetensors")
    monkeypatch.setattr(published, "fetch", lambda what: cache / "theirs.safetensors")
    model, settings = ClassifierSettings.load(locate_classifier("timm/resnet18.a3_in1k"))
    assert (settings.preprocessing.crop, settings.test.crop, settings.test.scales) == (160, 224, (235,))
    assert model.fc.out_features == 1000


def test_torchvision_s_second_weights_are_resized_to_another_side() -> None:
    assert published._torchvision_test("resnet50", "IMAGENET1K_V2")[1].scales == (232,)


def test_what_cannot_be_found_is_one_message(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"timm/alexnet.tv: a tag is .*resnet18, .*such as torchvision/resnet50"):
        locate_classifier("timm/alexnet.tv")
    with pytest.raises(WeightsError, match=r"torchvision/nothing: no weights of resnet50; .*IMAGENET1K_V1"):
        locate_classifier("torchvision/resnet50.nothing")
    with pytest.raises(WeightsError, match="no weights of plain18; it publishes none at all"):
        locate_classifier("torchvision/plain18")
    with pytest.raises(WeightsError, match="no weights of plain18; timm publishes none at all"):
        locate_classifier("timm/plain18")
    with pytest.raises(WeightsError, match="a run folder, a checkpoint folder or a file"):
        locate_classifier(cache / "absent")
    (cache / "model.pth").touch()
    with pytest.raises(WeightsError, match=r"model.pth: classifiers are safetensors.*torchvision/resnet50"):
        locate_classifier(cache / "model.pth")


def test_a_trunk_that_is_published_without_its_classifier_is_one_message(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = torchvision.models.resnet18().state_dict() | {"fc.weight": torch.full((1000, 512), torch.nan)}
    torch.save(tensors, cache / "theirs.pth")
    monkeypatch.setattr(published, "fetch", lambda what: cache / "theirs.pth")
    with pytest.raises(WeightsError, match=r"no classifier's, since fc\.weight hold no numbers"):
        locate_classifier("torchvision/resnet18")


@pytest.mark.slow
def test_weights_of_another_head_are_one_message(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(torchvision.models.resnet18(num_classes=7).state_dict(), cache / "theirs.pth")
    monkeypatch.setattr(published, "fetch", lambda what: cache / "theirs.pth")
    with pytest.raises(WeightsError, match=r"theirs.pth: does not fit resnet18 with 1000 classes: .*fc.weight"):
        locate_classifier("torchvision/resnet18")
