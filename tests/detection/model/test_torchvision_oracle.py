"""With the same weights, torchvision's Faster R-CNN and ours give the same detections and the same losses."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection import fasterrcnn_resnet50_fpn, fasterrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import box_iou

from detres.backbones import build_backbone
from detres.config.detection_schema import TestConfig
from detres.conversion.torchvision import reading as torchvision_weights
from detres.data.images.sizes import resize_image, resized_size
from detres.detection.model.building import assemble
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.matching import Sample
from detres.errors import WeightsError
from detres.structures import DetectionBatch, Detections, DetectionTarget


def sharpen(model: nn.Module, seed: int, gain: float = 1.0) -> None:
    """Random weights whose scores spread out, so that many boxes pass the score floor and few are near ties.

    gain: smaller for deep nets, whose random features are large: scores that are all 1.0 in float32 have no order.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.7, 1.3, generator=generator)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.1, generator=generator)
        model.rpn.head.cls_logits.weight.normal_(0, 0.2 * gain, generator=generator)
        model.rpn.head.bbox_pred.weight.normal_(0, 0.02 * gain, generator=generator)
        model.roi_heads.box_predictor.cls_score.weight.normal_(0, 0.25 * gain, generator=generator)
        model.roi_heads.box_predictor.bbox_pred.weight.normal_(0, 0.05 * gain, generator=generator)


def ours_from(theirs: nn.Module, *, backbone: str, norm_eps: float) -> FasterRCNN:
    state = theirs.state_dict()
    settings = torchvision_weights.model_settings(state, None, norm_eps=norm_eps)
    trunk = build_backbone(backbone, stride_in="3x3", norm=settings.backbone.norm, norm_eps=norm_eps)
    model = assemble(trunk, settings, TestConfig())
    model.load_state_dict(torchvision_weights.convert_state_dict(state))
    return model.to(next(iter(state.values())).dtype)


def small_pair(seed: int, dtype: torch.dtype, classes: int = 21) -> tuple[nn.Module, FasterRCNN]:
    torch.manual_seed(seed)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
    theirs = TorchvisionFasterRCNN(backbone, classes, min_size=192, max_size=400)
    sharpen(theirs, seed)
    theirs.to(dtype)
    return theirs, ours_from(theirs, backbone="resnet18", norm_eps=1e-5)


