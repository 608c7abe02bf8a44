"""A twelve-image data set, a detector that trains in seconds, and one run of it that many tests look at.

*tiny* names all of them. *tiny_classes* names the same of a classifier: sixteen images in folders of two classes.
Folders are removed when they are done with: a detector's checkpoint has a hundred megabytes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from detres.data.formats.shapes.detection import make_shapes
from detres.data.formats.voc.writing import VocObject, write_annotation

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = Path(__file__).with_name("conversion") / "mmdetection" / "mmdetection_reference.py"
CLASSES = ("square", "disc")
COLOURS = {"square": (210, 60, 40), "disc": (40, 90, 210)}
SPLITS = {"train": range(1, 8), "test": range(8, 13)}
EMPTY, DIFFICULT = (3, 9), (5, 11)

# A ResNet-18 C4 that takes few looks at small pictures.
TINY_CONFIG = """# Made for the tests: no figure is expected of it.
model:
  layout: c4
  backbone: {{name: resnet18}}
  anchors: {{sizes: [[16, 32, 64]]}}
  rpn: {{pre_nms_train: 60, post_nms_train: 20, pre_nms_test: 60, post_nms_test: 20, batch_per_image: 32}}
  roi: {{batch_per_image: 16, pool: 4, sampling_ratio: 2}}
data:
  format: voc
  root: {root}
  train: [train]
  test: [test]
  shortest_side: [64]
  longest_side: 96
  workers: 0
training: {{steps: 3, batch: 2, clip_norm: 10.0, log_every: 1, checkpoint_every: 100, best_metric: mAP50}}
optimizer: {{lr: 0.02}}
schedule: {{name: constant}}
"""


# A ResNet-20 that learns to tell red from blue.
TINY_CLASSES_CONFIG = """# Made for the tests: no figure is expected of it.
task: classification
model:
  backbone: {{name: cifar10_resnet20}}
