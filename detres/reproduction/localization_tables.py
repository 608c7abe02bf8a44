"""The paper's table of localizers: arXiv:1512.03385, appendix C, on ImageNet's validation images."""

from __future__ import annotations

from collections.abc import Mapping

from detres.reproduction.rows import SHORT, Column, LocalizationError, Published, Table, row

# The classifier whose five classes are localized, and whose trunk both stages begin with.
CLASSIFIER = "imagenet_r101"
_RPN, _RCNN = "imagenet_loc_r101", "imagenet_loc_rcnn_r101"
_CROP, _DENSE = ("test.crops=1", "test.scales=[256]"), ("test.crops=dense", "test.scales=[256]")

_TABLE13 = Table(
    "Table 13: localization error on ImageNet",
    (
        Column(SHORT["true_class"], LocalizationError("true_class_error")),
        Column(SHORT["loc_top5"], LocalizationError("top5_error")),
    ),
    (
        row(
            "VGG-16, 1 crop",
            "",
            absent="a localizer of another paper; detres has none of its kind, so it is not run",
            true_class=33.1,
            loc_top5=Published(26.9, "26.9 (ensemble)"),
        ),
        row("RPN ResNet-101, 1 crop", _RPN, tested=_CROP, begins_with=CLASSIFIER, true_class=13.3),
        row("RPN ResNet-101, dense", _RPN, tested=_DENSE, begins_with=CLASSIFIER, true_class=11.7, loc_top5=14.4),
        row(
            "RPN + R-CNN ResNet-101, dense",
            _RCNN,
            tested=_DENSE,
            begins_with=f"{CLASSIFIER} {_RPN}",
            loc_top5=10.6,
        ),
        row(
            "ensemble",
            "",
            absent="the paper does not say what it is made of, so it is not run",
            loc_top5=Published(8.9, "8.9 (test server: 9.0)"),
        ),
    ),
    contrasts=(("RPN ResNet-101, 1 crop", "RPN ResNet-101, dense"),),
    notes=(
        f"Top-5: of the five likeliest classes of {CLASSIFIER}, seed 0, tested as its run says.",
        "The boxes of the dense test are of one scale, shorter side 256; the paper names none.",
    ),
)

LOCALIZATION_TABLES: Mapping[str, Table] = {"table13": _TABLE13}
