from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from detres.backbones.building import Choices
from detres.config.localization_schema import LocalizationDataConfig, LocalizationTestConfig, LocalizerConfig
from detres.errors import ConfigError, WeightsError
from detres.localization.building import assemble, build_trunk
from detres.localization.files import LocalizerSettings, locate_localizer, settings_of, transfer_localizer
from detres.localization.localizers import ClassRpnLocalizer, Localizer, RcnnLocalizer

NAMES = ("star", "ring", "cross")
RPN = LocalizerConfig.model_validate(
    {"backbone": {"name": "resnet18"}, "anchors": {"sizes": [16, 32], "ratios": [1.0]}, "rpn": {"channels": 8}}
)


def made(config: LocalizerConfig, names: tuple[str, ...] = NAMES) -> Localizer:
    return assemble(build_trunk("resnet18", Choices(norm="batch")), config, names)


def written(model: Localizer, config: LocalizerConfig, file: Path) -> Path:
    settings = settings_of(model, config, LocalizationDataConfig(crop=64), LocalizationTestConfig(), "a recipe")
    save_file(model.state_dict(), file, settings.to_metadata())
    return file


@pytest.fixture(scope="module")
def rpn_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(made(RPN), RPN, tmp_path_factory.mktemp("files") / "rpn.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["rpn", "rcnn"])
def test_a_file_rebuilds_its_model(stage: str, tmp_path: Path) -> None:
    config = RPN.model_copy(update={"stage": stage})
    model = made(config)
    again, settings = LocalizerSettings.load(written(model, config, tmp_path / "model.safetensors"))
    assert isinstance(again, ClassRpnLocalizer if stage == "rpn" else RcnnLocalizer)
    assert (again.class_names, settings.preprocessing.crop, settings.recipe) == (NAMES, 64, "a recipe")
    assert not again.training
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)


def test_rows_of_classes_are_taken_by_name_and_the_rest_start_anew(rpn_file: Path) -> None:
    theirs, settings = LocalizerSettings.load(rpn_file)
    named = settings.model.model_copy(update={"class_names": ("cross", "moon", "star")})
    model = replace(settings, model=named).build("m")
    before = model.rpn.deltas.weight.clone()
    report = transfer_localizer(model, *LocalizerSettings.read(rpn_file), str(rpn_file))
    assert (report.matched, report.new, report.unused) == (("cross", "star"), ("moon",), ("ring",))
    for rows in (model.rpn.deltas.weight, model.rpn.logits.bias):
        source = theirs.rpn.deltas.weight if rows is model.rpn.deltas.weight else theirs.rpn.logits.bias
        torch.testing.assert_close(rows[:2], source[4:])  # cross, two anchors
        torch.testing.assert_close(rows[4:], source[:2])  # star
    torch.testing.assert_close(model.rpn.deltas.weight[2:4], before[2:4])
    torch.testing.assert_close(model.trunk.conv1.weight, theirs.trunk.conv1.weight)


def test_files_of_other_tasks_newer_ones_and_those_without_classes_are_refused(rpn_file: Path, tmp_path: Path) -> None:
    metadata = LocalizerSettings.load(rpn_file)[1].to_metadata()
    text = json.loads(metadata["detres"])

    def refused(**changed: object) -> str:
        with pytest.raises(WeightsError) as error:
            LocalizerSettings.from_metadata({"detres": json.dumps(text | changed)}, "there")
        return str(error.value)

    assert "a detector, which eval_det, predict, visualize and train_det take" in refused(task="detection")
    assert "schema 99" in refused(schema=99)
    assert "name no classes" in refused(model=text["model"] | {"class_names": None})
    assert "cannot be read" in refused(norms=5)
    with pytest.raises(WeightsError, match="no localizer of detres's"):
        LocalizerSettings.from_metadata({}, "there")
    (tmp_path / "x.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"goes to|go to model\.backbone\.weights"):
        locate_localizer(tmp_path / "x.pth")


@pytest.mark.slow
def test_a_trunk_recomputes_its_blocks_where_asked(rpn_file: Path) -> None:
    settings = LocalizerSettings.load(rpn_file)[1]
    for asked in (False, True):
        config = settings.model.model_copy(update={"checkpoint_blocks": asked})
        trunk = replace(settings, model=config).build("m").trunk
        assert [trunk.stage(name).recomputes for name in ("c2", "c5")] == [asked, asked]


def test_a_trunk_is_a_residual_net_with_conv5() -> None:
    for name in ("cifar10_resnet20", "vgg16", "timm/resnet18"):
        with pytest.raises(ConfigError, match="a localizer's trunk is one of resnet18"):
            build_trunk(name, Choices())
