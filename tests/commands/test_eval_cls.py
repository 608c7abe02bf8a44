"""eval_cls from end to end: a folder of pictures, a net that tells them apart by colour, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from detres.checkpoints.saving import save_checkpoint
from detres.classification.classifier import Classifier, build_classifier
from detres.classification.files import settings_of
from detres.commands.main import main
from detres.config.classification_schema import ClassificationDataConfig, ClassificationTestConfig, ClassifierConfig
from detres.config.loading import dump_config, load_config
from detres.config.sections import BackboneConfig

NET = "cifar10_resnet20"
COLOURS = {"blue": (30, 40, 220), "green": (30, 200, 60), "red": (220, 40, 30)}
NAMES = tuple(COLOURS)
COUNT = 3
CONFIG = """task: classification
model: {backbone: {name: cifar10_resnet20, norm: batch}}
data: {format: folder, root: ROOT, train: [val], val: [val], crop: 32, workers: 0}
training: {batch: 4, steps: 1}
test: {scales: [36], batch: 4}
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """val/COLOUR/COLOUR_N.png, noise around a colour, of sizes of their own."""
    root = tmp_path_factory.mktemp("pictures")
    for k, (name, colour) in enumerate(COLOURS.items()):
        (root / "val" / name).mkdir(parents=True)
        for n in range(COUNT):
            noise = np.random.default_rng([k, n]).normal(0, 10, (40 + 3 * n, 50, 3))
            rgb = (noise + colour).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(root / "val" / name / f"{name}_{n}.png"), np.ascontiguousarray(rgb[..., ::-1]))
    return root


def colour_net(names: Sequence[str], name: str = NET) -> Classifier:
    """A net whose fc is fitted to the mean features of one flat image a class."""
    torch.manual_seed(0)
    model = build_classifier(name, num_classes=len(names)).eval()
    flat = torch.tensor([COLOURS.get(each, (128, 128, 128)) for each in names], dtype=torch.uint8)
    with torch.no_grad():
        features = model.last_map(model.normalize(flat[:, None, None].expand(-1, 32, 32, -1))).mean(dim=(2, 3))
        centred = features - features.mean(dim=0)
        weight = torch.linalg.pinv(centred).T * 20
        model.fc.weight.copy_(weight)
        model.fc.bias.copy_(-weight @ features.mean(dim=0))
    return model


@pytest.fixture(scope="module")
def write_run(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Callable[..., Path]:
    """A run folder with a `last` checkpoint of such a net."""

    def write(names: Sequence[str] = NAMES, **test: object) -> Path:
        folder = tmp_path_factory.mktemp("runs") / "colours"
        model = colour_net(names)
        config = ClassifierConfig(backbone=BackboneConfig(name=NET, norm="batch"))
        tested = ClassificationTestConfig(**{"scales": (36,), "batch": 4} | test)
        settings = settings_of(
            model, config, ClassificationDataConfig(crop=32), tested, class_names=names, recipe="colours"
        )
        save_checkpoint(folder / "checkpoints" / "last", model.state_dict(), settings.to_metadata(), {"step": 1})
        (folder / "config.yaml").write_text(CONFIG.replace("ROOT", str(pictures)))
        (folder / "config.yaml").write_text(dump_config(load_config(folder / "config.yaml")))
        return folder

    return write


@pytest.fixture(scope="module")
def run(write_run: Callable[..., Path]) -> Path:
    return write_run()


def test_a_run_is_evaluated_on_its_own_data_and_leaves_metrics(run: Path, done: Callable[..., str]) -> None:
    told = done("eval_cls", "--weights", run, "--device", "cpu")
    assert "top-1 error   0.00 %   top-5 error   0.00 %   of 9 images" in told
    (file,) = (run / "eval").glob("*-val-last/metrics.json")
    metrics = json.loads(file.read_text())
    assert metrics["schema_version"] == 1
    assert (metrics["top1_error"], metrics["top5_error"], metrics["images"]) == (0.0, 0.0, 9)
    assert metrics["per_class"]["red"] == {"images": 3, "top1_error": 0.0, "top5_error": 0.0}
    assert (metrics["split"], metrics["precision"], metrics["confusions"]) == ("val", "float32", [])
    assert len(metrics["weights"]) == 1
    assert len(metrics["annotations"]) == 16
    assert metrics["test"][0]["scales"] == [36]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "described"),
    [
        (["test.crops=10", "test.scales=[36, 40]"], "five crops of 32 at shorter sides 36, 40, and mirrors"),
        (["test.crops=dense", "test.scales=[24, 36]", "test.flip=true"], "dense at shorter sides 24, 36, and mirrors"),
        (["data.cropping=pad"], "the centre 32 at shorter sides 36"),
        (["data.cropping=pad", "test.scales=null"], "the centre 32 as they are"),
        (["training.precision=bf16"], "in bf16"),
    ],
)
def test_every_way_of_testing_is_an_override(
    run: Path, done: Callable[..., str], tmp_path: Path, overrides: list[str], described: str
) -> None:
    told = done("eval_cls", "--weights", run, "--out", tmp_path / "out", "--device", "cpu", *overrides)
    assert described in told
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["top1_error"] == 0.0


