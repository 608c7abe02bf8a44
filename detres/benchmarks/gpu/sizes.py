"""How large the work of every row is: at full size, and at a size at which all of it runs on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from detres.benchmarks.backbone import Pictures
from detres.benchmarks.classification.cifar_training import CifarWork
from detres.benchmarks.gpu.clock import Effort
from detres.benchmarks.scenes import Scene


@dataclass(frozen=True)
class Operators:
    """What single operators work on. images: of a batch. cells: height of a map, 5/3 as wide. channels: of a map.

    regions: that are pooled of each image. boxes: of each image that are suppressed, on five levels.
    """

    images: int
    cells: int
    channels: int
    regions: int
    boxes: int


@dataclass(frozen=True)
class Loading:
    """What is read from files. photos, crops: how many files of each lie there.

    photo_side: the shorter one. workers: numbers of processes; those are tried that the machine has cores for.
    seconds: of each.
    """

    photos: int
    batch: int
    photo_side: int
    crops: int
    crop_batch: int
    crop_side: int
    workers: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Sizes:
    """scene: of one image; batches say how many. What is asked for first stands first: the time may be up.

    eager: nothing is compiled, though asked for; of toy sizes on a CPU the compiler takes minutes for each row.
    """

    effort: Effort
    scene: Scene
    training_batches: tuple[int, ...]
    prediction_batches: tuple[int, ...]
    pictures: Pictures
    steps: int
    cifar: CifarWork
    operators: Operators
    loading: Loading
    matrix_side: int | None = None
    eager: bool = False


FULL = Sizes(
    effort=Effort(),
    scene=Scene(width=1344),
    training_batches=(8, 2, 16),
    prediction_batches=(1, 8),
    pictures=Pictures(images=256),
    steps=5,
    cifar=CifarWork(steps=50, workers=8, unit="steps/s", cuda_graphs=True),
    operators=Operators(images=16, cells=200, channels=256, regions=512, boxes=8768),
    loading=Loading(
        photos=64,
        batch=16,
        photo_side=800,
        crops=64,
        crop_batch=256,
        crop_side=224,
        workers=(2, 8, 16),
        seconds=4.0,
    ),
)

TINY = Sizes(
    effort=Effort(warm_up=1, fewest=1, most=1, seconds=0.0),
    scene=Scene("resnet18", 64, 96, classes=7, objects=3),
    training_batches=(2,),
    prediction_batches=(1,),
    pictures=Pictures("resnet18", images=4, side=64),
    steps=1,
    cifar=CifarWork(batch=8, steps=2, workers=0, unit="steps/s"),
    operators=Operators(images=2, cells=12, channels=16, regions=8, boxes=100),
    loading=Loading(photos=2, batch=2, photo_side=64, crops=2, crop_batch=2, crop_side=32, workers=(0,), seconds=0.2),
    matrix_side=64,
    eager=True,
)
