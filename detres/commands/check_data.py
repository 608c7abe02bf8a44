"""Say what is wrong with a data set, and what is in it.

detres check_data --cfg coco_r50 data.root=/data/coco
detres check_data --data my.yaml --fix cleaned/
detres check_data --data birds.zip          a set that nobody described, packed or not: what it is, is found out
detres check_data --data pictures/          folders of class folders, or any classification set

Exits with 2 where nothing can be used of what the config names, or of its train or its val; a test set that is named
and absent is told, and no more.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detres.commands.parts.arguments import add_config, layers_of
from detres.commands.parts.telling import on_terminal
from detres.errors import spelled_out
from detres.words import number_of

if TYPE_CHECKING:
    from detres.config.detection_schema import Config
    from detres.config.loading import Layer
    from detres.config.localization_schema import LocalizationDataConfig
    from detres.data.classification.checking import ClassificationReport
    from detres.data.detection.anchor_fit import AnchorFit
    from detres.data.detection.checking import DataReport
    from detres.data.detection.unusable_splits import UnusableSplit
    from detres.data.problems import Problem

# Of more classes, only the extremes are told.
_CLASSES_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--fix", metavar="DIR", type=Path, help="write annotations without the bad ones to this folder")


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 2 where train or val is named and cannot be used; a test set often has no annotations."""
    from detres.config.classification_schema import ClassificationConfig
    from detres.config.key_effects import on_data_alone
    from detres.config.loading import load_config, read_override, resolve, task_of
    from detres.config.localization_schema import LocalizationConfig
    from detres.data.classification.checking import check_classified
    from detres.errors import ConfigError

    task = task_of(arguments.cfg) if arguments.cfg else _task_without_config(arguments)
    # Boxes are held against the anchors that a detector has.
    use = on_data_alone(*(("model.layout", "model.anchors", "model.rpn.negative_iou") if task == "detection" else ()))
    layers = layers_of(arguments, task, on_terminal())
    overrides = [read_override(text) for text in arguments.overrides]
    if arguments.cfg:
        config = load_config(arguments.cfg, arguments.overrides, layers=layers, use=use)
    else:
        config = resolve([*layers, *overrides], use=use)
    if isinstance(config, ClassificationConfig | LocalizationConfig) and arguments.fix:
        raise ConfigError(
            f"--fix writes annotations of boxes for detection; of a {config.task} set, mend or remove the files named"
        )
    if isinstance(config, ClassificationConfig):
        reports: Sequence[Any] = check_classified(config.data)
        for report in reports:
            _print(lines_of_classified(report))
    elif isinstance(config, LocalizationConfig):
        reports = _check_localization(config.data)
    else:
        reports = _check_detection(config, arguments.fix, None if arguments.cfg else [*layers, *overrides])
    return 2 if any(map(_of_no_use, reports)) else 0


def _of_no_use(report: Any) -> bool:
    """Whether a report is of a split that training would refuse."""
    from detres.data.detection.checking import DataReport
    from detres.data.detection.unusable_splits import UnusableSplit

    if isinstance(report, DataReport):
        return any(problem.kind == "nothing to learn from" for problem in report.problems)
    return isinstance(report, UnusableSplit) and report.split != "test"


def _task_without_config(arguments: argparse.Namespace) -> str:
    """What a set is for that --data names, or data.format=... with its other keys."""
    from detres.data.data_file import task_of_data_file
    from detres.errors import ConfigError
    from detres.tables import CLASSIFICATION_FORMATS, DETECTION_FORMATS

    if arguments.data:
        return task_of_data_file(arguments.data)
    stated = [text.partition("=")[2] for text in arguments.overrides if text.startswith("data.format=")]
    if not stated:
        raise ConfigError("name a set with --cfg or --data, or state data.format and data.root")
    alone = stated[-1] in CLASSIFICATION_FORMATS and stated[-1] not in DETECTION_FORMATS
    return "classification" if alone else "detection"


def _check_localization(data: LocalizationDataConfig) -> Sequence[Any]:
    from detres.data.detection.unusable_splits import UnusableSplit, refuse_useless
    from detres.data.localization.datasets import load_localized
    from detres.errors import DataError

    reports: list[Any] = []
    for split in ("train", "val", "test"):
        if getattr(data, split):
            try:
                reports.append((split, load_localized(data, split)))
            except DataError as error:
                reports.append(UnusableSplit(split, str(error)))
    refuse_useless(reports)
    for report in reports:
        if isinstance(report, UnusableSplit):
            print(line_of_unusable(report))
            continue
        split, images = report
        held = f"{number_of(len(images), 'image')} with {number_of(len(images.boxes), 'box')}"
        print(f"{split}: {images.name}, {held} of their own class")
        print(f"  {number_of(images.without_boxes, 'image')} without a box, which are left out")
        _print(_problem_lines(images.problems))
    return reports


