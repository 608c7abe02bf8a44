"""A detector as an object: pictures of any kind in, detections in their own pixels out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.ops import box_iou

import detres
from detres import Detections, Detector
from detres.data.detection.loaders import DetectionSample, collate
from detres.data.images.reading import read_image
from detres.errors import ConfigError, DataError, WeightsError
from detres.structures import DetectionTarget

Rgb = NDArray[np.uint8]


@pytest.fixture(scope="module")
def detector(trained: Path) -> Detector:
    return Detector.from_checkpoint(trained, device="cpu", score=0.05)


@pytest.fixture(scope="module")
def pictures(tiny: Any) -> list[Rgb]:
    return [read_image(path) for path in tiny.pictures()]


@pytest.fixture(scope="module")
def clear(detector: Detector, pictures: list[Rgb]) -> list[Rgb]:
    """The pictures on which something is found that is hardly doubted, so that a little noise does not change it."""
    found = [rgb for rgb in pictures if (detector(rgb).scores > 0.5).any()]
    assert len(found) >= 2, "the tiny detector has not learned"
    return found


def assert_same(one: Detections, other: Detections, tolerance: float = 0.0) -> None:
    assert one.image_size == other.image_size
    assert torch.equal(one.labels, other.labels)
    torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=tolerance)
    torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=tolerance)


@pytest.mark.slow
def test_an_array_a_pil_image_and_a_path_give_the_same(detector: Detector, tiny: Any, pictures: list[Rgb]) -> None:
    for path, rgb in zip(tiny.pictures(), pictures, strict=True):
        found = detector.predict(rgb)
        for picture in (Image.fromarray(rgb), path, str(path), np.asfortranarray(rgb)):
            assert_same(detector.predict(picture), found)
        assert_same(detector(rgb), found)


@pytest.mark.slow
def test_a_pil_image_is_turned_as_its_file_is(detector: Detector, pictures: list[Rgb], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pictures[0][:60]).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        found = detector(opened)
    assert_same(found, detector(tmp_path / "turned.png"))
    assert found.image_size == pictures[0][:60].shape[1::-1]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"precision": "fp16"}, {"score": 2.0}, {"score": float("nan")}])
def test_what_no_detector_takes_is_told(trained: Path, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} is"):
        Detector.from_checkpoint(trained, device="cpu", **wrong)


@pytest.mark.slow
def test_grey_and_palette_images_of_pil_are_read_as_rgb(detector: Detector, pictures: list[Rgb]) -> None:
    grey = Image.fromarray(pictures[0]).convert("L")
    assert_same(detector(grey), detector(np.repeat(np.asarray(grey)[..., None], 3, axis=2)))
    transparent = Image.fromarray(pictures[0]).convert("RGBA")
    assert_same(detector(transparent), detector(pictures[0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        None,
    ],
)
def test_what_is_no_picture_is_refused_with_what_it_is(detector: Detector, picture: Any) -> None:
    with pytest.raises(DataError, match=r"uint8 RGB \(H, W, 3\), a PIL image or a path; got"):
        detector.predict(picture)


@pytest.mark.slow
def test_a_path_that_is_not_there_is_named(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent"):
        detector.predict(tmp_path / "absent.png")


@pytest.mark.slow
def test_boxes_lie_in_the_pictures_own_pixels(detector: Detector, pictures: list[Rgb]) -> None:
    """A picture three times as large is resized to the same one: boxes are three times as large, too."""
    for rgb in pictures:
        found = detector(rgb)
        height, width = rgb.shape[:2]
        assert found.image_size == (height, width)
        assert (found.boxes >= 0).all()
        assert (found.boxes[:, [0, 2]] <= width).all()
        assert (found.boxes[:, [1, 3]] <= height).all()


@pytest.mark.slow
def test_boxes_grow_with_the_picture(detector: Detector, clear: list[Rgb]) -> None:
    for rgb in clear:
        large = cv2.resize(rgb, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
        surest = detector(rgb).boxes[:1]
        assert box_iou(surest * 3, detector(large).boxes).max() > 0.85


@pytest.mark.slow
def test_scores_fall_and_stay_above_the_floor(trained: Path, pictures: list[Rgb]) -> None:
    strict = Detector.from_checkpoint(trained, device="cpu", score=0.5)
    for rgb in pictures:
        found = strict(rgb)
        assert (found.scores > 0.5).all()
        assert (found.scores.diff() <= 0).all()
    usual = Detector.from_checkpoint(trained, device="cpu")
    assert usual.model.roi.score == 0.05


@pytest.mark.slow
def test_many_pictures_come_in_order_whatever_the_batch(detector: Detector, pictures: list[Rgb]) -> None:
    """Of one shape no picture is padded, and batches give what single pictures give."""
    alike = [cv2.resize(rgb, (96, 64)) for rgb in pictures]
    single = [detector(rgb) for rgb in alike]
    for batch in (1, 2, 5, 8):
        many = list(detector.predict_many(iter(alike), batch=batch))
        for one, other in zip(single, many, strict=True):
            assert_same(one, other, tolerance=1e-3)
    assert list(detector.predict_many([])) == []


@pytest.mark.slow
@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_none_is_refused_at_once(detector: Detector, pictures: list[Rgb], batch: int) -> None:
    with pytest.raises(ConfigError, match=f"batch is {batch}, expected 1 or more"):
        detector.predict_many(pictures, batch=batch)


@pytest.mark.slow
def test_a_file_of_more_pixels_than_allowed_is_refused_until_the_key_allows_them(trained: Path, tiny: Any) -> None:
    path = tiny.pictures()[0]
    with pytest.raises(DataError, match=r"pixels are more than data\.max_pixels=100"):
        Detector.from_checkpoint(trained, device="cpu", data={"max_pixels": 100}).predict(path)
    assert Detector.from_checkpoint(trained, device="cpu", data={"max_pixels": 10**9}).predict(path)


@pytest.mark.slow
def test_a_picture_in_a_batch_depends_on_the_padding_alone(detector: Detector, pictures: list[Rgb]) -> None:
    """Neither on its neighbours nor on what lies in the padding; and nothing is found outside of it.

    (Padding itself is felt: behind a picture's edge convolutions see their biases' traces instead of nothing.)
    """
    assert {rgb.shape[:2] for rgb in pictures} == {(64, 96), (96, 64), (80, 80)}
    samples = [
        DetectionSample(rgb, rgb.shape[:2], place, DetectionTarget.empty(), sample_key=0)
        for place, rgb in enumerate(pictures)
    ]
    together = collate(samples, pad_to=96)
    spoilt = together.images.clone()
    for image, (height, width) in zip(spoilt, together.sizes.tolist(), strict=True):
        image[height:], image[:, width:] = 255, 255
    found = detector.model.predict(together)
    for one, other in zip(found, detector.model.predict(replace(together, images=spoilt)), strict=True):
        assert_same(one, other)
    for sample, one in zip(samples, found, strict=True):
        (alone,) = detector.model.predict(collate([sample], pad_to=96))
        assert_same(one, alone, tolerance=1e-3)
        height, width = one.image_size
        assert (one.boxes <= torch.tensor([width, height, width, height])).all()


@pytest.mark.slow
def test_detections_name_their_classes_and_go_through_every_operation(detector: Detector, clear: list[Rgb]) -> None:
    found = detector(clear[0])
    assert detector.class_names == ("disc", "square")
    assert found.names == [detector.class_names[label] for label in found.labels]
    sure = found.above(found.scores[1].item())
    assert sure.names == found.names[:2], "a score that is reached exactly counts"
    assert found.to("cpu").names == found.names
    told = json.loads(json.dumps(found.to_dict()))
    assert told == {
        "boxes": found.boxes.tolist(),
        "scores": found.scores.tolist(),
        "labels": found.labels.tolist(),
        "names": found.names,
    }
    nothing = found.above(1.1)
    assert (len(nothing), nothing.names) == (0, [])


@pytest.mark.slow
def test_drawing_leaves_the_picture_alone(detector: Detector, clear: list[Rgb]) -> None:
    before = clear[0].copy()
    found = detector(clear[0])
    drawn = found.draw(clear[0])
    assert drawn.dtype == np.uint8
    assert drawn.shape == before.shape
    assert (drawn != before).any()
    assert np.array_equal(clear[0], before)
    assert np.array_equal(found.draw(clear[0], min_score=1.0), before)


@pytest.mark.slow
def test_a_run_a_checkpoint_folder_and_a_file_are_the_same_detector(
    trained: Path, detector: Detector, pictures: list[Rgb]
) -> None:
    checkpoint = trained / "checkpoints" / "best"
    for weights in (checkpoint, str(checkpoint / "model.safetensors")):
        assert_same(Detector.from_checkpoint(weights, device="cpu", score=0.05)(pictures[0]), detector(pictures[0]))
    with pytest.raises(WeightsError, match="no checkpoint here"):
        Detector.from_checkpoint(trained.parent)


@pytest.mark.slow
def test_bf16_finds_nearly_the_same(trained: Path, detector: Detector, clear: list[Rgb]) -> None:
    fast = Detector.from_checkpoint(trained, device="cpu", score=0.05, precision="bf16")
    for rgb in clear:
        assert box_iou(detector(rgb).boxes[:1], fast(rgb).boxes).max() > 0.7


@pytest.mark.slow
def test_the_library_trains_evaluates_and_predicts_in_three_calls(tiny: Any, run_folder: Path) -> None:
    config = detres.load_config(tiny.cfg, ["training.steps=2"])
    run = detres.train(config, out=run_folder, device="cpu")
    assert run == run_folder
    metrics = detres.evaluate(run, split="train", device="cpu")
    assert (metrics["split"], metrics["images"]) == ("train", 7)
    assert len(detres.Detector.from_checkpoint(run, device="cpu", score=0.0)(tiny.pictures()[0])) > 0


@pytest.mark.slow
def test_the_core_takes_and_gives_tensors_alone(detector: Detector, pictures: list[Rgb]) -> None:
    images = torch.from_numpy(np.stack([cv2.resize(rgb, (96, 64)) for rgb in pictures[:2]]))
    sizes = torch.tensor([[64, 96], [64, 96]])
    with torch.no_grad():
        boxes, scores, labels, counts = detector.model.predict_tensors(images, sizes)
    most = detector.settings.test.max_detections
    assert (boxes.shape, scores.shape, labels.shape) == ((2, most, 4), (2, most), (2, most))
    for i, count in enumerate(counts.tolist()):
        found = detector(images[i].numpy())
        assert len(found) == count
        torch.testing.assert_close(found.boxes, boxes[i, :count], rtol=0, atol=1e-3)
        assert scores[i, count:].sum() == 0
