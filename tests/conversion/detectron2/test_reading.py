"""With weights in the layout of detectron2's model zoo, our detections are those of its inference.

detectron2 is no dependency: its inference is written down here once more, from its published settings and the names in
its files, with functions of torch and torchvision alone. N images, S the state dict.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms, roi_align

from detres.config.yaml_dialect import read_yaml_1_1
from detres.conversion.converted import ConvertedDetector, Stated, build_converted
from detres.conversion.detectron2.configs import Detectron2Config
from detres.conversion.detectron2.reading import understand
from detres.conversion.detectron2.said import Beside
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.structures import DetectionBatch

ZooState = Callable[..., dict[str, Tensor]]
LAYOUTS = ("c4", "dc5", "fpn")


# detectron2's inference


@dataclass(frozen=True)
class Reference:
    """state: theirs, of any floating type. counts: proposals before NMS, a level, and after it.

    smallest: of the anchors, which double. sampling: RoIAlign's samples and whether it is aligned. floors: of scores,
    of NMS among proposals and among detections.
    """

    state: dict[str, Tensor]
    layout: str
    counts: tuple[int, int]
    stride_in: str = "1x1"
    mean: tuple[float, ...] = (103.53, 116.28, 123.675)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    reverses: bool = True
    smallest: int = 32
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    sampling: tuple[int, bool] = (0, True)
    floors: tuple[float, float, float] = (0.05, 0.7, 0.5)
    weights: tuple[float, ...] = (10, 10, 5, 5)

    def __call__(self, images: Sequence[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """uint8 RGB (H, W, 3) -> boxes, scores and labels of each."""
        maps, strides = self.features(self.batch(images))
        found = []
        for i, image in enumerate(images):
            size = image.shape[:2]
            proposals = self.proposals([level[i : i + 1] for level in maps], strides, size)
            found.append(self.detect([level[i : i + 1] for level in maps], strides, proposals, size))
        return found

    def batch(self, images: Sequence[Tensor]) -> Tensor:
        dtype = next(iter(self.state.values())).dtype
        mean, std = (torch.tensor(v, dtype=dtype)[:, None, None] for v in (self.mean, self.std))
        unit = 32 if self.layout == "fpn" else 1
        height, width = (math.ceil(max(image.shape[k] for image in images) / unit) * unit for k in (0, 1))
        padded = torch.zeros(len(images), 3, height, width, dtype=dtype)
        for i, image in enumerate(images):
            pixels = image.permute(2, 0, 1).to(dtype)
            pixels = pixels.flip(0) if self.reverses else pixels
            padded[i, :, : image.shape[0], : image.shape[1]] = (pixels - mean) / std
        return padded

    def conv(self, x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        state = self.state
        weight = state[f"{name}.weight"]
        padding = dilation * (weight.shape[-1] // 2)
        x = F.conv2d(x, weight, state.get(f"{name}.bias"), stride, padding, dilation)
        if f"{name}.norm.weight" not in state:
            return x
        norm = [state[f"{name}.norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *norm, eps=1e-5)

    def stage(self, x: Tensor, name: str, stride: int, dilation: int = 1) -> Tensor:
        block = 0
        while f"{name}.{block}.conv1.weight" in self.state:
            place = f"{name}.{block}"
            step = stride if block == 0 else 1
            # Of basic blocks, the first of two strides.
            early, late = (
                (step, 1) if self.stride_in == "1x1" or f"{place}.conv3.weight" not in self.state else (1, step)
            )
            out = self.conv(self.conv(x, f"{place}.conv1", early).relu(), f"{place}.conv2", late, dilation)
            if f"{place}.conv3.weight" in self.state:
                out = self.conv(out.relu(), f"{place}.conv3")
            short = self.conv(x, f"{place}.shortcut", step) if f"{place}.shortcut.weight" in self.state else x
            x, block = (out + short).relu(), block + 1
        return x

    def features(self, x: Tensor) -> tuple[list[Tensor], list[int]]:
        trunk = "backbone.bottom_up." if self.layout == "fpn" else "backbone."
        x = F.max_pool2d(self.conv(x, f"{trunk}stem.conv1", 2).relu(), 3, 2, 1)
        outs = []
        for number in range(2, 5 if self.layout == "c4" else 6):
            dilated = self.layout == "dc5" and number == 5
            x = self.stage(x, f"{trunk}res{number}", 1 if number == 2 or dilated else 2, 2 if dilated else 1)
            outs.append(x)
        if self.layout != "fpn":
            return [x], [16]
        top = self.conv(outs[3], "backbone.fpn_lateral5")
        maps = [self.conv(top, "backbone.fpn_output5")]
        for number in (4, 3, 2):
            top = F.interpolate(top, scale_factor=2) + self.conv(outs[number - 2], f"backbone.fpn_lateral{number}")
            maps.insert(0, self.conv(top, f"backbone.fpn_output{number}"))
        return [*maps, F.max_pool2d(maps[-1], 1, 2)], [4, 8, 16, 32, 64]

    def proposals(self, maps: Sequence[Tensor], strides: Sequence[int], size: Sequence[int]) -> Tensor:
        doubled = [self.smallest * 2**k for k in range(5)]
        sizes = [[size] for size in doubled] if self.layout == "fpn" else [doubled]
        kept_boxes, kept_scores = [], []
        for level, stride, level_sizes in zip(maps, strides, sizes, strict=True):
            hidden, conv = level, "proposal_generator.rpn_head.conv"
            for name in (conv,) if f"{conv}.weight" in self.state else (f"{conv}.conv0", f"{conv}.conv1"):
                hidden = self.conv(hidden, name).relu()
            logits = self.conv(hidden, "proposal_generator.rpn_head.objectness_logits")[0].permute(1, 2, 0).flatten()
            deltas = self.conv(hidden, "proposal_generator.rpn_head.anchor_deltas")[0].permute(1, 2, 0).reshape(-1, 4)
            shapes = [(s / math.sqrt(r), s * math.sqrt(r)) for s in level_sizes for r in self.ratios]
            anchors = torch.tensor(
                [
                    (x * stride - w / 2, y * stride - h / 2, x * stride + w / 2, y * stride + h / 2)
                    for y in range(level.shape[2])
                    for x in range(level.shape[3])
                    for w, h in shapes
                ],
                dtype=level.dtype,
            )
            scores, order = logits.sort(descending=True)
            order = order[: self.counts[0]]
            boxes = clipped(decoded(anchors[order], deltas[order], (1, 1, 1, 1)), size)
            solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
            boxes, scores = boxes[solid], scores[: len(order)][solid]
            keep = nms(boxes, scores, self.floors[1])
            kept_boxes.append(boxes[keep])
            kept_scores.append(scores[keep])
        best = torch.cat(kept_scores).argsort(descending=True)[: self.counts[1]]
        return torch.cat(kept_boxes)[best]

    def detect(
        self, maps: Sequence[Tensor], strides: Sequence[int], rois: Tensor, size: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self.layout == "c4":
            pooled = roi_align(maps[0], [rois], 14, 1 / 16, sampling_ratio=0, aligned=True)
            features = self.stage(pooled, "roi_heads.res5", 2).mean(dim=(2, 3))
        else:
            features = self.pooled(maps, strides, rois)
            for conv in ("roi_heads.box_head.conv1", "roi_heads.box_head.conv2"):
                features = self.conv(features, conv).relu() if f"{conv}.weight" in self.state else features
            features = features.flatten(1)
            for fc in ("roi_heads.box_head.fc1", "roi_heads.box_head.fc2"):
                features = F.linear(features, self.state[f"{fc}.weight"], self.state[f"{fc}.bias"]).relu()
        logits, deltas = (
            F.linear(features, self.state[f"{name}.weight"], self.state[f"{name}.bias"])
            for name in ("roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred")
        )
        scores = logits.softmax(dim=1)
        rows = []
        for label in range(scores.shape[1] - 1):
            part = deltas[:, 4 * label : 4 * label + 4] if deltas.shape[1] > 4 else deltas
            boxes = clipped(decoded(rois, part, self.weights), size)
            above = scores[:, label] > self.floors[0]
            boxes, of_class = boxes[above], scores[above, label]
            keep = nms(boxes, of_class, self.floors[2])
            rows += [(of_class[k], boxes[k], label) for k in keep.tolist()]
        rows.sort(key=lambda row: -float(row[0]))
        rows = rows[:100]
        return torch.stack([r[1] for r in rows]), torch.stack([r[0] for r in rows]), torch.tensor([r[2] for r in rows])

    def pooled(self, maps: Sequence[Tensor], strides: Sequence[int], rois: Tensor) -> Tensor:
        if self.layout == "dc5":
            return roi_align(maps[0], [rois], 7, 1 / 16, sampling_ratio=0, aligned=True)
        sides = ((rois[:, 2] - rois[:, 0]) * (rois[:, 3] - rois[:, 1])).sqrt()
        levels = (4 + torch.log2(sides / 224)).floor().clamp(2, 5)
        pooled = [
            roi_align(maps[level - 2], [roi[None]], 7, 1 / strides[level - 2], *self.sampling)
            for roi, level in zip(rois, levels.long().tolist(), strict=True)
        ]
        return torch.cat(pooled)


def decoded(boxes: Tensor, deltas: Tensor, weights: Sequence[float]) -> Tensor:
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    dx, dy, dw, dh = (deltas[:, k] / weights[k] for k in range(4))
    x, y = boxes[:, 0] + width / 2 + dx * width, boxes[:, 1] + height / 2 + dy * height
    limit = math.log(1000 / 16)
    width, height = width * dw.clamp(max=limit).exp(), height * dh.clamp(max=limit).exp()
    return torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dim=1)


def clipped(boxes: Tensor, size: Sequence[int]) -> Tensor:
    limits = torch.tensor([size[1], size[0], size[1], size[0]], dtype=boxes.dtype)
    return torch.minimum(boxes.clamp(min=0), limits)


# What is compared


def image(height: int, width: int, seed: int) -> Tensor:
    """Smooth noise, uint8 RGB."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="bilinear")[0]
    noise = torch.rand(3, height, width, generator=generator)
    return ((0.7 * smooth + 0.3 * noise) * 255).to(torch.uint8).permute(1, 2, 0).contiguous()


