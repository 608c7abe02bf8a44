"""Tests of more than one look, against the same done step by step with a plain detector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from detres.backbones import build_backbone
from detres.boxes import box_area, clip_boxes
from detres.config.detection_schema import DataConfig, ModelConfig, TestConfig
from detres.data.detection.image_copies import copies_of
from detres.data.detection.loaders import DetectionSample, collate
from detres.data.images.sizes import resized_size
from detres.detection.model.building import assemble
from detres.detection.model.context import with_context
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.testing import multiscale
from detres.detection.testing.fusion import fuse
from detres.detection.testing.plan import DetectionTest, Member, is_plain
from detres.errors import ConfigError
from detres.structures import Detections, DetectionTarget

FEEDING = DataConfig(shortest_side=(64,), longest_side=100)
LAYOUTS = ["fpn", "c4", "dc5"]


def small_detector(layout: str, seed: int = 0, names: tuple[str, ...] = ("a", "b", "c"), **model: object) -> FasterRCNN:
    torch.manual_seed(seed)
    config = ModelConfig.model_validate(
        {
            "layout": layout,
            "class_names": names,
            "backbone": {"name": "resnet18"},
            "fpn": {"channels": 16},
            "rpn": {"pre_nms_test": 30, "post_nms_test": 12},
            # As many points in every bin: an adaptive number jumps where a side is a whole multiple, up to rounding.
            "roi": {"pool": 4, "sampling_ratio": 2, "head_fc_channels": 32},
        }
        | model
    )
    backbone = build_backbone("resnet18", output_stride=16 if layout == "dc5" else 32)
    detector = assemble(backbone, config, TestConfig(score=0.2)).eval()
    for layer, std in ((detector.roi.class_logits, 0.3), (detector.rpn.deltas, 0.1), (detector.roi.deltas, 0.1)):
        torch.nn.init.normal_(layer.weight, std=std)
    return detector.double()


def picture(height: int = 72, width: int = 90) -> DetectionSample:
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    size = resized_size((height, width), 64, 100)
    return DetectionSample(rgb, (height, width), "picture", DetectionTarget.empty(), sample_key=0, size=size)


def found_by(members: list[FasterRCNN], sample: DetectionSample, **test: object) -> Detections:
    procedure = DetectionTest([Member(model, FEEDING) for model in members], TestConfig(score=0.2, **test))
    return procedure(copies_of(sample, procedure.copies))


def same(found: Detections, expected: tuple[Tensor, Tensor, Tensor]) -> None:
    boxes, scores, labels = expected
    assert len(found) == len(scores) > 2
    assert found.labels.tolist() == labels.tolist()
    assert torch.allclose(found.scores, scores.float(), atol=1e-6)
    assert torch.allclose(found.boxes, boxes.float(), atol=1e-3)


@torch.no_grad()
def looked_at(model: FasterRCNN, regions: Tensor, side: int, sample: DetectionSample) -> Tensor:
    """The features (P, C) of regions, in pixels of the file, of the image at one size, region by region."""
    size = resized_size(sample.original_size, side, round(100 * side / 64))
    batch = collate([DetectionSample(sample.image, sample.original_size, "x", sample.target, 0, size)], model.pad_to)
    pyramid = model.pyramid(batch.images, batch.sizes)
    scale = torch.tensor([size[1] / sample.original_size[1], size[0] / sample.original_size[0]] * 2).double()
    return torch.cat([model.roi.features(pyramid, [region[None] * scale]) for region in regions])


@torch.no_grad()
def proposed(model: FasterRCNN, sample: DetectionSample) -> tuple[Tensor, Tensor]:
    """Proposals in pixels of the file, and the scale (4,) from these to the usual copy."""
    batch = collate([sample], model.pad_to)
    scale = (batch.sizes[0].double() / batch.original_sizes[0]).flip(0).repeat(2)
    return model.propose(batch.images, batch.sizes)[1][0] / scale, scale


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_scale_that_is_the_usual_one_finds_what_the_detector_finds(layout: str) -> None:
    model, sample = small_detector(layout), picture()
    (plain,) = model.predict(collate([sample], model.pad_to))
    same(found_by([model], sample, scales=[64]), (plain.boxes, plain.scores, plain.labels))


@pytest.mark.parametrize("longest", [50, 80, 1000])
def test_the_usual_copy_is_as_large_as_in_a_plain_test(longest: int) -> None:
    feeding = DataConfig(shortest_side=(48, 64), longest_side=longest)
    procedure = DetectionTest([Member(small_detector("fpn"), feeding)], TestConfig(refine=1))
    for size in ((72, 90), (10, 400), (64, 64)):
        (copy,) = copies_of(picture(*size), procedure.copies)
        assert tuple(copy.sizes[0].tolist()) == resized_size(size, 64, longest)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_refinement_is_a_second_look_at_the_best_boxes(layout: str) -> None:
    model, sample = small_detector(layout), picture()
    batch, size = collate([sample], model.pad_to), torch.tensor(sample.size_in_batch)
    pyramid, (proposals,) = model.propose(batch.images, batch.sizes)
    boxes, scores = model.roi.decode(*model.roi(pyramid, [proposals], batch.sizes), proposals)
    again = clip_boxes(boxes[torch.arange(len(boxes)), scores.argmax(dim=1)], size)
    more_boxes, more_scores = model.roi.decode(*model.roi(pyramid, [again], batch.sizes), again)
    model.roi.nms = 0.3
    found = model.roi._suppress(torch.cat([boxes, more_boxes]), torch.cat([scores, more_scores]), size)
    _, scale = proposed(model, sample)
    same(found_by([model], sample, refine=1, vote="none"), (found[0] / scale, *found[1:]))


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "context"), [("fpn", False), ("fpn", True), ("c4", True), ("dc5", False)])
@torch.no_grad()
def test_each_region_is_read_from_two_scales_and_the_larger_features_count(
    layout: str, context: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    canonical, (height, width), sides = 40.0, (72, 90), [24, 40, 64, 112]
    monkeypatch.setattr(multiscale, "CANONICAL_SIZE", canonical)
    model, sample = small_detector(layout, global_context=context), picture(height, width)
    proposals, scale = proposed(model, sample)
    at_scales = [looked_at(model, proposals, side, sample) for side in sides]
    whole = torch.tensor([[0.0, 0, width, height]]).double()
    context_at = [looked_at(model, whole, side, sample)[0] for side in sides]

    def two_of(box: Tensor) -> tuple[int, int]:
        side = box_area(box).sqrt().item()
        sizes = [resized_size((height, width), shorter, round(100 * shorter / 64)) for shorter in sides]
        scaled = [side * (h * w / (height * width)) ** 0.5 for h, w in sizes]
        pairs = [i for i in range(3) if scaled[i] <= canonical < scaled[i + 1]]
        lower = pairs[0] if pairs else (0 if scaled[0] > canonical else 2)
        return lower, lower + 1

    rows = []
    for row, box in enumerate(proposals):
        low, high = two_of(box)
        features = torch.maximum(at_scales[low][row], at_scales[high][row])
        if context:
            low, high = two_of(whole[0])
            features = torch.cat([features, torch.maximum(context_at[low], context_at[high])])
        rows.append(features)
    boxes, scores = model.roi.decode(*model.roi.classify(torch.stack(rows)), proposals * scale)
    found = model.roi._suppress(boxes / scale, scores, torch.tensor([height, width]))
    same(found_by([model], sample, scales=sides), found)


@pytest.mark.slow
@torch.no_grad()
def test_an_ensemble_averages_what_all_members_say_of_all_proposals() -> None:
    members, sample = [small_detector("fpn", 0), small_detector("c4", 1)], picture()
    proposals = torch.cat([proposed(model, sample)[0] for model in members])
    said = []
    for model in members:
        scale = proposed(model, sample)[1]
        features = looked_at(model, proposals, 64, sample)
        boxes, scores = model.roi.decode(*model.roi.classify(features), proposals * scale)
        said.append((boxes / scale, scores))
    mean = [sum(column) / 2 for column in zip(*said, strict=True)]
    same(found_by(members, sample), members[0].roi._suppress(*mean, torch.tensor(sample.original_size)))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nms", "soft_nms_gaussian", "wbf"])
def test_scales_and_mirrors_by_themselves_are_merged(method: str) -> None:
    model, sample = small_detector("fpn"), picture()
    mirror = DetectionSample(
        np.ascontiguousarray(sample.image[:, ::-1]), sample.original_size, "m", sample.target, 0, sample.size
    )
    views = []
    for side in (64, 80):
        for each, turned in ((sample, False), (mirror, True)):
            found = found_by([model], each, scales=[side], fusion="nms")
            boxes = found.boxes.double()
            if turned:
                boxes = torch.stack([90 - boxes[:, 2], boxes[:, 1], 90 - boxes[:, 0], boxes[:, 3]], dim=1)
            views.append((boxes, found.scores.double(), found.labels))
    same(found_by([model], sample, scales=[64, 80], flip=True, fusion=method), fuse(views, method))


@pytest.mark.slow
@torch.no_grad()
def test_context_is_that_of_the_unpadded_image() -> None:
    model = small_detector("c4", global_context=True)
    batch = collate([picture(40, 64), picture(64, 100)], 1)
    pyramid, proposals = model.propose(batch.images, batch.sizes)
    features = with_context(lambda regions: model.roi.features(pyramid, regions), proposals, batch.sizes)
    whole = [torch.tensor([[0.0, 0, w, h]]).double() for h, w in batch.sizes.tolist()]
    context = model.roi.features(pyramid, whole).repeat_interleave(torch.tensor([len(p) for p in proposals]), dim=0)
    assert torch.allclose(features, torch.cat([model.roi.features(pyramid, proposals), context], dim=1))
    logits, _ = model.roi(pyramid, proposals, batch.sizes)
    assert torch.equal(logits, model.roi.classify(features)[0])


def test_members_that_know_other_classes_are_refused() -> None:
    members = [small_detector("fpn"), small_detector("fpn", names=("a", "b", "d"))]
    with pytest.raises(ConfigError, match="number 1 has 3 and number 2 has 3: c, d only one of them knows"):
        found_by(members, picture())
    members[1] = small_detector("fpn", names=("b", "a", "c"))
    with pytest.raises(ConfigError, match="in another order"):
        found_by(members, picture())


@pytest.mark.slow
def test_an_image_without_proposals_has_no_detections() -> None:
    model = small_detector("fpn")
    model.rpn.min_size = 1e6
    for test in ({"refine": 1}, {"scales": [64, 128]}, {"flip": True, "fusion": "wbf"}):
        assert len(found_by([model], picture(), **test)) == 0


def test_a_plain_test_is_one_look() -> None:
    assert is_plain(TestConfig())
    assert is_plain(TestConfig(fusion="wbf"))
    assert not any(is_plain(TestConfig(**t)) for t in ({"refine": 1}, {"scales": [9]}, {"flip": True}, {"vote": True}))
    assert not is_plain(TestConfig(), members=2)
