"""What a file says where a training begins with it: the architecture is its own, how is learned the config's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from detres.classification.files import settings_of as classifier_settings
from detres.config.classification_schema import ClassificationConfig
from detres.config.detection_schema import Config
from detres.config.loading import Layer, read_config, read_layer, read_override, resolve
from detres.detection.files import DetectorSettings, settings_of
from detres.errors import ConfigError, WeightsError
from detres.tasks.classification.models import classifier_from_weights, classifier_of_config
from detres.tasks.detection.models import build_detector
from detres.tasks.detection.weights import detector_from_weights
from detres.tasks.runs.opened_model import open_model
from detres.tasks.runs.weights import WeightsSaid, said_by_weights

C4 = {
    "layout": "c4",
    "backbone": {"name": "resnet18", "stride_in": None},
    "anchors": {"sizes": [[16, 32]]},
    "rpn": {"nms": 0.6, "post_nms_train": 50, "batch_per_image": 64},
    "roi": {"pool": 4},
}
MINE = """model:
  layout: fpn
  backbone: {name: resnet50, weights: msra/R-50, frozen_stages: 2, stride_in: 3x3}
  fpn: {channels: 64}
  rpn: {positive_iou: 0.6, batch_per_image: 128, codec_weights: [2, 2, 2, 2], box_loss: {beta: 0.2}}
data: {format: shapes}
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = resolve([Layer("test", {"data": {"format": "shapes"}, "model": C4})])
    model = build_detector(config, ["cat", "dog"])
    settings = settings_of(model, config.model, config.data, config.test, "test")
    path = tmp_path_factory.mktemp("weights") / "c4.safetensors"
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, path, settings.to_metadata())
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def begun(weights: Path, cfg: Path, *overrides: str, task: Any = "detection") -> tuple[WeightsSaid, Any]:
    said = said_by_weights(open_model(weights, task), read_layer(cfg), [read_override(text) for text in overrides])
    return said, read_config(cfg, overrides, layers=[said.layer]).config


def test_the_file_decides_the_architecture_and_the_config_how_is_learned(weights: Path, mine: Path) -> None:
    _, config = begun(weights, mine)
    model = config.model
    assert (model.layout, model.backbone.name, model.anchors.sizes, model.roi.pool) == (
        *("c4", "resnet18", ((16.0, 32.0),), 4),
    )
    assert model.rpn.codec_weights == (1.0, 1.0, 1.0, 1.0)
    assert model.backbone.weights is None
    assert model.backbone.frozen_stages == 2
    assert (model.rpn.positive_iou, model.rpn.batch_per_image, model.rpn.box_loss.beta) == (0.6, 128, 0.2)


def test_what_the_config_leaves_open_is_as_the_weights_were_trained(weights: Path, mine: Path) -> None:
    said, config = begun(weights, mine)
    assert (config.model.rpn.nms, config.model.rpn.post_nms_train) == (0.6, 50)
    assert said.lines[-1] == (
        f"{mine} leaves open what stays as {weights} was trained: model.rpn.post_nms_train=50, model.rpn.nms=0.6"
    )


def test_each_key_that_the_file_overrides_is_told_with_both_values(weights: Path, mine: Path) -> None:
    said, _ = begun(weights, mine)
    assert said.lines[:-1] == tuple(
        f"model.{key}: {theirs} ({weights}) instead of {stated} ({mine})"
        for key, theirs, stated in (
            ("layout", "c4", "fpn"),
            ("backbone.name", "resnet18", "resnet50"),
            ("backbone.weights", "null", "msra/R-50"),
            ("fpn.channels", "256", "64"),
            ("rpn.codec_weights", "[1.0, 1.0, 1.0, 1.0]", "[2, 2, 2, 2]"),
        )
    )


def test_nothing_is_told_where_both_agree(weights: Path, mine: Path) -> None:
    mine.write_text("model: {layout: c4, backbone: {name: resnet18, norm: null}, rpn: {nms: 0.7, post_nms_train: 9}}\n")
    said, config = begun(weights, mine, "model.rpn.batch_per_image=8")
    assert said.lines == ()
    assert (config.model.rpn.nms, config.model.rpn.batch_per_image) == (0.7, 8)


def test_an_override_wins_and_what_cannot_be_is_refused(weights: Path, mine: Path) -> None:
    said, config = begun(weights, mine, "model.rpn.codec_weights=[3,3,3,3]", "model.rpn.nms=0.5")
    assert config.model.rpn.codec_weights == (3.0, 3.0, 3.0, 3.0)
    assert config.model.rpn.nms == 0.5
    assert not any("codec_weights" in line or "rpn.nms" in line for line in said.lines)
    _, other = begun(weights, mine, "model.backbone.norm=group")
    with pytest.raises(WeightsError, match=r"its model\.backbone\.norm is batch, and group is asked for"):
        detector_from_weights(other, ["cat"], weights)
    with pytest.raises(ConfigError, match=r"anchors\.sizes has 1 lists; layout fpn takes 5"):
        begun(weights, mine, "model.layout=fpn")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.rpn.convs=2", r"its model\.rpn\.convs is 1, and 2 is asked for"),
        ("model.roi.class_agnostic=true", r"its model\.roi\.class_agnostic is false, and true is asked for"),
        ("model.anchors.sizes=[[16]]", r"its model\.anchors\.sizes is \[\[16.0, 32.0\]\], and \[\[16.0\]\] is asked"),
    ],
)
def test_a_key_that_would_have_other_tensors_is_named(change: str, said: str, weights: Path, mine: Path) -> None:
    _, config = begun(weights, mine, change)
    with pytest.raises(WeightsError, match=said):
        detector_from_weights(config, ["cat"], weights)


