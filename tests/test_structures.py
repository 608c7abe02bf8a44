from dataclasses import dataclass

import torch
from torch import Tensor

from detres.structures import Detections, DetectionTarget


def test_operations_act_on_every_field_even_of_a_subclass() -> None:
    @dataclass(frozen=True)
    class WithMasks(DetectionTarget):
        masks: Tensor

    target = WithMasks(
        torch.arange(12.0).view(3, 4), torch.tensor([0, 1, 2]), torch.tensor([False, True, False]), torch.ones(3, 2, 2)
    )
    kept = target.select(~target.ignore)
    assert kept.labels.tolist() == [0, 2]
    assert kept.masks.shape == (2, 2, 2)
    both = WithMasks.concatenate([kept, target])
    assert len(both) == 5
    assert both.masks.shape == (5, 2, 2)
    assert both.to("cpu").labels.tolist() == [0, 2, 0, 1, 2]


def test_an_empty_target_has_no_rows() -> None:
    assert len(DetectionTarget.empty()) == 0
    assert DetectionTarget.concatenate([DetectionTarget.empty(), DetectionTarget.empty()]).boxes.shape == (0, 4)


def test_detections_above_a_score_keep_the_image_size() -> None:
    detections = Detections(torch.zeros(3, 4), torch.tensor([0.9, 0.5, 0.1]), torch.tensor([0, 1, 0]), (10, 20))
    best = detections.above(0.5)
    assert len(best) == 2
    assert best.image_size == (10, 20)
    assert best.to_dict() == {"boxes": [[0.0] * 4] * 2, "scores": best.scores.tolist(), "labels": [0, 1]}
