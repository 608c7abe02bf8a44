"""The Fast R-CNN part: every proposal is pooled, classified and moved.

Whatever asks for the classes and boxes of regions (plain, refined, multi-scale and ensemble tests, exports, training)
asks one method, `RoIHeads.read`; `look` makes boxes of what it says.
N images, L levels, R RoIs of all images together, K classes (background is K), D detections of an image.
What `predict_tensors` runs counts rows by shape[0]: in an export a count is a symbol, and len() wants a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate, zip_longest
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from detres.boxes import CodecWeights, box_area, decode_boxes
from detres.detection.model.box_heads import RegionHead
from detres.detection.model.context import with_context
from detres.detection.model.head_uses import HeadUse, check_uses
from detres.detection.model.losses import BoxLoss, Normalizer, normalizer
from detres.detection.model.matching import NEITHER, Sample, flat_index, match_all, sample_all
from detres.detection.model.padded_targets import PaddedTargets
from detres.detection.model.region_sources import BatchPyramid, RegionSource
from detres.detection.model.roi_align import precision_of, roi_align, takes_rows
from detres.detection.model.roi_terms import number_of_terms
from detres.detection.model.suppression import candidates, suppress
from detres.detection.model.suppression_at_once import suppress_classes, waits
from detres.structures import DetectionTarget


class RoIPooler(nn.Module):
    """Reads a square of features for each RoI from the level its size assigns.

    strides: of the levels, finest first. canonical_size, canonical_level: an RoI of that size reads from that level,
    one twice as large from the next; the finest level here is numbered log2 of its stride.
    Source: Lin et al. 2017, equation 1.
    """

    def __init__(
        self,
        strides: Sequence[int],
        pool: int,
        *,
        sampling_ratio: int = 0,
        aligned: bool = True,
        method: Literal["auto", "rows", "torchvision"] = "auto",
        canonical_size: float = 224.0,
        canonical_level: int = 4,
        level_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.strides, self.pool = tuple(strides), pool
        self.sampling_ratio, self.aligned, self.method = sampling_ratio, aligned, method
        self.canonical_size, self.canonical_level, self.level_eps = canonical_size, canonical_level, level_eps
        self.finest = self.strides[0].bit_length() - 1

    def levels(self, rois: Tensor) -> Tensor:
        """(R, 4) -> (R,) int64, 0 for the finest level."""
        scale = torch.log2(box_area(rois).sqrt() / self.canonical_size)
        # A region without a number for a corner reads somewhere: no level would be no row.
        level = torch.floor(self.canonical_level + scale + self.level_eps).nan_to_num(nan=self.finest)
        return level.clamp(self.finest, self.finest + len(self.strides) - 1).long() - self.finest

    def forward(self, pyramid: Sequence[Tensor], rois: Tensor, image_index: Tensor) -> Tensor:
        """pyramid: L or more tensors (N, C, H, W). rois: (R, 4) pixels. image_index: (R,) int64.

        Returns (R, C, pool, pool).
        """
        if len(self.strides) == 1:
            return self._align(pyramid[0], rois, image_index, self.strides[0])
        shares = self._shares_of_levels(rois.detach().to(precision_of(pyramid[0])), self.levels(rois))
        # Levels without RoIs are pooled too: every parameter is touched in every step, on every rank.
        parts = [
            self._align(features, rois[index], image_index[index], stride, total)
            for features, (index, total), stride in zip(pyramid, shares, self.strides, strict=False)
        ]
        pooled = parts[0].new_empty(rois.shape[0], *parts[0].shape[1:])
        # Each is written to its place: to concatenate and then gather them would move every value once more.
        for (index, _), part in zip(shares, parts, strict=True):
            pooled[index] = part
        return pooled

    def _shares_of_levels(self, rois: Tensor, levels: Tensor) -> list[tuple[Tensor, int | None]]:
        """Which RoIs each level has, of (R,) levels, and how many terms these are, where that has to be asked.

        rois: (R, 4) as they are pooled. The device is waited for once, whatever L is.
        """
        of_level = [levels == level for level in range(len(self.strides))]
        if not waits(levels.device):
            return [(here.nonzero().squeeze(1), None) for here in of_level]
        asked = [here.sum() for here in of_level]
        if takes_rows(self.method, rois.device):
            for here, stride in zip(of_level, self.strides, strict=True):
                terms = number_of_terms(rois, self.pool, 1.0 / stride, self.sampling_ratio, self.aligned)
                asked.append(torch.where(here, terms, 0).sum())
        counts = torch.stack(asked).tolist()
        counts, totals = counts[: len(of_level)], counts[len(of_level) :]
        return list(zip_longest(levels.argsort(stable=True).split(counts), totals))

    def _align(
        self, features: Tensor, rois: Tensor, image_index: Tensor, stride: int, total: int | None = None
    ) -> Tensor:
        return roi_align(
            features,
            rois,
            image_index,
            pool=self.pool,
            scale=1.0 / stride,
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
            method=self.method,
            total=total,
        )


class RoIHeads(nn.Module):
    """Pools, runs the head, and predicts K + 1 class logits and boxes for every RoI.

    Source: Girshick 2015, section 2; sampling as Ren et al. 2015. head declares out_channels. global_context: the
    features of the whole image join those of each of its RoIs (context.py).
    A subclass that says something else of regions overrides `read`, or `look` where boxes are not made of one set of
    deltas; what it learns by, `learn`. What it cannot take part in it states in `unfit_for`.
    """

    unfit_for: ClassVar[Mapping[HeadUse, str]] = {}
    """Uses of a detector that this head takes no part in, each with the reason, which the refusal gives."""

    def __init__(
        self,
        pooler: RoIPooler,
        head: RegionHead,
        num_classes: int,
        *,
        global_context: bool = False,
        positive_iou: float = 0.5,
        negative_iou_low: float = 0.0,
        batch_per_image: int = 512,
        positive_fraction: float = 0.25,
        codec_weights: CodecWeights = (10.0, 10.0, 5.0, 5.0),
        class_agnostic: bool = False,
        box_loss: BoxLoss | None = None,
        normalizer: Normalizer = "constant",
        min_size: float = 0.0,
        score: float = 0.05,
        nms: float = 0.5,
        max_detections: int = 100,
    ) -> None:
        super().__init__()
        check_uses(self, ["global context"] if global_context else [])
        self.pooler, self.head, self.num_classes = pooler, head, num_classes
        self.global_context = global_context
        channels = head.out_channels * (2 if global_context else 1)
        self.class_logits = nn.Linear(channels, num_classes + 1)
        self.deltas = nn.Linear(channels, 4 if class_agnostic else 4 * num_classes)
        nn.init.normal_(self.class_logits.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        nn.init.zeros_(self.class_logits.bias)
        nn.init.zeros_(self.deltas.bias)
        self.positive_iou, self.negative_iou_low = positive_iou, negative_iou_low
        self.batch_per_image, self.positive_fraction = batch_per_image, positive_fraction
        self.codec_weights, self.class_agnostic = codec_weights, class_agnostic
        self.box_loss, self.normalizer = box_loss or BoxLoss(), normalizer
        self.min_size, self.score, self.nms, self.max_detections = min_size, score, nms, max_detections

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "forward" in vars(cls):
            raise TypeError(f"{cls.__name__}: override read; forward is a short way to it, which tests do not take")

    def forward(self, pyramid: Sequence[Tensor], proposals: Sequence[Tensor], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """`read`, of a batch's pyramid. proposals: N tensors (P, 4). sizes: (N, 2), unpadded height and width."""
        return self.read(BatchPyramid(pyramid, sizes), proposals)

    def read(self, source: RegionSource, regions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Classes and boxes of regions: everything that is ever said of one comes from here.

        regions: N tensors (P, 4) in the source's pixels.
        Returns logits (R, K + 1) and deltas (R, 1 or K, 4), float32 or wider; the deltas are of the regions in the
        pixels that the model sees.
        """
        features_of = partial(source.features, self.features)
        if not self.global_context:
            return self.classify(features_of(regions))
        return self.classify(with_context(features_of, regions, source.sizes))

    def look(self, source: RegionSource, regions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What every test asks: the box of each region for each class, (R, K, 4), and its score, (R, K).

        Boxes are in the source's pixels, as regions are, and not clipped.
        """
        boxes, scores = self.decode(*self.read(source, regions), source.to_model_pixels(torch.cat(list(regions))))
        return source.from_model_pixels(boxes), scores

    def features(self, pyramid: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        """What the head makes of each region: N tensors (P, 4) -> (R, head.out_channels)."""
        image_index = torch.cat([torch.full_like(r[:, 0], i, dtype=torch.int64) for i, r in enumerate(regions)])
        return self.head(self.pooler(pyramid, torch.cat(list(regions)), image_index))

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The two sibling layers; features have the channels of the head, twice with global context."""
        logits, deltas = self.class_logits(features), self.deltas(features)
        if logits.dtype != torch.float64:
            logits, deltas = logits.float(), deltas.float()
        return logits, deltas.unflatten(1, (-1, 4))

    def learn(
        self,
        source: RegionSource,
        proposals: Sequence[Tensor],
        targets: Sequence[DetectionTarget],
        sample_keys: Tensor,
    ) -> dict[str, Tensor]:
        """`losses` of samples drawn from the proposals."""
        rois, samples = self.sample(proposals, targets, sample_keys)
        logits, deltas = self.read(source, rois)
        return self.losses(logits, deltas, rois, targets, samples)

    def sample(
        self, proposals: Sequence[Tensor], targets: Sequence[DetectionTarget], sample_keys: Tensor
    ) -> tuple[list[Tensor], list[Sample]]:
        """The proposals each image learns from, ground truth added to them.

        Returns N tensors (S, 4), and N Samples whose matched belongs to them row by row.
        """
        if not len(proposals) == len(targets) == len(sample_keys):
            raise ValueError(f"{len(proposals)} proposals, {len(targets)} targets and {len(sample_keys)} keys")
        truth = PaddedTargets.of(targets)
        boxes = pad_sequence(list(proposals), batch_first=True, padding_value=-1.0)
        # Without its own boxes an untrained RPN would give the head nothing positive to learn from.
        candidates = torch.cat([truth.boxes.to(boxes.dtype), boxes], dim=1)
        real = torch.cat([truth.learned, boxes[..., 2] >= 0], dim=1)
        matched = match_all(
            candidates,
            truth,
            positive_iou=self.positive_iou,
            negative_iou=self.positive_iou,
            negative_iou_low=self.negative_iou_low,
            keep_best=False,
        )
        samples = sample_all(
            torch.where(real, matched, NEITHER),
            ~sample_keys,  # The complements: the RPN has drawn from the keys themselves.
            count=self.batch_per_image,
            positive_fraction=self.positive_fraction,
            # As if nothing were padded, lest a draw depend on the batch's other images.
            places=real.cumsum(dim=1) - 1,
        )
        rois = candidates.flatten(0, 1)[flat_index([s.index for s in samples], candidates.shape[1])]
        return list(rois.split([len(s.index) for s in samples])), samples

    def losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        rois: Sequence[Tensor],
        targets: Sequence[DetectionTarget],
        samples: Sequence[Sample],
    ) -> dict[str, Tensor]:
        """loss_roi_class (cross-entropy) and loss_roi_box over the samples, which may be injected.

        logits: (R, K + 1). deltas: (R, 1 or K, 4). rois: N tensors (S, 4), R their sum; samples: row by row theirs.
        """
        labels = _labels_of(samples, targets, self.num_classes)
        goals = [t.boxes[s.of_positives(s.matched)] for s, t in zip(samples, targets, strict=True)]
        references = torch.cat([s.of_positives(r) for s, r in zip(samples, rois, strict=True)]).to(deltas.dtype)
        box = self.box_loss(
            self._of_their_class(deltas, labels, samples),
            references,
            torch.cat(goals).to(deltas.dtype),
            self.codec_weights,
        )
        divisor = normalizer(
            self.normalizer,
            samples=torch.full((), len(labels), device=logits.device),
            batch_per_image=self.batch_per_image,
            images=len(samples),
        )
        classes = F.cross_entropy(logits, labels, reduction="sum")
        return {"loss_roi_class": classes / divisor, "loss_roi_box": box / divisor}

    def _of_their_class(self, deltas: Tensor, labels: Tensor, samples: Sequence[Sample]) -> Tensor:
        """Of the positive samples' deltas (R, 1 or K, 4), those of each one's class: (P, 4)."""
        places = torch.arange(len(labels), device=labels.device).split([len(s.index) for s in samples])
        rows = torch.cat([s.of_positives(of_image) for s, of_image in zip(samples, places, strict=True)])
        return deltas[rows, 0 if self.class_agnostic else labels[rows]]

    def detections(self, source: RegionSource, proposals: Sequence[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Boxes (D, 4) within the image, scores (D,) and labels (D,) of each image, best first, by one look."""
        counts = [p.shape[0] for p in proposals]
        boxes, scores = self.look(source, proposals)
        if waits(boxes.device):
            found = suppress_classes(
                boxes[:, :1] if self.class_agnostic else boxes,
                scores,
                counts,
                source.sizes,
                floor=self.score,
                min_size=self.min_size,
                iou=self.nms,
                most=self.max_detections,
            )
            if found is not None:
                return found
        return [
            self._suppress(of_boxes, of_scores, size)
            for of_boxes, of_scores, size in zip(boxes.split(counts), scores.split(counts), source.sizes, strict=True)
        ]

    def decode(self, logits: Tensor, deltas: Tensor, rois: Tensor) -> tuple[Tensor, Tensor]:
        """The box of each RoI for each class, (R, K, 4) and not clipped, and its score, (R, K)."""
        boxes = decode_boxes(deltas, rois[:, None].to(deltas.dtype), self.codec_weights)
        return boxes.expand(-1, self.num_classes, -1), F.softmax(logits, dim=-1)[:, :-1]

    def _suppress(self, boxes: Tensor, scores: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (P, K, 4), scores (P, K) -> the best after the score floor and NMS within each class."""
        boxes, scores, labels = candidates(boxes, scores, size, floor=self.score, min_size=self.min_size)
        keep = suppress(boxes, scores, labels, self.nms)[: self.max_detections]
        return boxes[keep], scores[keep], labels[keep]


def _labels_of(samples: Sequence[Sample], targets: Sequence[DetectionTarget], background: int) -> Tensor:
    """(R,) int64: the label of the matched box, or background."""
    starts = accumulate((len(target) for target in targets), initial=0)
    matched = [sample.matched + start for sample, _, start in zip(samples, targets, starts, strict=False)]
    labels = torch.cat([target.labels for target in targets])
    if len(labels) == 0:
        return torch.full_like(torch.cat(matched), background)
    positive = torch.cat([sample.matched for sample in samples]) >= 0
    return torch.where(positive, labels[torch.cat(matched).clamp(min=0)], background)