def _check_detection(config: Config, fix: Path | None, alone: Sequence[Layer] | None) -> Sequence[Any]:
    """alone: what the user stated where no config was named, so that the recipe of train_det --data is meant."""
    from detres.config.detection_schema import DataConfig
    from detres.data.detection.checking import check
    from detres.tasks.detection.anchor_shapes import anchor_shapes, finetunes_resize
    from detres.tasks.detection.finetune.fitting import stated_paths
    from detres.tasks.detection.transforms import transform_of

    if config.data.augment != DataConfig.model_fields["augment"].default:
        transform_of(config.data, training=True)  # One that was stated is tried.
    resized = None if alone is None else finetunes_resize(config, {*stated_paths(alone)})
    reports = check(config.data, anchors=anchor_shapes(config.model), resized=resized, fix=fix)
    for report in reports:
        _print(lines_of(report))
    if fix:
        print(f"cleaned annotations: {fix}; use them with --data {fix / 'data.yaml'}")
    return reports


def lines_of(report: DataReport | UnusableSplit) -> list[str]:
    """What a split holds in a few lines, then a line for each problem."""
    from detres.data.detection.unusable_splits import UnusableSplit

    if isinstance(report, UnusableSplit):
        return [line_of_unusable(report)]
    (low, narrow), (high, broad) = report.image_sizes
    shortest, median, longest = report.box_sides
    lines = [
        f"{report.split}: {report.name}, {number_of(report.images, 'image')} of {narrow}x{low} to {broad}x{high} "
        f"pixels, {report.empty_images} of them without boxes",
        f"  {number_of(report.boxes, 'box')}, {report.ignored} to be ignored, {report.truncated} truncated, "
        f"{report.most_boxes} at most in an image: {_counted(report.boxes_per_class)}",
    ]
    if report.boxes:
        lines.append(
            f"  sizes: {_counted(report.boxes_by_size)}; sides from {shortest:.0f} to {longest:.0f} pixels, half of "
            f"them below {median:.0f}"
        )
    if report.fit is not None:
        lines += lines_of_fit(report.fit)
    lines += [f"  {remark}" for remark in report.remarks]
    return lines + _problem_lines(report.problems)


def lines_of_fit(fit: AnchorFit) -> list[str]:
    """How well anchors fit in a line, and another where it hurts."""
    from detres.data.detection.anchor_fit import HALF

    sides = fit.resize.shortest_sides
    drawn = f"{sides[0]}" if len(sides) == 1 else f"{min(sides)} to {max(sides)}"
    poor = f" (most of {', '.join(fit.poor)})" if fit.poor else ""
    lines = [
        f"  best anchor of each box, in images with a shorter side of {drawn} (the longer up to "
        f"{fit.resize.longest_side}): median IoU {fit.median:.2f}, below {HALF} in {fit.below_half:.1%}, below "
        f"{fit.negative_iou:g} in {fit.below_negative:.1%}{poor}"
    ]
    if fit.hurts:
        never = f", and {fit.untouched:.1%} touch no anchor and are never learned" if fit.untouched else ""
        lines.append(
            f"  anchors fit badly: {fit.below_negative:.1%} of the boxes look like background to every anchor. "
            "Each is still learned from the one anchor that overlaps it most (Ren et al. 2015), moved far, while all "
            f"others on it learn background{never}; change model.anchors.sizes or model.anchors.ratios, or "
            f"{_sizing_key(fit)} where boxes are small"
        )
    return lines


def _sizing_key(fit: AnchorFit) -> str:
    """The key that makes most pictures larger."""
    if fit.held_down <= 0.5:
        return "data.shortest_side"
    return f"data.longest_side={fit.resize.longest_side}, which keeps {fit.held_down:.0%} of the images smaller,"


def line_of_unusable(report: UnusableSplit) -> str:
    return f"{report.split}: cannot be used: {report.reason}"


def lines_of_classified(report: ClassificationReport | UnusableSplit) -> list[str]:
    """What a split holds in three lines or fewer, then a line for each problem."""
    from detres.data.detection.unusable_splits import UnusableSplit

    if isinstance(report, UnusableSplit):
        return [line_of_unusable(report)]
    (low, narrow), (high, broad) = report.image_sizes
    counts = report.images_per_class
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    lines = [
        f"{report.split}: {report.name}, {number_of(report.images, 'image')} of {narrow}x{low} to {broad}x{high} "
        f"pixels in {number_of(len(counts), 'class')}",
        f"  images of a class: {counts[fewest]} ({fewest}) to {counts[most]} ({most})"
        if len(counts) > _CLASSES_SHOWN
        else f"  images of a class: {_counted(counts)}",
    ]
    if report.unlabelled:
        lines.append(f"  {number_of(report.unlabelled, 'image')} without a label")
    return lines + _problem_lines(report.problems)


def _problem_lines(problems: Sequence[Problem]) -> list[str]:
    if not problems:
        return ["  no problems"]
    kinds = Counter(problem.kind for problem in problems)
    return [f"  {number_of(len(problems), 'problem')}: {_counted(kinds)}", *(f"    {problem}" for problem in problems)]


def _print(lines: Sequence[str]) -> None:
    for text in lines:
        print("\n".join(map(spelled_out, text.split("\n"))))


def _counted(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