def batch_of(images: Sequence[Tensor], targets: Sequence[DetectionTarget] = (), pad_to: int = 32) -> DetectionBatch:
    """images: uint8 (H, W, 3), already resized."""
    sizes = torch.tensor([image.shape[:2] for image in images])
    height, width = (-(-int(side) // pad_to) * pad_to for side in sizes.amax(dim=0))
    padded = torch.zeros(len(images), height, width, 3, dtype=torch.uint8)
    for i, image in enumerate(images):
        padded[i, : image.shape[0], : image.shape[1]] = image
    keys = torch.arange(len(images))
    return DetectionBatch(padded, sizes, sizes, tuple(range(len(images))), tuple(targets), keys)


def random_image(height: int, width: int, seed: int) -> Tensor:
    """Smooth noise: white noise alone would look the same everywhere to a random network."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]
    noise = torch.rand(3, height, width, generator=generator)
    return ((0.7 * smooth + 0.3 * noise) * 255).to(torch.uint8).permute(1, 2, 0).contiguous()


def theirs_take(images: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    return [image.permute(2, 0, 1).to(dtype) / 255 for image in images]


def count_unmatched(ours: Detections, theirs: dict[str, Tensor]) -> int:
    """Detections of either side without a partner of the same label within 0.05 pixels and 1e-4 of score."""
    their_labels = theirs["labels"] - 1
    near = (ours.boxes[:, None] - theirs["boxes"][None].float()).abs().amax(dim=2) <= 0.05
    alike = (ours.scores[:, None] - theirs["scores"][None].float()).abs() <= 1e-4
    partner = near & alike & (ours.labels[:, None] == their_labels[None])
    return int((~partner.any(dim=1)).sum() + (~partner.any(dim=0)).sum())


def compare(theirs: nn.Module, ours: FasterRCNN, images: Sequence[Tensor], dtype: torch.dtype) -> tuple[int, int]:
    """Unmatched detections, and all of them."""
    theirs.eval()
    ours.eval()
    with torch.no_grad():
        expected = theirs(theirs_take(images, dtype))
    found = ours.predict(batch_of(images))
    unmatched = sum(count_unmatched(a, b) for a, b in zip(found, expected, strict=True))
    return unmatched, sum(len(detections) for detections in found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shapes", [[(192, 256)], [(320, 192)], [(192, 256), (192, 224)]])
def test_every_detection_agrees_in_float64(seed: int, shapes: list[tuple[int, int]]) -> None:
    theirs, ours = small_pair(seed, torch.float64)
    images = [random_image(*shape, seed=seed + i) for i, shape in enumerate(shapes)]
    unmatched, total = compare(theirs, ours, images, torch.float64)
    assert total >= 50 * len(images)
    assert unmatched == 0


@pytest.mark.slow
def test_detections_agree_in_float32() -> None:
    unmatched = total = 0
    for seed in range(4):
        theirs, ours = small_pair(seed, torch.float32)
        images = [random_image(192, 192 + 32 * i, seed=10 * seed + i) for i in range(3)]
        missed, found = compare(theirs, ours, images, torch.float32)
        unmatched, total = unmatched + missed, total + found
    assert total >= 1000
    assert unmatched <= total / 1000


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(144, 208), (320, 448)])
def test_what_resizing_adds_is_less_than_a_grey_level_and_moves_few_detections(shape: tuple[int, int]) -> None:
    """Theirs resizes floats in the model, ours bytes before it; to the same size, by the same filter."""
    theirs, ours = small_pair(0, torch.float32)
    theirs.eval()
    ours.eval()
    image = random_image(*shape, seed=0)
    resized = torch.from_numpy(resize_image(image.numpy(), resized_size(shape, 192, 400)))
    batch = batch_of([resized])
    batch = replace(batch, original_sizes=torch.tensor([shape]))
    with torch.no_grad():
        normalized, _ = theirs.transform(theirs_take([image], torch.float32))
        (expected,) = theirs(theirs_take([image], torch.float32))
    levels = 255 * torch.tensor(theirs.transform.image_std)[:, None, None]
    assert batch.images.shape[1:3] == normalized.tensors.shape[2:]
    assert ((ours.normalize(batch.images, batch.sizes) - normalized.tensors) * levels).abs().max() < 1
    (found,) = ours.predict(batch)
    same = box_iou(found.boxes, expected["boxes"]) * (found.labels[:, None] == expected["labels"] - 1)
    assert len(found) >= 50
    assert (same.amax(dim=1) >= 0.9).float().mean() >= 0.8


def published_pair(
    build: Callable[..., nn.Module], eps: float, seed: int, dtype: torch.dtype, **sizes: int
) -> tuple[nn.Module, FasterRCNN]:
    """eps: of the trunk's norms, as their weights are published. sizes: min_size and max_size of their resize."""
    torch.manual_seed(seed)
    theirs = build(weights=None, weights_backbone=None, **sizes)
    for module in theirs.backbone.modules():
        # Not their overwrite_eps, which knows frozen norms only, and there are none without published weights.
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps
    sharpen(theirs, seed, gain=0.02)
    theirs.to(dtype)
    return theirs, ours_from(theirs, backbone="resnet50", norm_eps=eps)


PUBLISHED = pytest.mark.parametrize(
    ("build", "eps"), [(fasterrcnn_resnet50_fpn, 0.0), (fasterrcnn_resnet50_fpn_v2, 1e-5)], ids=["v1", "v2"]
)


@pytest.mark.slow
@PUBLISHED
@pytest.mark.parametrize(
    ("dtype", "seed", "shape"),
    [(torch.float32, 0, (800, 1066)), (torch.float64, 1, (1066, 800))],
    ids=["float32 wide", "float64 tall"],
)
def test_published_architectures_agree_at_800_pixels(
    build: Callable[..., nn.Module], eps: float, dtype: torch.dtype, seed: int, shape: tuple[int, int]
) -> None:
    theirs, ours = published_pair(build, eps, seed, dtype)
    unmatched, total = compare(theirs, ours, [random_image(*shape, seed=seed)], dtype)
    assert total >= 50
    assert unmatched == 0


class FirstOnes:
    """Stands in for torchvision's random sampler: the first of each kind, so that both sides can use the same."""

    def __init__(self, positives: int, total: int) -> None:
        self.positives, self.total = positives, total
        self.drawn: list[tuple[Tensor, Tensor]] = []

    def __call__(self, labels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        masks = []
        self.drawn = []
        for row in labels:
            positive = (row >= 1).nonzero().squeeze(1)[: self.positives]
            negative = (row == 0).nonzero().squeeze(1)[: self.total - len(positive)]
            self.drawn.append((positive, negative))
            masks.append(
                [torch.zeros_like(row, dtype=torch.uint8).index_fill_(0, index, 1) for index in self.drawn[-1]]
            )
        positive_masks, negative_masks = zip(*masks, strict=True)
        return list(positive_masks), list(negative_masks)


TARGETS = (
    DetectionTarget(
        torch.tensor([[20.0, 30, 90, 120], [100, 10, 180, 60], [40, 100, 60, 130]]),
        torch.tensor([3, 0, 19]),
        torch.zeros(3, dtype=torch.bool),
    ),
    DetectionTarget(torch.tensor([[10.0, 20, 150, 180]]), torch.tensor([7]), torch.zeros(1, dtype=torch.bool)),
)


def small_v2_pair() -> tuple[nn.Module, FasterRCNN]:
    """Batch norm in trunk, FPN and head, all by the statistics of the batch; two convolutions in the RPN."""
    return published_pair(fasterrcnn_resnet50_fpn_v2, 1e-5, 5, torch.float64, min_size=192, max_size=400)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [lambda: small_pair(5, torch.float64), small_v2_pair], ids=["v1", "v2"])
def test_losses_agree_term_by_term_on_the_same_samples(pair: Callable[[], tuple[nn.Module, FasterRCNN]]) -> None:
    theirs, ours = pair()
    theirs.train()
    ours.train()
    images = [random_image(192, 256, seed=i) for i in range(2)]
    theirs.rpn.fg_bg_sampler, theirs.roi_heads.fg_bg_sampler = FirstOnes(20, 64), FirstOnes(16, 64)
    picked = []
    select = theirs.roi_heads.select_training_samples
    theirs.roi_heads.select_training_samples = lambda *args: picked.append(select(*args)) or picked[-1]
    expected = theirs(
        theirs_take(images, torch.float64),
        [{"boxes": t.boxes.double(), "labels": t.labels + 1} for t in TARGETS],
    )

    batch = batch_of(images, TARGETS)
    normalized = ours.normalize(batch.images, batch.sizes)
    pyramid = ours.neck(ours.backbone(normalized))
    anchors = ours.anchors(pyramid, normalized.shape[-2:])
    matched_of = [s.matched for s in ours.rpn.sample(anchors, TARGETS, batch.sample_keys)]
    assert all((matched >= 0).any() for matched in matched_of)
    losses = ours.rpn.losses(ours.rpn(pyramid), anchors, TARGETS, rpn_samples(ours, anchors, theirs.rpn.fg_bg_sampler))
    rois, matched, labels, _ = picked[0]
    roi_samples = [
        Sample(torch.arange(len(row)), torch.where(label > 0, row, -1))
        for row, label in zip(matched, labels, strict=True)
    ]
    losses |= ours.roi.losses(*ours.roi(pyramid, rois, batch.sizes), rois, TARGETS, roi_samples)
    names = {
        "loss_rpn_objectness": "loss_objectness",
        "loss_rpn_box": "loss_rpn_box_reg",
        "loss_roi_class": "loss_classifier",
        "loss_roi_box": "loss_box_reg",
    }
    for mine, other in names.items():
        assert expected[other] > 0
        torch.testing.assert_close(losses[mine], expected[other].double(), rtol=1e-6, atol=1e-9)


def rpn_samples(ours: FasterRCNN, anchors: Sequence[Tensor], sampler: FirstOnes) -> list[Sample]:
    """The anchors their sampler drew, matched by ours."""
    every = torch.cat(list(anchors))
    samples = []
    for target, (positive, negative) in zip(TARGETS, sampler.drawn, strict=True):
        best = box_iou(target.boxes.double(), every[positive]).argmax(dim=0)
        samples.append(Sample(torch.cat([positive, negative]), torch.cat([best, torch.full_like(negative, -1)])))
    return samples


def test_an_unknown_file_is_refused_by_name() -> None:
    with pytest.raises(WeightsError, match="1 unknown names, the first"):
        torchvision_weights.convert_state_dict({"head.weight": torch.zeros(1)})


def test_unused_ids_of_coco_stay_classes_of_their_own() -> None:
    names = torchvision_weights.coco_names()
    assert len(names) == len(set(names)) == 90
    assert names[0] == "person"
    assert sum(name.startswith("unused") for name in names) == 10


@pytest.mark.slow
def test_detections_and_labels_count_from_zero() -> None:
    """Their label 1 is our 0: count_unmatched would let a shared mistake of both pass."""
    theirs, ours = small_pair(1, torch.float32, classes=3)
    assert torch.equal(ours.roi.class_logits.bias, theirs.roi_heads.box_predictor.cls_score.bias[[1, 2, 0]])
    assert box_iou(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 0)
