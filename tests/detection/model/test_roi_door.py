"""Whatever a RoI head says of regions, every test, export and training takes from it, or refuses it by name.

The head here says the next class for each and moves no box. So all it is asked for is known: it is what the head it was
made from says with deltas of zero, its labels moved on by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detres.backbones import build_backbone
from detres.config.detection_schema import DataConfig, ModelConfig, TestConfig
from detres.data.detection.image_copies import copies_of
from detres.data.detection.loaders import DetectionSample, collate
from detres.data.images.sizes import resized_size
from detres.detection.export import export_detector
from detres.detection.model.building import assemble
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.region_sources import RegionSource
from detres.detection.model.roi_heads import RoIHeads
from detres.detection.testing.plan import DetectionTest, Member
from detres.errors import ConfigError
from detres.structures import Detections, DetectionTarget

CLASSES = 3
FEEDING = DataConfig(shortest_side=(64,), longest_side=100)
TESTS: Mapping[str, dict[str, Any]] = {
    "one size": {"scales": [64]},
    "refinement": {"refine": 2},
    "voting": {"vote": "score"},
    "maxout": {"scales": [24, 40, 64, 112]},
    "merging": {"scales": [48, 64], "flip": True},
    "all": {"scales": [48, 96], "refine": 1},
}


class NextClassHeads(RoIHeads):
    def read(self, source: RegionSource, regions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        logits, deltas = super().read(source, regions)
        moved_on = torch.cat([logits[:, -2:-1], logits[:, :-2], logits[:, -1:]], dim=1)
        return moved_on, torch.zeros_like(deltas)


class UnfitHeads(RoIHeads):
    unfit_for = dict.fromkeys(
        ("training", "global context", "export", "ensemble", "refinement", "voting", "maxout", "merging"),
        "it draws masks",
    )


def detector(kind: type[RoIHeads] = RoIHeads, seed: int = 0, context: bool = False) -> FasterRCNN:
    torch.manual_seed(seed)
    config = ModelConfig.model_validate(
        {
            "class_names": ["a", "b", "c"],
            "fpn": {"channels": 16},
            "rpn": {"pre_nms_test": 30, "post_nms_test": 12},
            "roi": {"pool": 4, "sampling_ratio": 2, "head_fc_channels": 32, "class_agnostic": True},
            "global_context": context,
        }
    )
    model = assemble(build_backbone("resnet18"), config, TestConfig(score=0.2)).eval()
    nn.init.normal_(model.roi.class_logits.weight, std=0.3)
    nn.init.normal_(model.rpn.deltas.weight, std=0.1)
    nn.init.normal_(model.roi.deltas.weight, std=0.1)
    if kind is not RoIHeads:
        model.roi = like(model.roi, kind)
    return model.double()


def like(roi: RoIHeads, kind: type[RoIHeads]) -> RoIHeads:
    """A head of another kind with the same layers."""
    made = kind(roi.pooler, roi.head, CLASSES, global_context=roi.global_context, class_agnostic=True, score=roi.score)
    made.load_state_dict(roi.state_dict())
    return made.eval()


def unmoving(model: FasterRCNN) -> FasterRCNN:
    nn.init.zeros_(model.roi.deltas.weight)
    return model


def sample() -> DetectionSample:
    rgb = np.random.default_rng(0).integers(0, 256, (72, 90, 3), dtype=np.uint8)
    boxes = torch.tensor([[5.0, 5, 40, 40], [20, 10, 60, 50], [1, 30, 70, 60]], dtype=torch.float64)
    target = DetectionTarget(boxes, torch.tensor([0, 2, 0]), torch.zeros(3, dtype=torch.bool))
    return DetectionSample(rgb, (72, 90), "picture", target, sample_key=3, size=resized_size((72, 90), 64, 100))


def next_class(labels: Tensor) -> Tensor:
    return (labels + 1) % CLASSES


def found_by(models: Sequence[FasterRCNN], test: Mapping[str, Any]) -> Detections:
    procedure = DetectionTest([Member(model, FEEDING) for model in models], TestConfig(score=0.2, **test))
    return procedure(copies_of(sample(), procedure.copies))


def same_of_the_next_class(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 2
    assert torch.equal(found.labels, next_class(expected.labels))
    torch.testing.assert_close(found.boxes, expected.boxes)
    torch.testing.assert_close(found.scores, expected.scores)


@pytest.mark.slow
@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("test", TESTS)
def test_every_test_of_several_looks_takes_classes_and_boxes_from_the_head(test: str, context: bool) -> None:
    expected = found_by([unmoving(detector(context=context))], TESTS[test])
    same_of_the_next_class(found_by([detector(NextClassHeads, context=context)], TESTS[test]), expected)


@pytest.mark.slow
def test_a_plain_test_takes_classes_and_boxes_from_the_head() -> None:
    batch = collate([sample()], 32)
    (found,), (expected,) = (m.predict(batch) for m in (detector(NextClassHeads), unmoving(detector())))
    same_of_the_next_class(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("test", ["one size", "all"])
def test_an_ensemble_takes_classes_and_boxes_from_every_members_head(test: str) -> None:
    expected = found_by([unmoving(detector(seed=seed)) for seed in (0, 1)], TESTS[test])
    same_of_the_next_class(found_by([detector(NextClassHeads, seed) for seed in (0, 1)], TESTS[test]), expected)


@pytest.mark.slow
@torch.no_grad()
def test_an_export_takes_classes_and_boxes_from_the_head() -> None:
    batch = collate([sample()], 32)
    size = (batch.images.shape[1], batch.images.shape[2])
    program = export_detector(detector(NextClassHeads).float(), size).module()
    boxes, scores, labels, counts = program(batch.images, batch.sizes)
    expected = unmoving(detector()).float().predict_tensors(batch.images, batch.sizes)
    count = int(counts)
    assert count == int(expected[3]) > 2
    torch.testing.assert_close(boxes, expected[0], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(scores, expected[1], rtol=1e-4, atol=1e-4)
    assert torch.equal(labels[0, :count], next_class(expected[2][0, :count]))


@pytest.mark.slow
def test_training_learns_by_what_the_head_says() -> None:
    batch = collate([sample()], 32)
    found = detector(NextClassHeads)(batch)
    (target,) = batch.targets
    earlier = DetectionTarget(target.boxes, (target.labels - 1) % CLASSES, target.ignore)
    expected = unmoving(detector())(replace(batch, targets=(earlier,)))
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name])
    assert not torch.allclose(found["loss_roi_class"], unmoving(detector())(batch)["loss_roi_class"])


@pytest.mark.slow
@pytest.mark.parametrize("use", [use for use in TESTS if use in UnfitHeads.unfit_for])
def test_a_test_names_the_head_that_takes_no_part_in_it(use: str) -> None:
    with pytest.raises(ConfigError, match=rf"{use} is asked for.*UnfitHeads.*because it draws masks; test\.\w+="):
        found_by([detector(UnfitHeads)], TESTS[use])


@pytest.mark.slow
def test_an_ensemble_an_export_and_a_training_name_the_head_as_well() -> None:
    unfit, plain = detector(UnfitHeads), detector()
    with pytest.raises(ConfigError, match=r"ensemble is asked for.*UnfitHeads.*because it draws masks"):
        found_by([plain, unfit], {})
    with pytest.raises(ConfigError, match=r"export is asked for.*UnfitHeads.*because it draws masks"):
        export_detector(unfit, (64, 96))
    with pytest.raises(ConfigError, match=r"training is asked for.*UnfitHeads.*because it draws masks"):
        unfit(collate([sample()], 32))
    with pytest.raises(ConfigError, match=r"global context is asked for.*UnfitHeads.*global_context=false"):
        like(detector(context=True).roi, UnfitHeads)


@pytest.mark.slow
def test_a_head_that_can_do_less_is_tested_plainly_all_the_same() -> None:
    batch = collate([sample()], 32)
    (found,), (expected,) = (m.predict(batch) for m in (detector(UnfitHeads), detector()))
    assert torch.equal(found.boxes, expected.boxes)
    assert len(found_by([detector(UnfitHeads)], {"scales": [64]})) > 0


def test_a_head_that_would_change_training_alone_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="ForwardHeads: override read"):
        type("ForwardHeads", (RoIHeads,), {"forward": lambda self, *arguments: None})