def test_an_ensemble_writes_to_a_folder_of_its_own_and_knows_classes_by_name(
    run: Path, write_run: Callable[..., Path], done: Callable[..., str]
) -> None:
    turned = write_run(NAMES[::-1], crops=10)
    told = done("eval_cls", "--weights", run, "--weights", turned, "--device", "cpu")
    assert "the centre 32" in told
    assert "five crops of 32" in told
    (file,) = (run / "eval").glob("*-val-last-and-1-more/metrics.json")
    metrics = json.loads(file.read_text())
    assert metrics["top1_error"] == 0.0
    assert [test["crops"] for test in metrics["test"]] == [1, 10]
    assert not (turned / "eval").exists()


def test_predictions_are_in_the_order_of_the_files(run: Path, done: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "deep" / "predictions.txt"
    done("eval_cls", "--weights", run, "--predictions", file, "--device", "cpu", "--out", tmp_path / "out")
    rows = [[int(label) for label in line.split(" ")] for line in file.read_text().splitlines()]
    assert [row[0] for row in rows] == [1] * 3 + [2] * 3 + [3] * 3
    assert all(sorted(row) == [1, 2, 3] for row in rows)
    lines = [json.loads(line) for line in (tmp_path / "deep" / "predictions.txt.jsonl").read_text().splitlines()]
    assert [Path(line["file"]).name for line in lines][:4] == ["blue_0.png", "blue_1.png", "blue_2.png", "green_0.png"]
    assert lines[-1]["names"][0] == "red"
    assert sum(lines[-1]["probabilities"]) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_an_image_that_cannot_be_read_is_refused_or_named_and_left_out(
    run: Path, pictures: Path, done: Callable[..., str], refused: Callable[..., str], tmp_path: Path
) -> None:
    root = tmp_path / "broken"
    shutil.copytree(pictures, root)
    whole = (root / "val" / "green" / "green_1.png").read_bytes()
    (root / "val" / "green" / "green_1.png").write_bytes(whole[: len(whole) // 2])
    (root / "val" / "green" / "green_0.png").rename(root / "val" / "green" / "green_0.heic")
    start = ("eval_cls", "--weights", run, f"data.root={root}", "--device", "cpu", "--out", tmp_path / "out")
    for stated in ((), ("data.strict=true",)):
        message = refused(*start, *stated, kind="DataError")
        assert "green_1.png: this image breaks off or is damaged" in message
        assert "or leave such images out with data.strict=false" in message
        assert not (tmp_path / "out" / "metrics.json").exists()
    told = done(*start, "data.strict=false")
    assert "warning: 1 × file not read, such as val: " in told
    assert "1 images of broken/val could not be read and are left out: val/green/green_1.png" in told
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["images"] == 7
    assert (metrics["problems"], metrics["images_left_out"]) == ({"image unreadable": 1}, 1)
    assert [Path(name).name for name in metrics["unreadable_images"]] == ["green_1.png"]


@pytest.mark.slow
def test_mistakes_get_one_message_and_status_2(
    run: Path, write_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*argv: object) -> str:
        assert main(["eval_cls", "--device", "cpu", *map(str, argv)]) == 2
        told = capsys.readouterr().err
        assert "Traceback" not in told
        return told

    deeper = tmp_path / "deeper.safetensors"
    other = tmp_path / "loose.safetensors"
    shutil.copyfile(run / "checkpoints" / "last" / "model.safetensors", other)
    assert "asks for another; leave the name to the file" in refused(
        "--weights", run, "model.backbone.name=cifar10_resnet32"
    )
    more = write_run((*NAMES, "violet"))
    assert "a classifier of 4 classes" in refused("--weights", more)
    assert "the set lacks violet" in refused("--weights", more)
    assert "a run folder, a checkpoint folder or a file" in refused("--weights", deeper)
    assert "the data are unknown; name them with --cfg or --data" in refused("--weights", other)
    assert "crops of 32 pixels do not fit" in refused("--weights", run, "test.scales=[24]")
    assert "detres eval_det --cfg shapes_r18" in refused("--weights", run, "--cfg", "shapes_r18")
    assert "test.crops" in refused("--weights", run, "test.crops=5")
    assert "names its classes itself" in refused("--weights", run, "model.class_names=[a,b,c]")
    assert "a folder has this name; name a file" in refused("--weights", run, "--predictions", tmp_path)
