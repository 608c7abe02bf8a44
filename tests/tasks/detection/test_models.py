"""A detector comes from its config, and its file alone brings it back as it was."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from detres.backbones import build_backbone
from detres.config.detection_schema import Config
from detres.config.loading import Layer, read_override, resolve
from detres.detection.files import DetectorSettings, settings_of
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.errors import ConfigError, WeightsError
from detres.structures import DetectionBatch, DetectionTarget, PixelStats
from detres.tasks.detection.evaluation import evaluation_config
from detres.tasks.detection.models import build_detector
from detres.tasks.detection.weights import detector_from_weights, detector_of_checkpoint
from detres.tasks.runs.opened_model import open_model
from detres.tasks.runs.weights import said_by_weights


def config_of(backbone: dict, **model: object) -> Config:
    section = {"backbone": backbone, "roi": {"head_fc_channels": 16}, "fpn": {"channels": 32}, **model}
    return resolve([Layer("test", {"data": {"format": "shapes"}, "model": section}, trusted=True)])


def saved(model: FasterRCNN, config: Config, path: Path) -> Path:
    settings = settings_of(model, config.model, config.data, config.test, "test")
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, path, settings.to_metadata())
    return path


def own_backbone(**options: object) -> nn.Module:
    """What a user's module:callable may return."""
    return build_backbone("resnet18", **options)


def shouted_objectness(logits: Tensor, is_object: Tensor, loudness: float) -> Tensor:
    """A loss of a user's."""
    return loudness * (logits - is_object).square().sum()


OWN_LOSS = {"name": f"{__name__}:shouted_objectness", "options": {"loudness": 3.0}}


@pytest.mark.slow
def test_class_names_come_from_model_data_or_the_format() -> None:
    config = config_of({"name": "resnet18"})
    assert build_detector(config).class_names[0] == "circle"
    assert build_detector(config, ["cat"]).class_names == ("cat",)
    stated = config_of({"name": "resnet18"}, class_names=["dog"])
    assert build_detector(stated).class_names == ("dog",)
    with pytest.raises(ConfigError, match=r"model\.class_names are dog, but the data's classes are cat"):
        build_detector(stated, ["cat"])


def test_the_first_weights_depend_on_the_seed_alone() -> None:
    config = config_of({"name": "resnet18"})
    torch.manual_seed(1)
    first = build_detector(config)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    again = build_detector(config)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