def test_a_key_that_leaves_the_tensors_their_shapes_is_taken(weights: Path, mine: Path) -> None:
    _, config = begun(weights, mine, "model.roi.aligned=false", "model.anchors.sizes=[[8, 16]]")
    assert detector_from_weights(config, ["cat"], weights).class_names == ("cat",)


def test_a_detector_begins_frozen_and_sampling_as_the_config_says(weights: Path, mine: Path) -> None:
    _, config = begun(weights, mine)
    model = detector_from_weights(config, ["cat", "cow"], weights)
    assert not any(p.requires_grad for p in model.backbone.layer1.parameters())
    assert all(p.requires_grad for p in model.backbone.layer2.parameters() if p.ndim > 1)
    assert (model.rpn.positive_iou, model.rpn.batch_per_image, model.rpn.nms) == (0.6, 128, 0.6)
    again = settings_of(model, config.model, config.data, config.test, "again").model
    assert (again.layout, again.backbone.frozen_stages) == ("c4", 2)


def test_global_context_may_be_gained_and_is_not_lost(weights: Path, mine: Path, tmp_path: Path) -> None:
    mine.write_text("model: {global_context: true}\n")
    said, config = begun(weights, mine)
    assert config.model.global_context
    assert not any(line.startswith("model.global_context") for line in said.lines)
    gained = detector_from_weights(config, ["cat", "dog"], weights)
    path = tmp_path / "gained.safetensors"
    settings = settings_of(gained, config.model, config.data, config.test, "test")
    save_file({n: t.contiguous() for n, t in gained.state_dict().items()}, path, settings.to_metadata())
    mine.write_text("model: {global_context: false}\n")
    said, config = begun(path, mine)
    assert config.model.global_context
    assert f"model.global_context: true ({path}) instead of false ({mine})" in said.lines


def test_class_names_stay_the_config_s(weights: Path, mine: Path) -> None:
    mine.write_text("model: {class_names: [ox]}\n")
    assert begun(weights, mine)[1].model.class_names == ("ox",)
    mine.write_text("model: {}\n")
    assert begun(weights, mine)[1].model.class_names is None
    assert DetectorSettings.stated(weights).class_names == ("cat", "dog")


def classifier(path: Path, **model: object) -> Path:
    config = resolve([Layer("test", {"task": "classification", "model": model})])
    assert isinstance(config, ClassificationConfig)
    net = classifier_of_config(config, ["a", "b"])
    settings = classifier_settings(net, config.model, config.data, config.test, class_names=["a", "b"])
    save_file({n: t.contiguous() for n, t in net.state_dict().items()}, path, settings.to_metadata())
    return path


def test_a_classifier_keeps_its_shortcuts_and_is_frozen_as_the_config_says(tmp_path: Path) -> None:
    path = classifier(tmp_path / "w.safetensors", backbone={"name": "cifar10_resnet20", "shortcut": "B"}, drop_path=0.2)
    cfg = tmp_path / "mine.yaml"
    cfg.write_text(
        "task: classification\nmodel: {backbone: {name: cifar10_resnet20, shortcut: A, frozen_stages: 1}, "
        "pixel_mean: [1, 2, 3]}\n"
    )
    said, config = begun(path, cfg, task="classification")
    assert (config.model.backbone.shortcut, config.model.backbone.frozen_stages) == ("B", 1)
    assert config.model.drop_path == 0.2
    assert said.lines == (
        f"model.backbone.shortcut: B ({path}) instead of A ({cfg})",
        f"model.pixel_mean: null ({path}) instead of [1, 2, 3] ({cfg})",
        f"{cfg} leaves open what stays as {path} was trained: model.drop_path=0.2",
    )
    net = classifier_from_weights(config, ["a", "c"], path)
    assert not net.conv1.weight.requires_grad
    _, other = begun(path, cfg, "model.backbone.norm=group", task="classification")
    with pytest.raises(WeightsError, match=r"its model\.backbone\.norm is batch, and group is asked for"):
        classifier_from_weights(other, ["a", "c"], path)


def test_the_config_of_a_schema_s_defaults_is_told_nothing_but_what_is_open(weights: Path, tmp_path: Path) -> None:
    cfg = tmp_path / "empty.yaml"
    cfg.write_text("data: {format: shapes}\n")
    said, config = begun(weights, cfg)
    assert config.model.layout == "c4" != Config().model.layout
    assert len(said.lines) == 1
