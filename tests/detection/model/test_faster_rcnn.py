import pytest
import torch
from torch import Tensor, nn

from detres.detection.model.anchors import AnchorGrid
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.layouts import Layout, SingleLevel
from detres.detection.model.roi_heads import RoIHeads, RoIPooler
from detres.detection.model.rpn import RPN
from detres.errors import ConfigError
from detres.structures import DetectionBatch, DetectionTarget, FeatureSpec

STRIDE = 4


class OneLayer(nn.Module):
    """A backbone whose normalized images are never zero, so that padding is told from a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, STRIDE, STRIDE)

    def normalize(self, rgb: Tensor) -> Tensor:
        return rgb.permute(0, 3, 1, 2).float() / 255 + 1

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"c4": self.conv(images)}


class MeanHead(nn.Module):
    out_channels = 4

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=(2, 3))


def detector(kind: type[RoIHeads] = RoIHeads) -> FasterRCNN:
    torch.manual_seed(0)
    head = MeanHead()
    return FasterRCNN(
        Layout(OneLayer(), SingleLevel("c4"), head, (FeatureSpec(4, STRIDE),), 1, 2),
        RPN(4, 1, post_nms_test=6),
        kind(RoIPooler((STRIDE,), 2), head, 2, max_detections=5),
        anchors=AnchorGrid([[8.0]], [STRIDE], ratios=(1.0,)),
        class_names=["cat", "dog"],
        pad_to=STRIDE,
        stage_norms={"c1": "frozen"},
    )


def batch_of(sizes: list[list[int]], original: list[list[int]], padded: tuple[int, int]) -> DetectionBatch:
    """A dog in each image."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (len(sizes), *padded, 3), generator=generator, dtype=torch.uint8)
    target = DetectionTarget(torch.tensor([[1.0, 1, 9, 7]]), torch.tensor([1]), torch.tensor([False]))
    count = len(sizes)
    return DetectionBatch(
        images, torch.tensor(sizes), torch.tensor(original), tuple(range(count)), (target,) * count, torch.arange(count)
    )


# Rows as RoIHeads.detections gives them: boxes, scores and labels, best first.
FOUND = [
    (torch.tensor([[1.0, 2, 3, 4], [0, 0, 8, 6]]), torch.tensor([0.9, 0.2]), torch.tensor([1, 0])),
    (torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)),
]
TWO = {"sizes": [[8, 12], [16, 10]], "original": [[16, 36], [16, 10]], "padded": (16, 12)}


def test_padding_is_zero_after_normalization_and_pixels_are_as_they_were() -> None:
    batch, model = batch_of(**TWO), detector()
    images = model.normalize(batch.images, batch.sizes)
    plain = model.backbone.normalize(batch.images)
    for place, (height, width) in enumerate(TWO["sizes"]):
        assert torch.equal(images[place, :, :height, :width], plain[place, :, :height, :width])
        assert not images[place, :, height:].any()
        assert not images[place, :, :, width:].any()
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_detections_are_in_pixels_of_the_file() -> None:
    model = detector()
    model.roi.detections = lambda source, proposals: FOUND
    first, second = model.predict(batch_of(**TWO))
    # The file is twice as high as the image, and three times as wide.
    assert first.boxes.tolist() == [[3, 4, 9, 8], [0, 0, 24, 12]]
    assert first.scores.tolist() == pytest.approx([0.9, 0.2])
    assert first.labels.tolist() == [1, 0]
    assert (first.image_size, second.image_size) == ((16, 36), (16, 10))
    assert (len(second), second.boxes.shape, second.boxes.requires_grad) == (0, (0, 4), False)


def test_what_is_exported_is_padded_to_the_most_detections_there_may_be() -> None:
    model = detector()
    model.roi.detections = lambda source, proposals: FOUND
    batch = batch_of(**TWO)
    boxes, scores, labels, counts = model.predict_tensors(batch.images, batch.sizes)
    assert (boxes.shape, scores.shape, labels.shape) == ((2, 5, 4), (2, 5), (2, 5))
    assert counts.tolist() == [2, 0]
    assert torch.equal(boxes[0, :2], FOUND[0][0])
    assert not any(tensor[0, 2:].any() or tensor[1].any() for tensor in (boxes, scores, labels))


def test_anchors_are_laid_on_the_padded_image_in_training_and_in_tests() -> None:
    model, seen = detector(), []
    model.anchors.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[1])))
    batch = batch_of(**TWO)
    model(batch)
    model.predict(batch)
    assert seen == [(16, 12), (16, 12)]


@pytest.mark.parametrize("training", [True, False])
def test_losses_have_names_and_reach_every_layer_whatever_the_mode(training: bool) -> None:
    model = detector().train(training)
    losses = model(batch_of(**TWO))
    assert list(losses) == ["loss_rpn_objectness", "loss_rpn_box", "loss_roi_class", "loss_roi_box"]
    assert all(loss.ndim == 0 and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
    assert len(model.predict(batch_of(**TWO))) == 2


def test_a_head_that_cannot_learn_refuses_to_be_trained_and_is_tested_all_the_same() -> None:
    class Fixed(RoIHeads):
        unfit_for = dict.fromkeys(["training"], "its weights are another's")

    model = detector(Fixed)
    with pytest.raises(ConfigError, match="its weights are another's"):
        model(batch_of(**TWO))
    assert len(model.predict(batch_of(**TWO))) == 2


def test_it_says_what_its_weights_file_needs() -> None:
    model = detector()
    assert (model.class_names, model.pad_to, model.stage_norms) == (("cat", "dog"), STRIDE, {"c1": "frozen"})