data: {{format: folder, root: {root}, train: [train], val: [val], crop: 16, cropping: pad, padding: 2, workers: 0}}
training: {{steps: 3, batch: 4, log_every: 1, checkpoint_every: 100}}
optimizer: {{lr: 0.05}}
schedule: {{name: constant}}
test: {{scales: [16]}}
"""


@dataclass(frozen=True)
class TinySet:
    """root: a folder in VOC's layout, with COCO's files in coco/. voc, coco: for --data. cfg: for --cfg."""

    root: Path
    voc: Path
    coco: Path
    cfg: Path

    def pictures(self, split: str = "test") -> list[Path]:
        return [self.root / "JPEGImages" / f"{number:06d}.png" for number in SPLITS[split]]


@pytest.fixture(scope="session")
def mmdetection() -> ModuleType:
    """conversion/mmdetection/mmdetection_reference.py: weights in its layout, and what it would detect with them."""
    spec = importlib.util.spec_from_file_location("mmdetection_reference", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["mmdetection_reference"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def write_tiny_set() -> Callable[..., TinySet]:
    """Write a set to a folder; sizes: (height, width), taken in turns."""

    def write(root: Path, sizes: Sequence[tuple[int, int]] = ((64, 96), (96, 64), (80, 80))) -> TinySet:
        for folder in ("JPEGImages", "Annotations", "ImageSets/Main", "coco"):
            (root / folder).mkdir(parents=True)
        for split, numbers in SPLITS.items():
            scenes = {number: _draw(root, number, sizes[number % len(sizes)]) for number in numbers}
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{n:06d}\n" for n in numbers))
            (root / "coco" / f"{split}.json").write_text(json.dumps(_instances(scenes)))
        (root / "voc.yaml").write_text("format: voc\ntrain: train\ntest: test\n")
        (root / "coco.yaml").write_text(
            "format: coco\ntrain: coco/train.json:JPEGImages\ntest: coco/test.json:JPEGImages\n"
        )
        (root / "tiny.yaml").write_text(TINY_CONFIG.format(root=root))
        return TinySet(root, root / "voc.yaml", root / "coco.yaml", root / "tiny.yaml")

    return write


def _draw(root: Path, number: int, size: tuple[int, int]) -> tuple[tuple[int, int], list[VocObject]]:
    """Up to two things on grey noise, written as a picture and as VOC's annotation."""
    random = np.random.default_rng(number)
    rgb = random.integers(100, 140, (*size, 3), dtype=np.uint8)
    objects = []
    for place, name in enumerate(CLASSES if number not in EMPTY else ()):
        side = int(random.integers(18, 30))
        x, y = int(random.integers(0, size[1] // 2 - side // 2)), int(random.integers(0, size[0] // 2 - side // 2))
        x, y = (x, y) if place == 0 else (size[1] - side - x, size[0] - side - y)
        if name == "square":
            rgb[y : y + side, x : x + side] = COLOURS[name]
        else:
            cv2.circle(rgb, (x + side // 2, y + side // 2), side // 2, COLOURS[name], -1)
        objects.append(VocObject(name, (x, y, x + side, y + side), difficult=number in DIFFICULT and place == 1))
    cv2.imwrite(str(root / "JPEGImages" / f"{number:06d}.png"), np.ascontiguousarray(rgb[..., ::-1]))
    write_annotation(root / "Annotations" / f"{number:06d}.xml", f"{number:06d}.png", size, objects)
    return size, objects


def _instances(scenes: dict[int, tuple[tuple[int, int], list[VocObject]]]) -> dict[str, list]:
    """COCO's file of the same; the ids of the categories have a gap, and what is difficult is a crowd."""
    images = [
        {"id": 100 + number, "file_name": f"{number:06d}.png", "height": size[0], "width": size[1]}
        for number, (size, _) in scenes.items()
    ]
    things = [(number, thing) for number, (_, objects) in scenes.items() for thing in objects]
    annotations = []
    for place, (number, thing) in enumerate(things):
        x1, y1, x2, y2 = thing.xyxy
        annotations.append(
            {
                "id": place + 1,
                "image_id": 100 + number,
                "category_id": {"square": 3, "disc": 7}[thing.name],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": int(thing.difficult),
            }
        )
    categories = [{"id": 3, "name": "square"}, {"id": 7, "name": "disc"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, write_tiny_set: Callable[..., TinySet]) -> TinySet:
    """Seven images to train on, five to test on; never written to by a test."""
    return write_tiny_set(tmp_path_factory.mktemp("tiny") / "set")


@dataclass(frozen=True)
class TinyClasses:
    """root: a folder with class folders in train/ and val/. cfg: for --cfg."""

    root: Path
    cfg: Path

    def pictures(self, split: str = "val") -> list[Path]:
        return sorted((self.root / split).rglob("*.png"))


@pytest.fixture(scope="session")
def tiny_classes(tmp_path_factory: pytest.TempPathFactory) -> TinyClasses:
    """Ten images to train on, six to test on, 16 pixels square; never written to by a test."""
    root = tmp_path_factory.mktemp("tiny_classes") / "set"
    for split, count in (("train", 5), ("val", 3)):
        for place, (name, colour) in enumerate({"blue": (210, 90, 40), "red": (40, 60, 210)}.items()):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                noise = np.random.default_rng([place, number, count]).integers(-40, 40, (16, 16, 3))
                bgr = np.clip(noise + colour, 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / split / name / f"{number}.png"), bgr)
    (root / "tiny_classes.yaml").write_text(TINY_CLASSES_CONFIG.format(root=root))
    return TinyClasses(root, root / "tiny_classes.yaml")


@pytest.fixture(scope="session")
def trained_classifier(tmp_path_factory: pytest.TempPathFactory, tiny_classes: TinyClasses) -> Path:
    """A finished run on tiny_classes that tells the classes apart; never written to but below eval/."""
    from detres.config.loading import load_config
    from detres.tasks.training import train

    run = tmp_path_factory.mktemp("trained_classifier") / "run"
    overrides = ["training.steps=30", "training.log_every=10", "training.eval_every=10", "schedule.name=cosine"]
    train(load_config(tiny_classes.cfg, overrides), run, device="cpu")
    return run


@pytest.fixture(scope="session")
def datasets_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """DETRES_DATASETS points here for the rest of the session; holds the shapes set."""
    base = tmp_path_factory.getbasetemp()
    # The workers of pytest-xdist have a folder each, below one that is the session's.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "datasets"
    make_shapes(folder / "shapes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETRES_DATASETS", str(folder))
        yield folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a run, which does not outlast the test."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path / "run", ignore_errors=True)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: TinySet) -> Iterator[Path]:
    """A finished run on the tiny set, good enough to find things; never written to but below eval/ and pictures/."""
    from detres.config.loading import load_config
    from detres.tasks.training import train

    run = tmp_path_factory.mktemp("trained") / "run"
    config = load_config(tiny.cfg, ["training.steps=50", "training.log_every=10", "schedule.name=cosine"])
    train(config, run, device="cpu")
    yield run
    shutil.rmtree(run, ignore_errors=True)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in a process of its own, from any folder, with one thread; environment: laid over this one's."""

    def run(
        *arguments: str | Path, cwd: Path | None = None, timeout: float = 240, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        shared = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=shared, cwd=cwd, capture_output=True, text=True, timeout=timeout)

    return run
