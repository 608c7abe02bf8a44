"""How localizers are tested: the best box of each class that is asked for, on each image.

The RPN is slid over the views of an image, its centre crop or the whole of it at one or several scales, and its boxes
are brought into pixels of the file, where those of all scales compete. With an R-CNN the best of them are proposals:
each is cut from the image and warped to a square, and gets a new score and a new box. Source: He et al. 2015, C.
N images of a batch, S classes asked for of an image, V views of one size, P proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detres.boxes import box_area, clip_boxes
from detres.data.classification.crops import cut
from detres.data.classification.views import ViewBatch, ViewPlan, Views
from detres.data.localization.loaders import whole_pixels
from detres.detection.model.suppression import suppress
from detres.errors import WeightsError
from detres.localization.localizers import ClassRpnLocalizer, RcnnLocalizer
from detres.structures import move_together

# Of one view and class, boxes that go on to NMS.
_PRE_NMS = 1000
_AS_IT_IS = ViewPlan("whole", 1)


class Proposals(NamedTuple):
    """Boxes of one class on one image, best first. boxes: (P, 4) xyxy pixels of the file, P >= 1. scores: (P,)."""

    boxes: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Finder:
    """The networks and how they are shown an image; they are on the device and in eval mode.

    plan: of the RPN's views. count, nms: how many proposals the R-CNN gets, at most, and by how much they may overlap.
    side: of the squares they are warped to. pixels_at_once: of one call of a network, which bounds the memory.
    """

    rpn: ClassRpnLocalizer
    plan: ViewPlan
    rcnn: RcnnLocalizer | None = None
    count: int = 200
    nms: float = 0.7
    side: int = 224
    pixels_at_once: int = 16 * 256 * 256

    @property
    def plans(self) -> tuple[ViewPlan, ...]:
        """The views that must be loaded: the RPN's, and for the R-CNN the image itself."""
        return (self.plan,) if self.rcnn is None else (self.plan, _AS_IT_IS)

    @torch.inference_mode()
    def best_boxes(self, batch: ViewBatch, classes: Tensor, device: torch.device) -> Tensor:
        """The best box of each class on each image, (N, S, 4) on the host. classes: (N, S) int64."""
        proposed = self.propose(batch, classes, device, count=1 if self.rcnn is None else self.count)
        if (rcnn := self.rcnn) is None:
            best = [each.boxes[0] for of_image in proposed for each in of_image]
        else:
            pictures = _pictures(batch)
            best = [
                self._judged(rcnn, rgb, each, label, device)
                for rgb, of_image, labels in zip(pictures, proposed, classes.tolist(), strict=True)
                for each, label in zip(of_image, labels, strict=True)
            ]
        return torch.stack(best).view(*classes.shape, 4)

    @torch.inference_mode()
    def propose(self, batch: ViewBatch, classes: Tensor, device: torch.device, *, count: int) -> list[list[Proposals]]:
        """Up to `count` boxes of each class on each image, best first: N lists of S.

        Raises WeightsError where a score is not finite.
        """
        kept = 1 if count == 1 else _PRE_NMS
        found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in batch.image_ids]  # (S, P, 4), (S, P) of each view
        for views in _pieces(batch.views[0], self.pixels_at_once):
            (asked,) = move_together([classes[views.owners]], device, non_blocking=True)
            candidates = self.rpn.candidates(views.pixels.to(device, non_blocking=True), asked)
            scores, best = candidates.scores.topk(min(kept, candidates.scores.shape[2]), dim=2)
            boxes = candidates.boxes.gather(2, best[..., None].expand(-1, -1, -1, 4))
            fetched = torch.cat([boxes, scores[..., None]], dim=3).cpu()  # Once: each time the host waits.
            for owner, of_view, own_scores in zip(
                views.owners.tolist(), fetched[..., :4], fetched[..., 4], strict=True
            ):
                if not own_scores.isfinite().all():
                    bad = batch.image_ids[owner]
                    raise WeightsError(f"the model's scores of image {bad} are not finite; its weights have diverged")
                size = batch.sizes[owner]
                in_file = clip_boxes(_to_file(of_view, self.plan, views.pixels.shape[1:3], size), size)
                found[owner].append((in_file, own_scores))
        return [self._best(parts, size, count) for parts, size in zip(found, batch.sizes, strict=True)]

    def _best(self, parts: Sequence[tuple[Tensor, Tensor]], size: tuple[int, int], count: int) -> list[Proposals]:
        """Of the boxes (S, P, 4) and scores (S, P) of an image's views, the best of each class."""
        boxes, scores = (torch.cat(kind, dim=1) for kind in zip(*parts, strict=True))
        if count == 1:
            best = scores.argmax(dim=1, keepdim=True)
            return [Proposals(b[i], s[i]) for b, s, i in zip(boxes, scores, best, strict=True)]
        return [self._suppressed(b, s, size, count) for b, s in zip(boxes, scores, strict=True)]

    def _suppressed(self, boxes: Tensor, scores: Tensor, size: tuple[int, int], count: int) -> Proposals:
        whole = box_area(boxes) > 0
        if not whole.any():  # Nothing of any of them lies on the image, which then stands for itself.
            return Proposals(boxes.new_tensor([[0.0, 0.0, size[1], size[0]]]), scores.max()[None])
        boxes, scores = boxes[whole], scores[whole]
        kept = suppress(boxes, scores, torch.zeros(len(boxes), dtype=torch.int64), self.nms)[:count]
        return Proposals(boxes[kept], scores[kept])

    def _judged(
        self, rcnn: RcnnLocalizer, rgb: NDArray[np.uint8], proposals: Proposals, label: int, device: torch.device
    ) -> Tensor:
        """The box of the proposal that the R-CNN gives the best score, (4,), moved as it says."""
        size = (rgb.shape[0], rgb.shape[1])
        cuts = [whole_pixels(box, size) for box in proposals.boxes.tolist()]
        scores, boxes = [], []
        step = max(self.pixels_at_once // self.side**2, 1)
        for start in range(0, len(cuts), step):
            squares = np.stack([cut(rgb, each, self.side) for each in cuts[start : start + step]])
            labels = torch.full((len(squares),), label, device=device)
            judged = rcnn.judge(torch.from_numpy(squares).to(device), labels)
            scores.append(judged[0].cpu())
            boxes.append(judged[1].cpu())
        best = int(torch.cat(scores).argmax())
        top, left, height, width = cuts[best]
        share = torch.cat(boxes)[best]
        moved = share * share.new_tensor([width, height, width, height]) + share.new_tensor([left, top, left, top])
        return clip_boxes(moved, size)


def _to_file(boxes: Tensor, plan: ViewPlan, view: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) in pixels of a view of (height, width) as pixels of the file of (height, width)."""
    (height, width), (top, left) = ((view[0], view[1]), (0, 0)) if plan.crops == "whole" else plan.origin(size)
    scale = boxes.new_tensor([size[1] / width, size[0] / height] * 2)
    return (boxes + boxes.new_tensor([left, top, left, top])) * scale


def _pieces(groups: Sequence[Views], pixels_at_once: int) -> list[Views]:
    """The views, cut so that no piece but a single view has more pixels."""
    pieces = []
    for group in groups:
        size = max(pixels_at_once // (group.pixels.shape[1] * group.pixels.shape[2]), 1)
        parts = zip(group.pixels.split(size), group.owners.split(size), strict=True)
        pieces += [Views(pixels, owners) for pixels, owners in parts]
    return pieces


def _pictures(batch: ViewBatch) -> list[NDArray[np.uint8]]:
    """The images themselves, in the order of the batch."""
    found = {
        owner: picture.numpy()
        for group in batch.views[1]
        for owner, picture in zip(group.owners.tolist(), group.pixels, strict=True)
    }
    return [found[place] for place in range(len(batch))]
