"""What mmdetection's Faster R-CNN computes, written from its published layout and rules, for its own state dicts.

Nothing of detres is used: names are theirs, and 1.x's boxes end with their last pixel, as they do there. Weights are
random, with scores that spread out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor
from torchvision.ops import roi_align

State = Mapping[str, Tensor]
STRIDES = (4, 8, 16, 32, 64)
PYTORCH_STATS = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CAFFE_STATS = ((103.53, 116.28, 123.675), (1.0, 1.0, 1.0))
OLD_CAFFE_STATS = ((102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Rules:
    """How a checkpoint is used. old: by the rules of 1.x. pre_nms, post_nms: proposals a level and an image."""

    style: str = "pytorch"
    old: bool = False
    pre_nms: int = 1000
    post_nms: int = 1000
    agnostic: bool = False
    norm_eps: float = 1e-5


def random_state(
    depth: int, *, classes: int, channels: int = 64, width: int = 96, seed: int = 0, rules: Rules | None = None
) -> dict[str, Tensor]:
    """A state dict in the published layout; in 1.x's the background is first and has a box."""
    rules = rules or Rules()
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, std: float) -> Tensor:
        return torch.empty(*shape).normal_(0, std, generator=generator)

    with torch.device("meta"):  # for its names and shapes
        trunk = torchvision.models.get_model(f"resnet{depth}", weights=None).state_dict()
    state: dict[str, Tensor] = {}
    for name, shape in ((name, tensor.shape) for name, tensor in trunk.items() if not name.startswith("fc.")):
        kind, tensor = name.rpartition(".")[2], torch.zeros(shape)
        if len(shape) == 4:
            tensor.normal_(0, (2 / (shape[0] * shape[2] * shape[3])) ** 0.5, generator=generator)
        elif kind == "running_var":
            tensor.uniform_(0.7, 1.3, generator=generator)
        elif kind == "weight":
            # Residuals of random blocks would add up without bound.
            tensor.fill_(0.5 if name.endswith(("bn2.weight", "bn3.weight")) else 1.0)
        elif kind != "num_batches_tracked":
            tensor.normal_(0, 0.1, generator=generator)
        state[f"backbone.{name}"] = tensor
    if rules.style == "caffe":  # its pixels are not divided by their deviation
        state["backbone.conv1.weight"] /= 57
    inputs = [state[f"backbone.layer{stage}.0.downsample.0.weight"].shape[0] for stage in (2, 3, 4)]
    inputs.insert(0, inputs[0] // 2)
    for level, given in enumerate(inputs):
        state[f"neck.lateral_convs.{level}.conv.weight"] = normal(channels, given, 1, 1, std=given**-0.5)
        state[f"neck.lateral_convs.{level}.conv.bias"] = normal(channels, std=0.1)
        state[f"neck.fpn_convs.{level}.conv.weight"] = normal(channels, channels, 3, 3, std=(9 * channels) ** -0.5)
        state[f"neck.fpn_convs.{level}.conv.bias"] = normal(channels, std=0.1)
    state["rpn_head.rpn_conv.weight"] = normal(channels, channels, 3, 3, std=(4 * channels) ** -0.5)
    state["rpn_head.rpn_conv.bias"] = normal(channels, std=0.1)
    for name, rows, std in (("rpn_cls", 3, 1.0), ("rpn_reg", 12, 0.1)):
        state[f"rpn_head.{name}.weight"] = normal(rows, channels, 1, 1, std=std * channels**-0.5)
        state[f"rpn_head.{name}.bias"] = normal(rows, std=0.1)
    head = "bbox_head" if rules.old else "roi_head.bbox_head"
    boxes = 1 if rules.agnostic else classes + rules.old
    for name, rows, given, gain in (
        ("shared_fcs.0", width, 49 * channels, 1.4),
        ("shared_fcs.1", width, width, 1.4),
        ("fc_cls", classes + 1, width, 4.0),
        ("fc_reg", 4 * boxes, width, 1.0),
    ):
        state[f"{head}.{name}.weight"] = normal(rows, given, std=gain * given**-0.5)
        state[f"{head}.{name}.bias"] = normal(rows, std=0.1)
    return state


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth noise, uint8 (H, W, 3): white noise alone would look the same everywhere to a random network."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="bilinear")[0]
    noise = torch.rand(3, height, width, generator=generator)
    return ((0.7 * smooth + 0.3 * noise) * 255).to(torch.uint8).permute(1, 2, 0).contiguous()


def detect(state: State, rgb: Tensor, rules: Rules) -> dict[str, Tensor]:
    """Boxes, scores and labels (from 0, without background) found in a resized image (H, W, 3), uint8, in its pixels.

    Boxes come back by their edges, of 1.x too.
    """
    dtype = state["backbone.conv1.weight"].dtype
    height, width = rgb.shape[:2]
    image = rgb.permute(2, 0, 1).to(dtype)
    if rules.style == "caffe":
        image = image.flip(0)
        mean, std = OLD_CAFFE_STATS if rules.old else CAFFE_STATS
    else:
        mean, std = PYTORCH_STATS
    image = (image - torch.tensor(mean, dtype=dtype)[:, None, None]) / torch.tensor(std, dtype=dtype)[:, None, None]
    image = F.pad(image, (0, -width % 32, 0, -height % 32))[None]
    pyramid = _pyramid(state, _trunk(state, image, rules))
    proposals = _proposals(state, pyramid, (height, width), rules)
    return _regions(state, pyramid, proposals, (height, width), rules)


def unmatched(boxes: Tensor, scores: Tensor, labels: Tensor, expected: Mapping[str, Tensor]) -> int:
    """Detections of either side without a partner of the same label within 0.05 pixels and 1e-4 of score."""
    near = (boxes[:, None] - expected["boxes"][None]).abs().amax(dim=2) <= 0.05
    alike = (scores[:, None] - expected["scores"][None]).abs() <= 1e-4
    partner = near & alike & (labels[:, None] == expected["labels"][None])
    return int((~partner.any(dim=1)).sum() + (~partner.any(dim=0)).sum())


def _conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, padding=weight.shape[-1] // 2)


def _norm(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    mean, var, weight, bias = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias, eps=eps)


def _trunk(state: State, x: Tensor, rules: Rules) -> list[Tensor]:
    """c2 to c5. Style caffe strides in the 1×1 of a bottleneck."""
    eps = rules.norm_eps
    x = _norm(state, "backbone.bn1", _conv(state, "backbone.conv1", x, 2), eps).relu()
    x, maps = F.max_pool2d(x, 3, 2, 1), []
    for stage in (1, 2, 3, 4):
        block = 0
        while f"backbone.layer{stage}.{block}.conv1.weight" in state:
            name, stride = f"backbone.layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            convs = 3 if f"{name}.conv3.weight" in state else 2
            striding = 2 if convs == 3 and rules.style == "pytorch" else 1
            out = x
            for n in range(1, convs + 1):
                out = _conv(state, f"{name}.conv{n}", out, stride if n == striding else 1)
                out = _norm(state, f"{name}.bn{n}", out, eps)
                out = out.relu() if n < convs else out
            if f"{name}.downsample.0.weight" in state:
                x = _norm(state, f"{name}.downsample.1", _conv(state, f"{name}.downsample.0", x, stride), eps)
            x, block = (out + x).relu(), block + 1
        maps.append(x)
    return maps


def _pyramid(state: State, maps: Sequence[Tensor]) -> list[Tensor]:
    laterals = [_conv(state, f"neck.lateral_convs.{level}.conv", x) for level, x in enumerate(maps)]
    for level in (2, 1, 0):
        size = laterals[level].shape[2:]
        laterals[level] = laterals[level] + F.interpolate(laterals[level + 1], size=size, mode="nearest")
    outs = [_conv(state, f"neck.fpn_convs.{level}.conv", x) for level, x in enumerate(laterals)]
    return [*outs, F.max_pool2d(outs[-1], 1, 2)]


def _anchors(stride: int, size: Sequence[int], rules: Rules, dtype: torch.dtype) -> Tensor:
    """Scale 8, height over width 1/2, 1, 2; those of 1.x are whole numbers around the middle of their cells."""
    root = torch.tensor([0.5, 1.0, 2.0]).sqrt()
    widths, heights = stride * 8 / root, stride * 8 * root
    if rules.old:
        middle = (stride - 1) / 2
        cell = torch.stack([s * (side - 1) / 2 + middle for s in (-1, 1) for side in (widths, heights)], 1).round()
    else:
        cell = torch.stack([s * side / 2 for s in (-1, 1) for side in (widths, heights)], 1)
    y, x = torch.meshgrid(torch.arange(size[0]) * stride, torch.arange(size[1]) * stride, indexing="ij")
    return (torch.stack([x, y, x, y], -1)[:, :, None] + cell).reshape(-1, 4).to(dtype)


def _decode(boxes: Tensor, deltas: Tensor, stds: Sequence[float], image: tuple[int, int], rules: Rules) -> Tensor:
    """boxes (M, 4), deltas (M, K, 4) -> (M, K, 4), cut at the image's last pixel (1.x) or edge."""
    extra = 1.0 if rules.old else 0.0
    deltas = deltas * torch.tensor(stds, dtype=deltas.dtype)
    bound = abs(torch.tensor(16 / 1000, dtype=deltas.dtype).log())
    x1, y1, x2, y2 = boxes[:, None].unbind(-1)
    width, height = x2 - x1 + extra, y2 - y1 + extra
    middle_x, middle_y = (x1 + x2) / 2 + width * deltas[..., 0], (y1 + y2) / 2 + height * deltas[..., 1]
    width, height = (side * deltas[..., 2 + i].clamp(-bound, bound).exp() for i, side in enumerate((width, height)))
    half = extra / 2  # a last pixel lies half a pixel within the edge
    corners = [middle_x - width / 2 + half, middle_y - height / 2 + half]
    corners += [middle_x + width / 2 - half, middle_y + height / 2 - half]
    limits = (image[1] - extra, image[0] - extra) * 2
    return torch.stack([c.clamp(0, limit) for c, limit in zip(corners, limits, strict=True)], -1)


def _nms(boxes: Tensor, scores: Tensor, threshold: float, rules: Rules) -> Tensor:
    """Greedy: which boxes no better one overlaps by more than the threshold; best first."""
    extra = 1.0 if rules.old else 0.0
    sides = boxes[:, 2:] - boxes[:, :2] + extra
    area = sides[:, 0] * sides[:, 1]
    lower = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    upper = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (upper - lower + extra).clamp(min=0).prod(-1)
    over = shared / (area[:, None] + area[None] - shared) > threshold
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        if not over[index, kept].any():
            kept.append(index)
    return torch.tensor(kept, dtype=torch.int64)


def _proposals(state: State, pyramid: Sequence[Tensor], image: tuple[int, int], rules: Rules) -> Tensor:
    """Suppressed within each level, the best of all levels."""
    found, scores = [], []
    for stride, x in zip(STRIDES, pyramid, strict=True):
        x = _conv(state, "rpn_head.rpn_conv", x).relu()
        logits = _conv(state, "rpn_head.rpn_cls", x).permute(0, 2, 3, 1).reshape(-1)
        deltas = _conv(state, "rpn_head.rpn_reg", x).permute(0, 2, 3, 1).reshape(-1, 4)
        best = logits.sigmoid().argsort(descending=True)[: rules.pre_nms]
        boxes = _anchors(stride, x.shape[2:], rules, x.dtype)[best]
        boxes = _decode(boxes, deltas[best][:, None], (1.0,) * 4, image, rules)[:, 0]
        if not rules.old:
            wide = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
            boxes, best = boxes[wide], best[wide]
        kept = _nms(boxes, logits[best], 0.7, rules)
        found.append(boxes[kept])
        scores.append(logits[best][kept].sigmoid())
    order = torch.cat(scores).argsort(descending=True)[: rules.post_nms]
    return torch.cat(found)[order]


def _regions(
    state: State, pyramid: Sequence[Tensor], rois: Tensor, image: tuple[int, int], rules: Rules
) -> dict[str, Tensor]:
    extra, head = (1.0, "bbox_head") if rules.old else (0.0, "roi_head.bbox_head")
    size = ((rois[:, 2] - rois[:, 0] + extra) * (rois[:, 3] - rois[:, 1] + extra)).sqrt()
    level = torch.floor(torch.log2(size / 56 + 1e-6)).clamp(0, 3)
    ends = rois + torch.tensor([0, 0, extra, extra], dtype=rois.dtype)
    samples, aligned = (2, False) if rules.old else (0, True)
    pooled = pyramid[0].new_zeros(len(rois), pyramid[0].shape[1], 7, 7)
    for k in range(4):
        here = (level == k).nonzero()[:, 0]
        boxes = torch.cat([ends.new_zeros(len(here), 1), ends[here]], 1)
        pooled[here] = roi_align(pyramid[k], boxes, 7, 1 / STRIDES[k], samples, aligned)
    x = pooled.flatten(1)
    for layer in ("shared_fcs.0", "shared_fcs.1"):
        x = F.linear(x, state[f"{head}.{layer}.weight"], state[f"{head}.{layer}.bias"]).relu()
    scores = F.linear(x, state[f"{head}.fc_cls.weight"], state[f"{head}.fc_cls.bias"]).softmax(1)
    deltas = F.linear(x, state[f"{head}.fc_reg.weight"], state[f"{head}.fc_reg.bias"]).unflatten(1, (-1, 4))
    boxes = _decode(rois, deltas, (0.1, 0.1, 0.2, 0.2), image, rules)
    classes = scores.shape[1] - 1
    boxes = boxes.expand(-1, classes + rules.old, -1) if boxes.shape[1] == 1 else boxes
    results = []
    for label in range(classes):
        column = label + 1 if rules.old else label  # 1.x begins with the background
        above = scores[:, column] > 0.05
        those, their_scores = boxes[above, column], scores[above, column]
        kept = _nms(those, their_scores, 0.5, rules)
        results.append((those[kept], their_scores[kept], torch.full((len(kept),), label)))
    found, their_scores, labels = (torch.cat(parts) for parts in zip(*results, strict=True))
    best = their_scores.argsort(descending=True)[:100]
    found = found[best] + torch.tensor([0, 0, extra, extra], dtype=found.dtype)
    return {"boxes": found, "scores": their_scores[best], "labels": labels[best]}
