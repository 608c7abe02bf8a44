"""Box refinement: the boxes a detector found are looked at again.

P regions, K classes, R rounds behind the first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detres.boxes import clip_boxes
from detres.detection.testing.regions import RegionReader


def read_repeatedly(reader: RegionReader, rounds: int) -> tuple[Tensor, Tensor]:
    """What is said of an image's proposals, of the boxes regressed from them, and of those regressed from these.

    rounds: how often the boxes of the last round become regions themselves; 0 is the usual single look.
    Returns boxes ((1 + rounds)·P, K, 4), not clipped, and scores ((1 + rounds)·P, K), round by round.
    Source: He et al. 2015, appendix B ("Box refinement"); Gidaris & Komodakis 2015, section 5.
    """
    regions = reader.proposals()
    boxes, scores = reader.read(regions)
    all_boxes, all_scores = [boxes], [scores]
    for _ in range(rounds):
        regions = next_regions(boxes, scores, reader.size)
        boxes, scores = reader.read(regions)
        all_boxes.append(boxes)
        all_scores.append(scores)
    return torch.cat(all_boxes), torch.cat(all_scores)


def next_regions(boxes: Tensor, scores: Tensor, size: Tensor) -> Tensor:
    """Each region's box for its best class (not background): (P, K, 4), (P, K) -> (P, 4), clipped to the image."""
    best = scores.argmax(dim=1)
    return clip_boxes(boxes[torch.arange(len(best), device=best.device), best], size)
