"""When a key of a config counts: many only do beside a certain value of another, and some only in training.

A *key* is written with dots; a group stands for all keys below it. Keys that are in neither table count, as far as a
config can tell. What a network cannot do (a stride of a VGG net) is refused where it is built, and stands in no
table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from detres.config import timm_optimizers
from detres.config.model_keys import MODEL_KEYS, lies_in
from detres.config.sections import ExperimentConfig
from detres.lookup import Table, heeds
from detres.tables import BOX_LOSSES, DETECTION_FORMATS, OPTIMIZERS, SCHEDULES

Use = Callable[[str], str | None]
"""Why a key changes nothing in what a command does, for people; None where it may."""


@dataclass(frozen=True)
class Condition:
    """When some keys count. read: what it depends on. wanted: what these must be, for people."""

    keys: tuple[str, ...]
    read: tuple[str, ...]
    wanted: str | Callable[[], str]
    """Or a function that makes the words, where tables have to be asked for them."""
    holds: Callable[..., bool]
    """Called with the values of `read`, in order."""
    quick: bool = True
    """Whether `wanted` imports nothing that takes long, such as torch."""

    def broken_by(self, config: ExperimentConfig) -> str | None:
        """Why the keys count for nothing in this config; None where they count."""
        values = [_value(config, key) for key in self.read]
        if self.holds(*values):
            return None
        found = " and ".join(f"{key} is {text_of(value)}" for key, value in zip(self.read, values, strict=True))
        return f"{found}, and it counts with {self.wanted_words()}"

    def wanted_words(self) -> str:
        return self.wanted if isinstance(self.wanted, str) else self.wanted()


def _one_of(keys: str, read: str, *values: str) -> Condition:
    """keys: separated by blanks. values: those of `read` beside which they count."""
    wanted = f"{read}={' or '.join(values)}"
    return Condition(tuple(keys.split()), (read,), wanted, lambda value: value in values)


def _none_of(keys: str, read: str, *values: str) -> Condition:
    """values: those of `read` beside which the keys do not count."""
    wanted = f"another {read} than {' or '.join(values)}"
    return Condition(tuple(keys.split()), (read,), wanted, lambda value: value not in values)


def _of_own_code(name: str, parameter: str) -> bool:
    """Nobody knows what it takes."""
    return ":" in name


def _heeded(
    keys: str, table: Table, read: str, besides: str = "", others: Callable[[str, str], bool] = _of_own_code
) -> tuple[Condition, ...]:
    """keys: parameters of some of the table's entries, which count where `read` names one that has them.

    besides: what stands in no table and takes the key, for people. others: whether a name of no table has a parameter.
    """

    def condition(key: str) -> Condition:
        parameter = key.rpartition(".")[2]

        def wanted() -> str:
            return f"{read}={' or '.join([*table.heeding(parameter), *([besides] if besides else [])])}"

        def holds(name: str) -> bool:
            return heeds(table[name], parameter) if name in table else others(name, parameter)

        return Condition((key,), (read,), wanted, holds)

    return tuple(map(condition, keys.split()))


def _of_formats(key: str, counts: Callable[[Any], bool]) -> Condition:
    """counts: whether it does beside a format of detection's. Of code of one's own nobody knows."""

    def wanted() -> str:
        others = [name for name in DETECTION_FORMATS if not counts(DETECTION_FORMATS[name])]
        return f"another data.format than {' or '.join(others)}"

    def holds(name: str) -> bool:
        return name not in DETECTION_FORMATS or counts(DETECTION_FORMATS[name])

    return Condition((key,), ("data.format",), wanted, holds, quick=False)


_OF_EVERY_TASK = (
    *_heeded(
        "optimizer.momentum optimizer.betas",
        OPTIMIZERS,
        "optimizer.name",
        "a timm/NAME that has it",
        timm_optimizers.takes,
    ),
    *_heeded("optimizer.nesterov", OPTIMIZERS, "optimizer.name"),
    *_heeded(
        "schedule.milestones schedule.gamma schedule.power schedule.end_factor schedule.patience schedule.threshold",
        *(SCHEDULES, "schedule.name"),
    ),
    Condition(
        ("schedule.gamma",),
        ("schedule.name", "schedule.milestones"),
        "schedule.milestones, where schedule.name=step",
        lambda name, milestones: name != "step" or bool(milestones),
    ),
    Condition(
        ("schedule.warmup_factor",),
        ("schedule.warmup_steps", "schedule.warmup_error"),
        "schedule.warmup_steps or schedule.warmup_error",
        lambda steps, error: bool(steps) or error is not None,
    ),
    Condition(
        ("schedule.warmup_window",),
        ("schedule.warmup_error",),
        "schedule.warmup_error",
        lambda error: error is not None,
    ),
    Condition(
        ("training.patience",),
        ("training.eval_every",),
        "training.eval_every set, such as to 1 epoch",
        lambda every: every is not None,
    ),
    # Weights that are loaded take the place of how blocks start.
    Condition(
        ("model.backbone.zero_init_last",),
        ("model.backbone.weights",),
        "model.backbone.weights=null",
        lambda weights: weights is None,
    ),
)


def _evaluated_on(*splits: str) -> Condition:
    """A plateau without anything to evaluate on is refused where the splits are loaded, with its own mend."""
    keys = ("training.eval_every", "training.best_metric")
    wanted = "images to evaluate on; schedule.name=plateau waits for them"
    return Condition(
        keys, (*splits, "schedule.name"), wanted, lambda *values: any(values[:-1]) or values[-1] == "plateau"
    )


# A classifier's --weights may be taken as another net, too.
_WITH_BACKBONE_WEIGHTS = Condition(
    ("model.backbone.allow_mismatch",),
    ("model.backbone.weights",),
    "model.backbone.weights",
    lambda weights: weights is not None,
)

_OF_TASK: Mapping[str, tuple[Condition, ...]] = {
    "detection": (
        _evaluated_on("data.val", "data.val_fraction", "data.test"),
        _one_of("model.fpn", "model.layout", "fpn"),
        Condition(
            ("model.anchors.order",),
            ("model.layout", "model.anchors.sizes", "model.anchors.ratios"),
            "several sizes on a level and several ratios",
            lambda layout, sizes, ratios: len(ratios) > 1 and (len(sizes[0]) > 1 if sizes else layout != "fpn"),
        ),
        _one_of("model.roi.canonical_size model.roi.canonical_level model.roi.level_eps", "model.layout", "fpn"),
        _one_of(
            "model.roi.head_convs model.roi.head_conv_channels model.roi.head_fcs model.roi.head_fc_channels "
            "model.roi.head_norm",
            *("model.layout", "dc5", "fpn"),
        ),
        Condition(
            ("model.roi.head_conv_channels", "model.roi.head_norm"),
            ("model.roi.head_convs",),
            "model.roi.head_convs above 0",
            bool,
        ),
        *_heeded("model.rpn.box_loss.beta", BOX_LOSSES, "model.rpn.box_loss.name"),
        *_heeded("model.roi.box_loss.beta", BOX_LOSSES, "model.roi.box_loss.name"),
        Condition(("data.val_fraction",), ("data.val",), "data.val=[]", lambda val: not val),
        Condition(("data.val_groups",), ("data.val_fraction",), "data.val_fraction", bool),
        _of_formats("data.difficult", lambda entry: entry.has_ignored),
        _of_formats("data.max_pixels", lambda entry: entry.heeds("max_pixels")),
        _of_formats("data.exif", lambda entry: entry.heeds("exif")),
        _of_formats("data.strict", lambda entry: entry.heeds("strict")),
        _WITH_BACKBONE_WEIGHTS,
        Condition(
            ("training.log_pictures",),
            ("data.val", "data.val_fraction", "data.test"),
            "images to evaluate on",
            lambda *splits: any(splits),
        ),
        Condition(("test.refine_nms",), ("test.refine",), "test.refine above 0", bool),
        Condition(
            ("test.nms",),
            ("test.refine", "test.flip", "test.scales", "test.fusion"),
            "test.refine=0 (else test.refine_nms does) or several views that are merged",
            lambda refine, flip, scales, fusion: (
                not refine or flip or (len(scales) > 1 and fusion not in (None, "maxout"))
            ),
        ),
        Condition(
            ("test.fusion",),
            ("test.flip", "test.scales"),
            "mirrors or several scales, which it merges; eval_det --detections merges what detectors left in files",
            lambda flip, scales: flip or len(scales) > 1,
        ),
        Condition(
            ("test.batch",),
            ("test.refine", "test.flip", "test.scales", "test.vote"),
            "one look at one size",
            lambda refine, flip, scales, vote: not (refine or flip or scales or vote not in (None, "none")),
        ),
    ),
    "classification": (
        _evaluated_on("data.val", "data.val_fraction", "data.test"),
        _one_of("data.images", "data.format", "webdataset"),
        # CIFAR's pictures are not encoded.
        _none_of("data.max_pixels", "data.format", "cifar10"),
        Condition(
            ("training.recompute_norms",),
            ("model.backbone.norm",),
            "model.backbone.norm=batch or sync, whose statistics they are",
            lambda norm: norm not in ("group", "frozen"),
        ),
        _one_of("data.shortest_side", "data.cropping", "scale"),
        _one_of("data.area data.ratio", "data.cropping", "area"),
        _one_of("data.padding", "data.cropping", "pad"),
        # What is asked for in vain by true is refused where the set is loaded.
        Condition(
            ("data.in_memory",),
            ("data.in_memory", "data.cropping", "data.randaugment", "data.format"),
            "data.cropping=pad, no data.randaugment and no webdataset",
            lambda asked, cropping, drawn, kind: (
                asked or (cropping == "pad" and drawn is None and kind != "webdataset")
            ),
        ),
        Condition(
            ("loss.target_threshold",),
            ("loss.mixup", "loss.cutmix"),
            "loss.mixup or loss.cutmix",
            lambda mixup, cutmix: mixup or cutmix,
        ),
        Condition(("test.crop",), ("test.crops",), "test.crops=1 or 10", lambda crops: crops != "dense"),
        Condition(
            ("test.flip",), ("test.crops",), "test.crops=1 or dense; ten crops have mirrors", lambda crops: crops != 10
        ),
    ),
    "localization": (
        _evaluated_on("data.val", "data.test"),
        _WITH_BACKBONE_WEIGHTS,
        _one_of("model.anchors model.rpn data.shortest_side data.visible", "model.stage", "rpn"),
        _one_of("model.rcnn test.proposals test.nms", "model.stage", "rcnn"),
        *_heeded("model.rpn.box_loss.beta", BOX_LOSSES, "model.rpn.box_loss.name"),
        *_heeded("model.rcnn.box_loss.beta", BOX_LOSSES, "model.rcnn.box_loss.name"),
    ),
}

CONDITIONS: Mapping[str, tuple[Condition, ...]] = {
    task: (*_OF_EVERY_TASK, *conditions) for task, conditions in _OF_TASK.items()
}
"""Of each task's keys, those that count under a condition; a key that stands in several counts under all of them."""