@pytest.mark.slow
def test_new_classes_on_old_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    config = config_of({"name": "resnet18"})
    path = saved(build_detector(config, ["cat", "dog"]), config, tmp_path / "old.safetensors")
    first, again = (detector_from_weights(config, ["dog", "cow"], path) for _ in range(2))
    old = DetectorSettings.load(path)[0]
    assert torch.equal(first.roi.class_logits.weight, again.roi.class_logits.weight)
    assert torch.equal(first.roi.class_logits.weight[[0, 2]], old.roi.class_logits.weight[[1, 2]])
    assert torch.equal(first.roi.deltas.weight[:4], old.roi.deltas.weight[4:8])
    assert not torch.equal(first.roi.class_logits.weight[1], old.roi.class_logits.weight[0])


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_a_timm_trunk_comes_back_with_its_norms_and_pixel_statistics(norm: str, tmp_path: Path) -> None:
    config = config_of({"name": "timm/resnet10t"})
    model = build_detector(config)
    model.backbone.pixel_stats = PixelStats((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    if norm == "frozen":
        model.backbone.freeze_norms()
    back, _ = DetectorSettings.load(saved(model, config, tmp_path / "timm.safetensors"))
    assert back.backbone.pixel_stats == model.backbone.pixel_stats
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert [n for n, p in back.named_parameters() if p.requires_grad] == trained


def test_frozen_stages_stay_frozen_in_a_rebuilt_c4_head(tmp_path: Path) -> None:
    config = config_of({"name": "resnet18"}, layout="c4")
    model = build_detector(config)
    section = config.model.backbone.model_copy(update={"frozen_stages": 5})
    config = config.model_copy(update={"model": config.model.model_copy(update={"backbone": section})})
    back, _ = DetectorSettings.load(saved(model, config, tmp_path / "c4.safetensors"))
    assert not any(p.requires_grad for p in back.roi.head.parameters())
    assert not any(p.requires_grad for p in back.backbone.parameters())


def test_code_of_the_user_s_is_run_only_where_a_config_names_it(tmp_path: Path) -> None:
    name = f"{own_backbone.__module__}:own_backbone"
    config = config_of({"name": name})
    path = saved(build_detector(config), config, tmp_path / "own.safetensors")
    settings = DetectorSettings.read(path)[1]
    with pytest.raises(WeightsError, match="a weights file never runs code"):
        settings.build(str(path))
    assert isinstance(settings.build(str(path), own_code=name), FasterRCNN)


@pytest.mark.slow
def test_a_loss_of_the_user_s_is_run_where_a_config_names_it_and_from_no_file(tmp_path: Path) -> None:
    config = config_of({"name": "resnet18"}, rpn={"objectness_loss": OWN_LOSS})
    path = saved(build_detector(config, ["cat"]), config, tmp_path / "own.safetensors")
    by_file = DetectorSettings.load(path)[0].rpn.objectness_loss
    resumed = detector_of_checkpoint(config, path).rpn.objectness_loss
    tuned = detector_from_weights(config, ["cat"], path).rpn.objectness_loss
    logits, is_object = torch.tensor([1.0, 3.0]), torch.tensor([True, False])
    assert by_file(logits, is_object).item() == pytest.approx(cross_entropy(1.0, 1) + cross_entropy(3.0, 0))
    assert resumed(logits, is_object).item() == tuned(logits, is_object).item() == 3.0 * 9.0


def test_an_evaluation_leaves_the_loss_of_a_file_out_and_a_training_asks_whose_it_is(tmp_path: Path) -> None:
    config = config_of({"name": "resnet18"}, rpn={"objectness_loss": OWN_LOSS})
    path = saved(build_detector(config, ["cat"]), config, tmp_path / "own.safetensors")
    evaluated = evaluation_config(DetectorSettings.read(path)[1], path, config, [], [])
    assert evaluated.model.rpn.objectness_loss == Config().model.rpn.objectness_loss
    layer = said_by_weights(open_model(path, "detection"), Layer("mine", {})).layer
    with pytest.raises(ConfigError, match=r"model\.rpn\.objectness_loss names code to run .*state it there"):
        resolve([layer])
    named = Layer("mine", {"model": {"rpn": {"objectness_loss": OWN_LOSS}}}, trusted=True)
    assert resolve([named, layer]).model.rpn.objectness_loss == config.model.rpn.objectness_loss
    other = resolve([layer, read_override("model.rpn.objectness_loss={name: cross_entropy, options: {}}")])
    assert other.model.rpn.objectness_loss == Config().model.rpn.objectness_loss


def cross_entropy(logit: float, is_object: int) -> float:
    return math.log(1 + math.exp(-logit if is_object else logit))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", f"{__name__}:own_backbone"])
def test_dc5_with_a_stride_of_8_has_anchors_of_it_and_comes_back(name: str, tmp_path: Path) -> None:
    config = config_of({"name": name, "output_stride": 8}, layout="dc5")
    model = build_detector(config, ["cat", "dog"])
    assert model.anchors.strides == (8,)
    images, sizes = torch.zeros(1, 64, 96, 3, dtype=torch.uint8), torch.tensor([[64, 96]])
    assert model.backbone(model.normalize(images, sizes))["c5"].shape[-2:] == (8, 12)
    path = saved(model, config, tmp_path / "dc5.safetensors")
    back = DetectorSettings.read(path)[1].build(str(path), own_code=name)
    assert back.anchors.strides == (8,)
    assert back.backbone(back.normalize(images, sizes))["c5"].shape[-2:] == (8, 12)


@pytest.mark.slow
def test_weights_keep_their_output_stride_where_a_config_leaves_it_open(tmp_path: Path) -> None:
    config = config_of({"name": "resnet18", "output_stride": 8}, layout="dc5")
    path = saved(build_detector(config, ["cat"]), config, tmp_path / "dc5.safetensors")
    kept = detector_from_weights(config_of({"name": "resnet18"}, layout="dc5"), ["cat"], path)
    assert kept.anchors.strides == (8,)
    with pytest.raises(WeightsError, match=r"output_stride is 8, and 16 is asked for"):
        detector_from_weights(config_of({"name": "resnet18", "output_stride": 16}, layout="dc5"), ["cat"], path)


@pytest.mark.parametrize(("layout", "stride"), [("fpn", 16), ("c4", 8), ("dc5", 32)])
def test_a_stride_the_layout_has_not_is_refused_with_the_reason(layout: str, stride: int) -> None:
    with pytest.raises(ConfigError, match=f"output_stride={stride} is not to be had with layout {layout}"):
        config_of({"name": "resnet18", "output_stride": stride}, layout=layout)
    with pytest.raises(ConfigError, match=r"output_stride: got 4, expected one of 8, 16, 32$"):
        config_of({"name": "resnet18", "output_stride": 4}, layout=layout)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 64), (2, 64), (64, 1), (1, 1)])
