from __future__ import annotations

import torch

from detres.detection.model.padded_targets import PaddedTargets, images_at_once
from detres.structures import DetectionTarget


def target_of(count: int, ignore: list[bool] | None = None) -> DetectionTarget:
    boxes = torch.arange(count * 4.0).view(count, 4)
    flags = torch.tensor(ignore or [False] * count, dtype=torch.bool)
    return DetectionTarget(boxes, torch.zeros(count, dtype=torch.int64), flags)


def test_images_are_padded_to_the_one_that_has_most_boxes() -> None:
    padded = PaddedTargets.of([target_of(1), target_of(2, [True, False]), DetectionTarget.empty()])
    assert padded.boxes.tolist() == [
        [[0, 1, 2, 3], [0, 0, 0, 0]],
        [[0, 1, 2, 3], [4, 5, 6, 7]],
        [[0, 0, 0, 0], [0, 0, 0, 0]],
    ]
    assert padded.ignored.tolist() == [[False, True], [True, False], [True, True]]
    assert padded.learned.tolist() == [[True, False], [False, True], [False, False]]
    assert not padded.none_ignored


def test_without_any_box_there_is_a_row_that_nothing_is_learned_from() -> None:
    padded = PaddedTargets.of([DetectionTarget.empty(), DetectionTarget.empty()])
    assert padded.boxes.shape == (2, 1, 4)
    assert not padded.learned.any()
    assert padded.none_ignored


def test_so_many_images_are_matched_at_once_as_overlaps_are_bounded() -> None:
    counts = (2, 1, 0, 300, 5, 5)
    # 2^18 overlaps at once on the CPU: of 1000 candidates with 262 boxes, padding included.
    slices = list(images_at_once([target_of(count) for count in counts], 1000))
    assert slices == [slice(0, 3), slice(3, 4), slice(4, 6)]
    assert list(images_at_once([target_of(1)], 10**9)) == [slice(0, 1)]
    assert list(images_at_once([target_of(1), target_of(1)], 0)) == [slice(0, 2)]
    assert list(images_at_once([], 10)) == []