def batched(images: Sequence[Tensor], pad_to: int) -> DetectionBatch:
    sizes = torch.tensor([picture.shape[:2] for picture in images])
    height, width = (-(-int(side) // pad_to) * pad_to for side in sizes.amax(dim=0))
    padded = torch.zeros(len(images), height, width, 3, dtype=torch.uint8)
    for i, picture in enumerate(images):
        padded[i, : picture.shape[0], : picture.shape[1]] = picture
    return DetectionBatch(padded, sizes, sizes, tuple(range(len(images))), (), torch.arange(len(images)))


def ours_of(converted: ConvertedDetector, dtype: torch.dtype, counts: tuple[int, int]) -> FasterRCNN:
    model = build_converted(converted, "state").to(dtype).eval()
    model.rpn.pre_nms[False], model.rpn.post_nms[False] = counts
    return model


def unmatched(ours: FasterRCNN, reference: Reference, images: Sequence[Tensor]) -> tuple[int, int]:
    """Detections of either side without one of the other within 0.05 pixels and 1e-4 of score; and all of ours."""
    missed = total = 0
    with torch.no_grad():
        expected = reference(images)
    for found, (boxes, scores, labels) in zip(ours.predict(batched(images, ours.pad_to)), expected, strict=True):
        near = (found.boxes[:, None] - boxes[None].float()).abs().amax(dim=2) <= 0.05
        alike = (found.scores[:, None] - scores[None].float()).abs() <= 1e-4
        partner = near & alike & (found.labels[:, None] == labels[None])
        missed += int((~partner.any(dim=1)).sum() + (~partner.any(dim=0)).sum())
        total += len(found)
    return missed, total


SHAPES = {"c4": [(64, 98), (58, 96)], "dc5": [(64, 98), (58, 96)], "fpn": [(128, 192), (160, 130)]}
COUNTS = {"c4": (300, 6), "dc5": (300, 40), "fpn": (200, 120)}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_detection_agrees_in_float64(zoo_state: ZooState, layout: str) -> None:
    """Two images of different sizes, so that one is padded."""
    state = zoo_state(layout)
    images = [image(*shape, seed=i) for i, shape in enumerate(SHAPES[layout])]
    ours = ours_of(understand(state, Stated(), "made up"), torch.float64, COUNTS[layout])
    theirs = Reference({name: t.double() for name, t in state.items()}, layout, COUNTS[layout])
    missed, total = unmatched(ours, theirs, images)
    assert total >= 20
    assert missed == 0


@pytest.mark.slow
def test_detections_agree_in_float32_with_deeper_heads_and_one_box_for_all_classes(zoo_state: ZooState) -> None:
    state = for_deviations(zoo_state("fpn", "resnet18", seed=1, deep=True))
    for part in ("weight", "bias"):
        name = f"roi_heads.box_predictor.bbox_pred.{part}"
        state[name] = state[name][:4].clone()
    ours = ours_of(understand(state, Stated(), "made up"), torch.float32, (1000, 1000))
    assert ours.roi.class_agnostic
    assert (len(ours.rpn.convs), len(ours.roi.head.convs)) == (2, 2)
    theirs = Reference(state, "fpn", (1000, 1000), "3x3", *torchvisions_pixels())
    missed, total = unmatched(ours, theirs, [image(240, 320, seed=5)])
    assert total >= 50
    assert missed <= total / 50


@pytest.mark.slow
def test_weights_of_torchvisions_kind_stride_in_the_3x3_and_want_deviations(zoo_state: ZooState) -> None:
    """Which the user says, or the file, where it holds its pixel deviations."""
    state = for_deviations(zoo_state("fpn", seed=2))
    mean, std, _ = torchvisions_pixels()
    held = {name: torch.tensor(v).view(3, 1, 1) for name, v in (("pixel_mean", mean), ("pixel_std", std))}
    converted = understand(state | held, Stated(), "made up")
    assert converted.backbone == understand(state, Stated(stride_in="3x3"), "made up").backbone
    ours = ours_of(converted, torch.float32, (100, 50))
    theirs = Reference(state, "fpn", (100, 50), "3x3", mean, std, False)
    missed, total = unmatched(ours, theirs, [image(96, 128, seed=2)])
    assert total >= 20
    assert missed == 0


def for_deviations(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights for pixels in -2..2 instead of -130..130."""
    first = "backbone.bottom_up.stem.conv1.weight"
    return state | {first: 57 * state[first]}


def torchvisions_pixels() -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """Mean, deviation, and whether channels are reversed from RGB."""
    return (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), False


@pytest.mark.slow
def test_with_its_config_a_file_of_other_anchors_and_thresholds_agrees_and_without_does_not(
    zoo_state: ZooState,
) -> None:
    """Which no state dict says, and no shape gives away."""
    state = for_deviations(zoo_state("fpn", "resnet18", seed=3))
    config = Detectron2Config("config.yaml", read_yaml_1_1(OWN_CONFIG, "config.yaml"))
    detector = understand(state, Stated(), "made up", Beside(config))
    theirs = Reference(
        *(state, "fpn", (150, 90), "3x3", (110.0, 120.0, 130.0), (50.0, 60.0, 70.0), True, 16, (0.4, 1.0, 2.5)),
        *((2, False), (0.1, 0.6, 0.4), (8, 8, 4, 4)),
    )
    images = [image(128, 192, seed=7)]
    missed, total = unmatched(build_converted(detector, "made up").eval(), theirs, images)
    assert total >= 20
    assert missed == 0
    missed, total = unmatched(build_converted(understand(state, Stated(), "made up"), "made up").eval(), theirs, images)
    assert missed >= total / 2


OWN_CONFIG = """
MODEL:
  ANCHOR_GENERATOR: {SIZES: [[16], [32], [64], [128], [256]], ASPECT_RATIOS: [[0.4, 1.0, 2.5]]}
  PIXEL_MEAN: [110, 120, 130]
  PIXEL_STD: [50, 60, 70]
  RPN: {PRE_NMS_TOPK_TEST: 150, POST_NMS_TOPK_TEST: 90, NMS_THRESH: 0.6}
  ROI_HEADS: {SCORE_THRESH_TEST: 0.1, NMS_THRESH_TEST: 0.4}
  ROI_BOX_HEAD: {POOLER_TYPE: ROIAlign, POOLER_SAMPLING_RATIO: 2, BBOX_REG_WEIGHTS: [8, 8, 4, 4]}
INPUT: {FORMAT: BGR}
"""