def test_a_strip_of_an_image_trains_and_is_predicted_with_caffes_pool(size: tuple[int, int]) -> None:
    config = config_of({"name": "resnet18", "norm": "group"}, layout="c4", rpn={"post_nms_train": 20})
    model = build_detector(config, ["cat", "dog"])
    model.backbone.pool = "caffe"
    sizes, box = torch.tensor([size]), torch.tensor([[0.0, 0.0, size[1], size[0]]])
    target = DetectionTarget(box, torch.tensor([1]), torch.tensor([False]))
    batch = DetectionBatch(
        torch.zeros(1, *size, 3, dtype=torch.uint8), sizes, sizes, (0,), (target,), torch.tensor([0])
    )
    losses = model.train()(batch)
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert torch.isfinite(model.eval().predict(batch)[0].boxes).all()


def test_dc5_needs_a_net_that_dilates() -> None:
    with pytest.raises(ConfigError, match="layout=dc5 dilates the last stage of a ResNet, which timm/resnet10t is not"):
        build_detector(config_of({"name": "timm/resnet10t"}, layout="dc5"))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["c4", "dc5", "fpn"])
def test_blocks_that_are_computed_anew_learn_the_same_and_keep_less(layout: str, tmp_path: Path) -> None:
    name = "resnet50" if layout == "dc5" else "resnet18"
    target = DetectionTarget(torch.tensor([[4.0, 4, 60, 60]]), torch.tensor([0]), torch.tensor([False]))
    sizes, images = torch.tensor([[64, 64]]), torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    batch = DetectionBatch(images, sizes, sizes, (0,), (target,), torch.tensor([0]))
    learned, held = {}, {}
    for anew in (False, True):
        config = config_of({"name": name}, layout=layout, checkpoint_blocks=anew, rpn={"post_nms_train": 20})
        model, kept = build_detector(config, ["cat"]).train(), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t):
            losses = model(batch)
        sum(losses.values()).backward()
        learned[anew] = {n: p.grad for n, p in model.named_parameters()} | dict(model.named_buffers())
        held[anew] = sum(kept)
    assert held[True] < 0.8 * held[False]
    for name, value in learned[False].items():
        assert torch.equal(value, learned[True][name]), name
    back, settings = DetectorSettings.load(saved(model, config, tmp_path / "anew.safetensors"))
    assert settings.model.checkpoint_blocks
    assert back.backbone.layer1.recomputes