_LEARNED_FROM = "it is of training"
_IN_TRAINING: Mapping[str, str] = {
    "detection": "data.augment data.difficult",
    "classification": (
        "loss data.shortest_side data.area data.ratio data.padding data.flip data.pca_lighting data.randaugment "
        "data.repeats data.images data.in_memory"
    ),
    "localization": "data.shortest_side data.flip data.visible",
}
"""Keys beside model, training, optimizer and schedule that say how is learned, not what is measured."""

# How the model is run, in an evaluation as well.
_RUN_BY = ("training.precision", "training.compile", "training.channels_last", "training.cuda_graphs")


def in_training(key: str) -> str | None:
    """Whatever stands in a config may count in a training."""
    return None


def in_training_from_weights(key: str) -> str | None:
    """A training that begins with the tensors of --weights."""
    if key in ("model.backbone.weights", "model.backbone.zero_init_last"):
        return "--weights names what is begun with"
    return None


def in_evaluation(task: str) -> Use:
    """An evaluation of a weights file of this task."""

    def why(key: str) -> str | None:
        if key == "recipe":
            return "the weights name the recipe they were trained by"
        if task == "localization" and lies_in(key, "model"):
            return "the weights say what their model is"
        if task == "classification" and key == "model.backbone.allow_mismatch":
            return None  # A classifier may be measured as another net than it was trained as.
        learned = ("optimizer", "schedule", "training", *_IN_TRAINING[task].split(), *only_trained_by(task))
        if key not in _RUN_BY and any(lies_in(key, each) for each in learned):
            return _LEARNED_FROM
        return None

    return why


def on_data_alone(*beside: str) -> Use:
    """What looks at a set. beside: keys that are looked at beyond the data section."""

    def why(key: str) -> str | None:
        looked_at = any(lies_in(key, group) for group in ("task", "data", *beside))
        return None if looked_at else "the set alone is looked at"

    return why


def only_trained_by(task: str) -> tuple[str, ...]:
    """The keys of the model section that change nothing of a finished model, and where its backbone began."""
    return tuple(f"model.{key}" for key in (*MODEL_KEYS[task].training, "backbone.weights"))


def why_idle(config: ExperimentConfig, key: str) -> str | None:
    """Why a key changes nothing in this config, for people; None where it counts."""
    for condition in CONDITIONS[config.task]:
        if any(lies_in(key, each) for each in condition.keys) and (why := condition.broken_by(config)):
            return why
    return None


def text_of(value: Any) -> str:
    """A value about as a yaml has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(text_of, value))}]" if isinstance(value, tuple | list) else str(value)


def _value(config: ExperimentConfig, key: str) -> Any:
    return reduce(getattr, key.split("."), config)
