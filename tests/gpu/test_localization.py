"""Localizers on a device: steps of both stages, and the best boxes of an image's classes."""

from __future__ import annotations

import copy

import pytest
import torch

from detres.benchmarks.scenes import smooth_picture
from detres.config.loading import load_config
from detres.config.localization_schema import LocalizationConfig
from detres.data.classification.views import ImageViews, ViewBatch, collate_views
from detres.localization.localizers import ClassRpnLocalizer, Localizer, RcnnLocalizer
from detres.localization.testing import Finder
from detres.structures import DetectionTarget, LocalizationBatch
from detres.tasks.localization.models import finder_of, localizer_of_config
from tests.gpu.conftest import WaitsAtMost
from tests.gpu.steps import repeated, same_losses_within

pytestmark = pytest.mark.gpu

NAMES = ("cat", "dog", "owl")
SIDE = 64
OF_STAGE = {"rpn": ("model.stage=rpn",), "rcnn": ("model.stage=rcnn", "test.proposals=8")}


def config_of(stage: str) -> LocalizationConfig:
    config = load_config("shapes_loc_r18", [f"data.crop={SIDE}", f"test.scales=[{SIDE}]", *OF_STAGE[stage]])
    assert isinstance(config, LocalizationConfig)
    return config


def localizer(stage: str) -> Localizer:
    return localizer_of_config(config_of(stage), NAMES)


def target(label: int, *boxes: list[float]) -> DetectionTarget:
    count = len(boxes)
    rows = torch.tensor(boxes).reshape(-1, 4)
    return DetectionTarget(rows, torch.full((count,), label), torch.zeros(count, dtype=torch.bool))


def batch(times: int) -> LocalizationBatch:
    """Four crops so many times; one has no object, one has two."""
    targets = (
        target(0, [8.0, 8, 40, 50]),
        target(1),
        target(2, [0.0, 0, 30, 30], [34.0, 34, 64, 64]),
        target(0, [20.0, 5, 60, 45]),
    ) * times
    pictures = torch.stack([torch.from_numpy(smooth_picture(SIDE, SIDE, place)) for place in range(4 * times)])
    ids, labels = tuple(range(4 * times)), torch.tensor([0, 1, 2, 0] * times)
    return LocalizationBatch(pictures, labels, targets, ids, torch.arange(4 * times))


def one_box_a_crop(times: int) -> LocalizationBatch:
    """What an R-CNN learns from."""
    given = batch(times)
    first = tuple(each.select(torch.arange(min(len(each), 1))) for each in given.targets)
    return LocalizationBatch(given.images, given.labels, first, given.image_ids, given.sample_keys)


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_step_of_the_class_rpn_waits_as_often_whatever_the_batch(
    times: int, device: torch.device, waits_at_most: WaitsAtMost
) -> None:
    same_losses_within(waits_at_most(1), localizer("rpn"), batch(times), device)


@pytest.mark.slow
def test_a_step_of_the_rcnn_waits_for_nothing(device: torch.device, waits_at_most: WaitsAtMost) -> None:
    same_losses_within(waits_at_most(0), localizer("rcnn"), one_box_a_crop(2), device)


def views_of(finder: Finder, images: int) -> ViewBatch:
    pictures = [smooth_picture(SIDE + 8 * (place % 2), SIDE + 16, place) for place in range(images)]
    return collate_views(
        [
            ImageViews(place, tuple(plan.views(rgb) for plan in finder.plans), (rgb.shape[0], rgb.shape[1]))
            for place, rgb in enumerate(pictures)
        ]
    )


def finder_on(device: torch.device, rpn: ClassRpnLocalizer, rcnn: RcnnLocalizer | None = None) -> Finder:
    config = config_of("rpn" if rcnn is None else "rcnn")
    there = [copy.deepcopy(model).to(device).eval() for model in (rpn, rcnn) if model is not None]
    return finder_of(there[-1], config, device, there[0] if rcnn is not None else None)  # type: ignore[type-var]


@pytest.mark.slow
@pytest.mark.parametrize("images", [2, 6])
def test_the_best_boxes_are_those_of_a_cpu(images: int, device: torch.device, waits_at_most: WaitsAtMost) -> None:
    model = localizer("rpn")
    assert isinstance(model, ClassRpnLocalizer)
    with torch.no_grad():
        model.rpn.logits.weight.mul_(20)  # Scores that lie apart.
    here, there = finder_on(torch.device("cpu"), model), finder_on(device, model)
    views, classes = views_of(here, images), torch.tensor([[0, 2]] * images)
    expected = here.best_boxes(views, classes, torch.device("cpu"))
    torch.testing.assert_close(there.best_boxes(views, classes, device), expected, rtol=1e-3, atol=1e-2)
    repeated(lambda: there.best_boxes(views, classes, device), waits_at_most(2))  # Crops of two sizes.


@pytest.mark.slow
def test_proposals_are_judged_as_on_a_cpu(device: torch.device) -> None:
    rpn, rcnn = localizer("rpn"), localizer("rcnn")
    assert isinstance(rpn, ClassRpnLocalizer)
    assert isinstance(rcnn, RcnnLocalizer)
    with torch.no_grad():
        rpn.rpn.logits.weight.mul_(20)
        rcnn.logits.weight.mul_(20)
    here, there = finder_on(torch.device("cpu"), rpn, rcnn), finder_on(device, rpn, rcnn)
    views, classes = views_of(here, 2), torch.tensor([[1], [2]])
    expected = here.best_boxes(views, classes, torch.device("cpu"))
    torch.testing.assert_close(there.best_boxes(views, classes, device), expected, rtol=1e-3, atol=1e-2)
