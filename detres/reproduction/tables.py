"""The tables and figures of the paper, and what it measured: arXiv:1512.03385, ImageNet on the validation images."""

from __future__ import annotations

from collections.abc import Mapping

from detres.reproduction.detection_tables import DETECTION_TABLES
from detres.reproduction.localization_tables import LOCALIZATION_TABLES
from detres.reproduction.rows import SHORT, Column, Cost, Error, Published, Response, Table, row

_DENSE_SIDES = (224, 256, 384, 480, 640)
_TEN_CROPS = (
    Column(SHORT["top1"], Error("top1_error", crops=10, scales=(256,))),
    Column(SHORT["top5"], Error("top5_error", crops=10, scales=(256,))),
)
_DENSE = (
    Column(SHORT["top1"], Error("top1_error", crops="dense", scales=_DENSE_SIDES, flip=True)),
    Column(SHORT["top5"], Error("top5_error", crops="dense", scales=_DENSE_SIDES, flip=True)),
)
_COSTS = Column(SHORT["costs"], Cost("multiply_adds"))
_SIZE = Column(SHORT["size"], Cost("parameters"))
_TEST = Column(SHORT["test"], Error())
_TRAIN = Column(SHORT["train"], Error(split="train", crops=1))

_PLAIN, _RESIDUAL = "plain nets", "residual nets"

# One line of the paper's each; figure 6 shows the plain nets' curves without a number.
_CIFAR_PLAIN = tuple(row(f"plain-{n}", f"cifar10_plain{n}", _PLAIN) for n in (20, 32, 44, 56, 110))
_CIFAR_RESIDUAL = (
    row("ResNet-20", "cifar10_resnet20", _RESIDUAL, size=0.27, test=8.75),
    row("ResNet-32", "cifar10_resnet32", _RESIDUAL, size=0.46, test=7.51),
    row("ResNet-44", "cifar10_resnet44", _RESIDUAL, size=0.66, test=7.17),
    row("ResNet-56", "cifar10_resnet56", _RESIDUAL, size=0.85, test=6.97),
    row(
        "ResNet-110",
        "cifar10_resnet110",
        _RESIDUAL,
        size=1.7,
        test=Published(6.61, "6.43 (5 runs: 6.61 ± 0.16)"),
    ),
    row("ResNet-1202", "cifar10_resnet1202", _RESIDUAL, size=19.4, test=7.93),
)
_CIFAR = {each.name: each for each in (*_CIFAR_PLAIN, *_CIFAR_RESIDUAL)}

_TABLE1 = Table(
    "Table 1: what the ImageNet nets cost",
    (_COSTS, _SIZE),
    (
        row("ResNet-18", "imagenet_r18_a", costs=1.8),
        row("ResNet-34", "imagenet_r34_a", costs=3.6),
        row("ResNet-50", "imagenet_r50", costs=3.8),
        row("ResNet-101", "imagenet_r101", costs=7.6),
        row("ResNet-152", "imagenet_r152", costs=11.3),
    ),
    picture="costs",
    notes=("For one image of 224×224 pixels. Counted are the products of convolutions and fc.",),
)

_TABLE2 = Table(
    "Table 2: plain and residual nets on ImageNet, 10 crops",
    _TEN_CROPS[:1],
    (
        row("plain-18", "imagenet_plain18", top1=27.94),
        row("ResNet-18", "imagenet_r18_a", top1=27.88),
        row("plain-34", "imagenet_plain34", top1=28.54),
        row("ResNet-34", "imagenet_r34_a", top1=25.03),
    ),
    contrasts=(("plain-18", "plain-34"), ("ResNet-18", "ResNet-34")),
    notes=("Shortcuts are identities padded with zeros (option A), so that a pair has the same parameters.",),
)

_TABLE3 = Table(
    "Table 3: errors on ImageNet, 10 crops",
    _TEN_CROPS,
    (
        row("plain-34", "imagenet_plain34", top1=28.54, top5=10.02),
        row("ResNet-34 A", "imagenet_r34_a", top1=25.03, top5=7.76),
        row("ResNet-34 B", "imagenet_r34_b", top1=24.52, top5=7.46),
        row("ResNet-34 C", "imagenet_r34_c", top1=24.19, top5=7.40),
        row("ResNet-50", "imagenet_r50", top1=22.85, top5=6.71),
        row("ResNet-101", "imagenet_r101", top1=21.75, top5=6.05),
        row("ResNet-152", "imagenet_r152", top1=21.43, top5=5.71),
    ),
)

_TABLE4 = Table(
    "Table 4: errors of single nets on ImageNet, dense, several sides",
    _DENSE,
    (
        row("ResNet-34 B", "imagenet_r34_b", top1=21.84, top5=5.71),
        row("ResNet-34 C", "imagenet_r34_c", top1=21.53, top5=5.60),
        row("ResNet-50", "imagenet_r50", top1=20.74, top5=5.25),
        row("ResNet-101", "imagenet_r101", top1=19.87, top5=4.60),
        row("ResNet-152", "imagenet_r152", top1=19.38, top5=4.49),
    ),
    notes=(f"Shorter sides {', '.join(map(str, _DENSE_SIDES))}, and their mirrors.",),
)

_TABLE5 = Table(
    "Table 5: an ensemble on ImageNet, dense, several sides",
    _DENSE[1:],
    (
        row(
            "six ResNets",
            "imagenet_r34_b imagenet_r34_c imagenet_r50 imagenet_r101 imagenet_r152 imagenet_r152",
            top5=Published(3.57, "3.57 (test server)"),
        ),
    ),
    notes=(
        "The paper's figure is the test server's, ours of the validation images. Of its six nets it says "
        "no more than that two had 152 layers; ours are 34 B, 34 C, 50, 101 and two of 152.",
    ),
)

_TABLE6 = Table("Table 6: test error on CIFAR-10", (_SIZE, _TEST), _CIFAR_RESIDUAL)

_FIGURE6 = Table(
    "Figure 6: training and test error on CIFAR-10",
    (_TRAIN, _TEST),
    (*_CIFAR_PLAIN, *_CIFAR_RESIDUAL),
    picture="curves",
    notes=(
        "Training error: of the finished net on the training images as they are; the picture's thin lines are of the "
        "augmented batches it learned from.",
    ),
)

_FIGURE7 = Table(
    "Figure 7: standard deviations of layer responses on CIFAR-10",
    (Column(SHORT["std"], Response(), places=3),),
    tuple(_CIFAR[name] for name in ("plain-20", "plain-56", "ResNet-20", "ResNet-56", "ResNet-110")),
    picture="responses",
    notes=("The paper draws them and prints no number. Responses are taken behind the norm of each 3×3 convolution.",),
)

_DEGRADATION = Table(
    "Degradation: plain and residual nets at two depths",
    (_TRAIN, _TEST),
    tuple(_CIFAR[name] for name in ("plain-20", "plain-56", "ResNet-20", "ResNet-56")),
    picture="curves",
    contrasts=(("plain-20", "plain-56"), ("ResNet-20", "ResNet-56")),
    notes=("Training error: of the finished net on the training images as they are.",),
)

TABLES: Mapping[str, Table] = {
    "table1": _TABLE1,
    "table2": _TABLE2,
    "table3": _TABLE3,
    "table4": _TABLE4,
    "table5": _TABLE5,
    "table6": _TABLE6,
    **DETECTION_TABLES,
    **LOCALIZATION_TABLES,
    "figure6": _FIGURE6,
    "figure7": _FIGURE7,
    "degradation": _DEGRADATION,
}
