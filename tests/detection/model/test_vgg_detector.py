"""C4 with VGG: conv1_1 to conv5_3 shared, fc6 and fc7 on each region."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from detres.backbones import build_backbone
from detres.backbones.architectures import BACKBONES, VggArchitecture
from detres.backbones.weights.loading import save_backbone
from detres.config.detection_schema import Config
from detres.config.loading import Layer, resolve
from detres.detection.export import export_detector
from detres.detection.files import DetectorSettings, settings_of
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.errors import ConfigError, WeightsError
from detres.structures import DetectionBatch, DetectionTarget
from detres.tasks.detection.models import build_detector
from detres.tasks.detection.weights import detector_from_weights

SIZE = (64, 96)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """small and small_bn are VGG nets of nine layers."""
    for name, norms in (("small", False), ("small_bn", True)):
        net = VggArchitecture((1, 1, 2, 2, 2), (8, 8, 12, 12, 8), fc_channels=16, batch_norm=norms)
        monkeypatch.setitem(BACKBONES, name, net)


def config_of(name: str = "small", **model: object) -> Config:
    section = {
        "layout": "c4",
        "backbone": {"name": name},
        "class_names": ["cat", "dog"],
        "anchors": {"sizes": [[16, 32]]},
        "rpn": {"pre_nms_train": 60, "post_nms_train": 20, "pre_nms_test": 60, "post_nms_test": 20},
        **model,
    }
    return resolve([Layer("test", {"data": {"format": "voc"}, "model": section})])


def batch_of(size: tuple[int, int] = SIZE) -> DetectionBatch:
    """Two images of noise, with a dog each."""
    images = torch.randint(0, 256, (2, *size, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    box = torch.tensor([[0.0, 0.0, size[1] / 2, size[0] / 1.5]])
    target = DetectionTarget(box, torch.tensor([1]), torch.tensor([False]))
    sizes = torch.tensor([size, size])
    return DetectionBatch(images, sizes, sizes, (0, 1), (target, target), torch.tensor([5, 6]))


def saved(model: FasterRCNN, config: Config, path: Path) -> Path:
    settings = settings_of(model, config.model, config.data, config.test, "test")
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, path, settings.to_metadata())
    return path


def test_regions_are_7_by_7_cells_of_conv5_3_and_run_through_the_loaded_fc6_and_fc7(tmp_path: Path) -> None:
    trunk = build_backbone("small", outputs=("c5", "fc7"))
    save_backbone(tmp_path / "w.safetensors", trunk)
    model = build_detector(config_of(backbone={"name": "small", "weights": str(tmp_path / "w.safetensors")})).eval()
    assert model.anchors.strides == (16,)
    assert (model.roi.pooler.strides, model.roi.pooler.pool) == ((16,), 7)
    cells = torch.randn(3, 8, 7, 7)
    torch.testing.assert_close(model.roi.head(cells), trunk.eval().classifier(cells.flatten(1)))
    assert not any(key.startswith("backbone.classifier") for key in model.state_dict())
    assert not model.backbone.load_report.missing


@pytest.mark.parametrize(("name", "context"), [("small", False), ("small", True), ("small_bn", False)])
def test_it_learns_predicts_and_comes_back_from_its_file(name: str, context: bool, tmp_path: Path) -> None:
    config = config_of(name, global_context=context)
    model = build_detector(config)
    losses = model.train()(batch_of())
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    model.eval().roi.score = 0.0
    found = model.predict(batch_of())
    assert all(len(each) for each in found)
    back, settings = DetectorSettings.load(saved(model, config, tmp_path / "w.safetensors"))
    back.roi.score = 0.0
    assert settings.model.backbone.name == name
    for mine, theirs in zip(found, back.predict(batch_of()), strict=True):
        assert torch.equal(mine.boxes, theirs.boxes)
        assert torch.equal(mine.scores, theirs.scores)


def test_a_strip_of_an_image_trains_and_is_predicted() -> None:
    model = build_detector(config_of())
    losses = model.train()(batch_of((3, 70)))
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(torch.isfinite(found.boxes).all() for found in model.eval().predict(batch_of((3, 70))))


@pytest.mark.slow
def test_it_exports() -> None:
    model = build_detector(config_of("small_bn")).eval()
    batch = batch_of()
    program = export_detector(model, SIZE, batch=2)
    for got, expected in zip(
        program.module()(batch.images, batch.sizes), model.predict_tensors(batch.images, batch.sizes), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_new_classes_start_from_its_weights(tmp_path: Path) -> None:
    config = config_of(class_names=None)
    path = saved(build_detector(config, ["cat", "dog"]), config, tmp_path / "old.safetensors")
    old, new = DetectorSettings.load(path)[0], detector_from_weights(config, ["dog"], path)
    assert torch.equal(new.roi.head.fc6.weight, old.roi.head.fc6.weight)
    assert torch.equal(new.roi.class_logits.weight, old.roi.class_logits.weight[1:])
    with pytest.raises(WeightsError, match=r"model\.backbone\.name is small, and small_bn is asked for"):
        detector_from_weights(config_of("small_bn", class_names=None), ["dog"], path)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"roi": {"pool": 14}}, r"model\.roi\.pool=14: fc6 of small reads 7x7 bins"),
        ({"layout": "dc5"}, r"layout=dc5 dilates the last stage of a ResNet, which small is not; use c4"),
        ({"layout": "fpn", "anchors": {}}, r"strides 4, 8, 16, 32, and this backbone's are \[2, 4, 8, 16\]"),
        ({"backbone": {"name": "small", "norm": "batch"}}, r"has no norms, got norm='batch'"),
    ],
)
def test_what_the_net_cannot_be_is_told(model: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build_detector(config_of(**model))
