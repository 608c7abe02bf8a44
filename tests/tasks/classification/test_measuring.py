from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detres.classification.classifier import Classifier, build_classifier
from detres.classification.testing import member_of
from detres.config.classification_schema import (
    ClassificationConfig,
    ClassificationDataConfig,
    ClassificationTestConfig,
    ClassificationTrainingConfig,
)
from detres.data.problems import Problem
from detres.errors import DataError, WeightsError
from detres.reporter import Reporter
from detres.tasks.classification.measuring import class_rows, measure_classifier

CPU = torch.device("cpu")
CONFIG = ClassificationConfig(
    data=ClassificationDataConfig(cropping="pad", crop=32, workers=0),
    test=ClassificationTestConfig(batch=4),
    training=ClassificationTrainingConfig(batch=4),
)


@dataclass(frozen=True)
class Images:
    """Ten random images, two of which may be unreadable; labels as the net says, but for the last three."""

    labels: NDArray[np.int64]
    broken: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ("a", "b", "c")
    name: str = "noise/test"
    pixels: NDArray[np.uint8] | None = None
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def image_id(self, i: int) -> str:
        return f"{i:03d}"

    def digest(self) -> str:
        return str(self.labels.tolist())

    def read(self, i: int) -> NDArray[np.uint8]:
        if i in self.broken:
            raise DataError(f"{i:03d}: broken")
        return np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def net() -> Classifier:
    torch.manual_seed(0)
    model = build_classifier("cifar10_resnet20", num_classes=3).eval()
    model.fc.weight.data.mul_(8)
    return model


def told_apart(model: Classifier) -> NDArray[np.int64]:
    images = Images(np.zeros(10, np.int64))
    pixels = torch.from_numpy(np.stack([images.read(i) for i in range(10)]))
    with torch.no_grad():
        return model.predict(pixels).argmax(1).numpy()


def test_errors_are_counted_over_what_can_be_read(net: Classifier) -> None:
    labels = told_apart(net)
    labels[7:] = (labels[7:] + 1) % 3
    seen: list[int] = []
    metrics = measure_classifier(
        net, CONFIG, Images(labels), CPU, leave_out=True, reporter=Reporter(progress=seen.append)
    )
    assert metrics["top1_error"] == pytest.approx(0.3)
    assert metrics["top5_error"] == 0.0
    assert (metrics["images"], metrics["set"], metrics["unreadable_images"]) == (10, "noise/test", [])
    assert seen[-1] == 10
    fewer = measure_classifier(net, CONFIG, Images(labels, broken=(0, 9)), CPU, leave_out=True)
    assert (fewer["images"], fewer["top1_error"]) == (8, 0.25)
    assert fewer["unreadable_images"] == ["000", "009"]
    assert fewer["annotations"] == metrics["annotations"] == Images(labels).digest()


def test_ranks_share_the_images(net: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = told_apart(net)
    whole = measure_classifier(net, CONFIG, Images(labels, broken=(4,)), CPU, leave_out=True)
    module, states = "detres.tasks.classification.measuring", []
    monkeypatch.setattr("detres.tasks.runs.sharing.world_size", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr("detres.tasks.runs.sharing.rank", lambda rank=rank: rank)
        monkeypatch.setattr(f"{module}.gather_to_main", lambda state: states.append(state))
        assert measure_classifier(net, CONFIG, Images(labels, broken=(4,)), CPU, leave_out=True) is None
    assert [len(state["places"]) for state in states] == [4, 3, 3]
    monkeypatch.setattr(f"{module}.gather_to_main", lambda state: states)
    assert measure_classifier(net, CONFIG, Images(labels, broken=(4,)), CPU, leave_out=True) == whole


def test_an_ensemble_may_know_the_classes_in_another_order(net: Classifier) -> None:
    labels = told_apart(net)
    turned = Images((labels + 1) % 3, class_names=("c", "a", "b"))
    member = member_of(net, CONFIG.data, CONFIG.test, class_rows(("a", "b", "c"), turned.class_names, "m", "noise"))
    assert measure_classifier([member, member], CONFIG, turned, CPU, leave_out=True)["top1_error"] == 0.0


def test_other_classes_are_one_message() -> None:
    assert class_rows(("a", "b"), ("a", "b"), "m", "noise") is None
    assert class_rows(("a", "b"), ("b", "a"), "m", "noise").tolist() == [1, 0]
    with pytest.raises(WeightsError, match=r"m: a classifier of 2 classes, and noise has 3: it lacks c. Select common"):
        class_rows(("a", "b"), ("a", "b", "c"), "m", "noise")
    with pytest.raises(WeightsError, match=r"it lacks c; the set lacks b"):
        class_rows(("a", "b"), ("a", "c"), "m", "noise")


def test_an_empty_set_has_no_error(net: Classifier) -> None:
    metrics = measure_classifier(net, CONFIG, Images(np.zeros(0, np.int64)), CPU, leave_out=True)
    assert (metrics["images"], metrics["top1_error"]) == (0, None)
