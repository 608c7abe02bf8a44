"""Every classification recipe in configs/ can be built with all that belongs to it, and is dry-run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from detres.config.classification_schema import ClassificationConfig
from detres.config.finding import list_configs
from detres.config.loading import load_config
from detres.errors import ConfigError, DataError
from detres.reporter import Reporter
from detres.tasks.classification.data import cropping_of
from detres.tasks.classification.models import classifier_of_config
from detres.tasks.dry_run import dry_run
from detres.tasks.runs.assembly import optimizer_of, schedule_of

STEMS = [stem for stem, _, _ in list_configs() if load_config(stem).task == "classification"]
PROMISED = {
    *("imagenet_plain18", "imagenet_plain34", "imagenet_r50", "imagenet_r101", "imagenet_r152", "imagenet_r50_90ep"),
    *(f"imagenet_r{depth}{option}" for depth in (18, 34) for option in ("", "_a", "_b", "_c")),
    *(f"imagenet_r50_a{number}" for number in (1, 2, 3)),
    *(f"cifar10_plain{depth}" for depth in (20, 32, 44, 56, 110)),
    *(f"cifar10_resnet{depth}" for depth in (20, 32, 44, 56, 110, 1202)),
    "shapes_cls_r18",
}
CLASSES = {"imagenet": 1000, "cifar10": 10, "shapes": 6}
# Of the nets without biases but in norms and fc, as torchvision counts them and as the paper does (in millions).
PARAMETERS = {
    "imagenet_r18": 11_689_512,
    "imagenet_r34": 21_797_672,
    "imagenet_r50": 25_557_032,
    "imagenet_r101": 44_549_160,
    "imagenet_r152": 60_192_808,
}
MILLIONS = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7, 1202: 19.4}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data or weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("DETRES_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path


def built_on_meta(config: ClassificationConfig) -> nn.Module:
    with torch.device("meta"):
        return classifier_of_config(config, [f"class {i}" for i in range(CLASSES[config.data.format])])


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_promised_recipes_are_there() -> None:
    assert set(STEMS) >= PROMISED


@pytest.mark.slow
@pytest.mark.parametrize("stem", STEMS)
def test_every_recipe_is_built_with_its_optimizer_schedule_and_crops(stem: str) -> None:
    config = load_config(stem)
    model = built_on_meta(config)
    assert all(p.is_meta for p in model.parameters())
    optimizer = optimizer_of(model, config)
    assert sum(p.numel() for group in optimizer.param_groups for p in group["params"]) == count(model)
    schedule = schedule_of(config)
    assert 0 < schedule.lr_at(config.training.steps - 1) <= schedule.lr_at(config.schedule.warmup_steps)
    assert cropping_of(config.data).side == config.data.crop
    assert config.model.backbone.weights is None, "a recipe begins from random weights"


@pytest.mark.slow
def test_the_nets_have_the_published_numbers_of_parameters() -> None:
    for stem, parameters in PARAMETERS.items():
        assert count(built_on_meta(load_config(stem))) == parameters, stem
    for depth, millions in MILLIONS.items():
        assert count(built_on_meta(load_config(f"cifar10_resnet{depth}"))) / 1e6 == pytest.approx(millions, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("stem", STEMS)
def test_every_recipe_is_dry_run_without_data(stem: str, nowhere: Path) -> None:
    """Photographs at 64 pixels instead of 224: their nets are built and stepped whole, in a second each."""
    config = load_config(stem)
    small = ["data.crop=64", "test.crop=64"] if config.data.format == "imagenet" else []
    small += ["data.shortest_side=[64, 64]"] if small and config.data.cropping == "scale" else []
    said: list[str] = []
    dry_run(load_config(stem, small), reporter=Reporter(said.append), data_is_stated=False, device="cpu")
    if config.data.format != "shapes":
        assert any(line.startswith("data: not here") for line in said)
        assert not list(nowhere.iterdir()), "it wrote something"
    step = next(line for line in said if line.startswith("one step on two embedded images"))
    assert 0 < float(re.search(r"loss (\S+)", step)[1]) < 100
    assert said[-1].endswith("dry run done")


def test_a_dry_run_says_what_results_do_to_the_rate() -> None:
    said: list[str] = []
    options = ["schedule.name=plateau", "training.eval_every=10", "schedule.warmup_error=0.8", "schedule.milestones=[]"]
    dry_run(
        load_config("cifar10_resnet20", [*options, "schedule.warmup_factor=0.1"]),
        reporter=Reporter(said.append),
        device="cpu",
    )
    (line,) = [line for line in said if line.startswith("schedule:")]
    assert "10 times as much once the training error is below 0.8" in line
    assert "times 0.1 after 5 evaluations without a better one" in line


def test_a_dry_run_misses_data_that_were_named_and_crops_that_contradict(nowhere: Path) -> None:
    with pytest.raises(DataError, match=r"absent.* is not there"):
        dry_run(load_config("cifar10_resnet20", [f"data.root={nowhere / 'absent'}"]), data_is_stated=True)
    with pytest.raises(ConfigError, match=r"data\.shortest_side"):
        dry_run(load_config("imagenet_r18", ["data.shortest_side=[64, 128]"]))
