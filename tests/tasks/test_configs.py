"""Every config in configs/ says where it comes from and loads; a detector's can be built, the small ones dry-run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from detres import build_detector
from detres.config.detection_schema import Config
from detres.config.epochs import with_steps
from detres.config.finding import config_folder, list_configs
from detres.config.loading import dump_config, load_config, resolve
from detres.config.yaml_dialect import read_yaml
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.errors import DataError, WeightsError
from detres.reporter import SILENT, Reporter
from detres.tasks.dry_run import dry_run
from detres.tasks.runs.assembly import optimizer_of, schedule_of

CONFIGS = {stem: (line, path) for stem, line, path in list_configs()}
DETECTORS = [stem for stem in CONFIGS if load_config(stem).task == "detection"]
PROMISED = {
    *("shapes_r18", "shapes_r18_fpn", "bccd_r50_fpn"),
    *("voc07_r50_c4", "voc07_r101", "voc0712_r101", "voc0712pp_r101"),
    *("voc0712_r50_c4", "voc0712_r101_coco", "voc0712pp_r101_coco", "det_r101"),
    *("voc07_vgg16", "voc0712_vgg16", "voc0712pp_vgg16", "coco_vgg16"),
    *("coco_r50", "coco_r101", "coco_r50_dc5", "coco_r50_fpn", "coco_r101_fpn"),
    *("coco_r101_trainval", "coco_r101_trainval35k"),
    *("coco_r50_3x", "coco_r101_3x", "coco_r50_dc5_3x", "coco_r50_fpn_3x", "coco_r101_fpn_3x"),
}
# Recipes of no set: the set is what --data says, and what depends on it is chosen then.
FITTED = {"finetune"}
CLASSES = {"coco": 80, "voc": 20, "imagenet_det": 200, "shapes": 6}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data or weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("DETRES_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path


def built_on_meta(config: Config, classes: int) -> FasterRCNN:
    """The config's model without memory for it, and without weights that would be fetched and what they allow.

    This shows that it can be built, its sizes, and what optimizer and schedule are made of; nothing is computed.
    ResNet-101's blocks are ResNet-50's, which the dry runs below take a step with in every layout.
    """
    bare = config.model.backbone.model_copy(update={"weights": None, "frozen_stages": 0})
    config = config.model_copy(update={"model": config.model.model_copy(update={"backbone": bare})})
    with torch.device("meta"):
        return build_detector(config, [f"class {i}" for i in range(classes)])


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_promised_configs_are_there_and_stems_are_unique() -> None:
    stems = [path.stem for path in config_folder().rglob("*.yaml")]
    assert len(stems) == len(set(stems))
    assert set(stems) >= PROMISED


@pytest.mark.parametrize("stem", sorted(CONFIGS.keys() - FITTED))
def test_the_first_line_cites_a_figure_and_the_hardware(stem: str) -> None:
    line, path = CONFIGS[stem]
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert re.search(r"\d\d\.\d.* m?AP\b|\bm?AP\b.* over 0\.\d\d|top-1 error|localization error|\d % top-1", line), line
    assert re.search(r"GPU|CPU", line), line
    assert re.search(r"(19|20)\d\d|embedded|BCCD", line), f"{line}: whose result is it?"


@pytest.mark.parametrize("stem", CONFIGS)
def test_every_config_loads_and_states_only_differences_that_survive_the_way_to_text(stem: str) -> None:
    config = load_config(stem)
    assert config.recipe == stem
    values, _ = read_yaml(dump_config(config), stem)
    assert type(config).model_validate(values) == config
    assert max(config.schedule.milestones, default=0) < config.training.steps
    assert bool(config.data.train) == (stem not in FITTED)
    assert bool(config.data.val or config.data.test) == (stem not in FITTED)


@pytest.mark.slow
@pytest.mark.parametrize("stem", DETECTORS)
def test_every_model_is_built_with_its_optimizer_and_schedule(stem: str) -> None:
    config, _ = with_steps(load_config(stem), images=1000)
    classes = CLASSES.get(config.data.format, 3)
    model = built_on_meta(config, classes)
    assert all(p.is_meta for p in model.parameters())
    assert model.roi.class_logits.out_features == classes + 1
    optimizer = optimizer_of(model, config)
    assert sum(p.numel() for group in optimizer.param_groups for p in group["params"]) == count(model)
    schedule = schedule_of(config)
    assert 0 < schedule.lr_at(config.training.steps - 1) <= schedule.lr_at(config.schedule.warmup_steps)


@pytest.mark.slow
@pytest.mark.parametrize(("stem", "depth"), [("coco_r50_fpn", 50), ("coco_r101_fpn", 101)])
def test_the_fpn_detectors_have_as_many_parameters_as_torchvisions(stem: str, depth: int) -> None:
    with torch.device("meta"):
        backbone = resnet_fpn_backbone(
            backbone_name=f"resnet{depth}", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
        )
        theirs = TorchvisionFasterRCNN(backbone, 81)
    # Theirs has boxes for the background, too.
    assert count(built_on_meta(load_config(stem), 80)) == count(theirs) - 4 * (1024 + 1)


def test_the_papers_detector_has_the_parameters_of_its_parts() -> None:
    """ResNet-101 without fc; an RPN of 1024 -> 1024 and its anchors; 81 classes and 80 boxes on 2048 features."""
    config = load_config("coco_r101")
    (sizes,) = config.model.anchors.sizes
    anchors = len(sizes) * len(config.model.anchors.ratios)
    rpn = 9 * 1024 * 1024 + 1024 + (1024 + 1) * anchors * 5
    heads = (2048 + 1) * (81 + 4 * 80)
    resnet101 = 44_549_160 - (2048 + 1) * 1000
    assert count(built_on_meta(config, 80)) == resnet101 + rpn + heads


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["shapes_r18", "shapes_r18_fpn"])
def test_the_embedded_configs_are_dry_run(stem: str, datasets_folder: Path) -> None:
    said: list[str] = []
    dry_run(load_config(stem), reporter=Reporter(said.append), data_is_stated=False)
    assert any("480 images" in line for line in said)
    assert said[-1].endswith("dry run done")
    step = next(line for line in said if line.startswith("one step on two embedded images"))
    losses = {name: float(value) for name, value in re.findall(r"(loss_\w+) (\S+\d)", step)}
    assert list(losses) == ["loss_rpn_objectness", "loss_rpn_box", "loss_roi_class", "loss_roi_box"]
    assert all(0 < value < 10 for value in losses.values())
    assert any(re.match(r"parameters: [\d,]+, of which", line) for line in said)


# What would take long on a CPU and is the same code for any number: conv5 or the large layers, on each region.
FEW_REGIONS = ("model.rpn.post_nms_train=30", "model.rpn.post_nms_test=30", "model.roi.batch_per_image=16")


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["coco_r50", "coco_r50_dc5", "coco_r50_fpn"])
def test_a_dry_run_of_every_layout_needs_neither_data_nor_weights(stem: str, nowhere: Path) -> None:
    said: list[str] = []
    dry_run(load_config(stem, FEW_REGIONS), reporter=Reporter(said.append), data_is_stated=False)
    assert any(line.startswith("data: not here") for line in said)
    assert any("random weights stand in for it" in line for line in said)
    assert said[-1].endswith("dry run done")
    assert not list(nowhere.iterdir()), "it wrote something"


def test_a_dry_run_misses_data_that_were_named(nowhere: Path) -> None:
    config = load_config("coco_r50_fpn", [f"data.root={nowhere / 'absent'}"])
    with pytest.raises(DataError, match=r"absent.* is not there. Set data.root=FOLDER"):
        dry_run(config, reporter=SILENT, data_is_stated=True)


def test_a_dry_run_misses_a_weights_file_that_was_named(nowhere: Path) -> None:
    config = load_config("coco_r50_fpn", ["model.backbone.weights=/absent/r50.safetensors"])
    with pytest.raises(WeightsError, match=r"/absent/r50\.safetensors"):
        dry_run(config, reporter=SILENT, data_is_stated=False)


def test_frozen_stages_without_weights_are_refused() -> None:
    config = load_config("coco_r50_fpn", ["model.backbone.weights=null"])
    with pytest.raises(WeightsError, match=r"frozen_stages=2 freezes c1, c2 of resnet50, not loaded.*frozen_stages=0"):
        build_detector(config, ["one"])


@pytest.mark.parametrize("stem", ["voc0712_r101_coco", "voc0712pp_r101_coco"])
def test_fine_tuning_from_coco_is_of_the_model_that_coco_trains(stem: str) -> None:
    tuned, own = load_config(stem), load_config("coco_r101")
    assert tuned.model == own.model
    assert tuned.data.train == load_config(stem.removesuffix("_coco")).data.train
    assert tuned.data.shortest_side == own.data.shortest_side


def test_det_takes_a_thousand_positives_of_a_class_or_another_number() -> None:
    assert load_config("det_r101").data.train == ("train:1000", "val1")
    assert load_config("det_r101", ["data.train=[train:500,val1]"]).data.train == ("train:500", "val1")


def test_an_empty_config_is_the_defaults() -> None:
    assert resolve([]) == Config()
