"""What a table of the paper is made of: nets in rows, figures in columns, and where each figure comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Error:
    """The error of the weights a run ended with, in per cent; of several runs, that of their averaged softmaxes.

    split: train, or what the recipe tests on. crops, scales, flip: of the config's test section; none: as the recipe
    tests.
    """

    metric: Literal["top1_error", "top5_error"] = "top1_error"
    split: Literal["train", "test"] = "test"
    crops: Literal[1, 10, "dense"] | None = None
    scales: tuple[int, ...] = ()
    flip: bool = False


@dataclass(frozen=True)
class Cost:
    """Counted on the net itself, in millions of parameters or 10⁹ multiply-adds: nothing is run for it."""

    what: Literal["parameters", "multiply_adds"]


@dataclass(frozen=True)
class Response:
    """The mean standard deviation of a trained net's layer responses, over test images."""


@dataclass(frozen=True)
class DetectionMetric:
    """A key of a detector's metrics.json, in per cent; of several runs, their ensemble's.

    AP50, AP: COCO's. mAP50: VOC's, by area; mAP50_07: at 11 points.
    """

    metric: Literal["AP50", "AP", "mAP50", "mAP50_07"]


@dataclass(frozen=True)
class TestSeconds:
    """What the whole test took, by its images: reading them, the nets, and the scoring."""

    __test__ = False  # pytest collects classes by this prefix


@dataclass(frozen=True)
class LocalizationError:
    """A key of a localizer's metrics.json, in per cent."""

    metric: Literal["true_class_error", "top5_error"]


Source = Error | Cost | Response | DetectionMetric | TestSeconds | LocalizationError


@dataclass(frozen=True)
class Column:
    """A figure that every row has. places: decimals that are printed."""

    title: str
    source: Source
    places: int = 2


@dataclass(frozen=True)
class Published:
    """A figure of the paper. text: as it is printed where a number alone does not say it."""

    value: float
    text: str = ""


@dataclass(frozen=True)
class Row:
    """configs: what is trained, by the stems of their files; several are tested together, as one, and one that stands
    twice is trained twice. paper: figures by their column's title. group: which picture's panel shows it.
    tested: how detectors are tested, by overrides of their config's test section. begins_with: the config whose run of
    seed 0 gives the weights that training begins with, after those that this one begins with, apart by spaces; None:
    the row's own config says it. absent: why there are no configs, and nothing is run.
    """

    name: str
    configs: tuple[str, ...]
    paper: Mapping[str, Published]
    group: str = ""
    tested: tuple[str, ...] = ()
    begins_with: str | None = None
    absent: str | None = None


@dataclass(frozen=True)
class Table:
    """One table or figure. picture: what is drawn of it. contrasts: pairs of rows; how far the second is from the first
    in the first column is said below the table. notes: what else a reader must know.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    picture: Literal["comparison", "curves", "responses", "costs"] = "comparison"
    contrasts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_counted(self) -> bool:
        """Whether it takes no training."""
        return all(isinstance(column.source, Cost) for column in self.columns)


def row(
    name: str,
    configs: str,
    group: str = "",
    *,
    tested: tuple[str, ...] = (),
    begins_with: str | None = None,
    absent: str | None = None,
    **paper: float | Published,
) -> Row:
    """A row from words: configs apart by spaces, figures by the short names that `SHORT` explains."""
    figures = {SHORT[key]: Published(value) if isinstance(value, float) else value for key, value in paper.items()}
    return Row(name, tuple(configs.split()), figures, group, tested, begins_with, absent)


# Titles of columns by what a line of tables.py calls them.
SHORT = {
    "top1": "top-1 error, %",
    "top5": "top-5 error, %",
    "test": "test error, %",
    "train": "training error, %",
    "costs": "multiply-adds, 10⁹",
    "size": "parameters, 10⁶",
    "std": "mean std of responses",
    "ap50": "mAP@.5, %",
    "ap": "mAP@[.5:.95], %",
    "voc07": "mAP@.5 at 11 points, %",
    "voc12": "mAP@.5 by area, %",
    "seconds": "test, seconds an image",
    "true_class": "error on the true class, %",
    "loc_top5": "top-5 localization error, %",
}
