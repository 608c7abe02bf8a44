import pickle
from collections import Counter

import numpy as np
import pytest
import torch

from detres.data.detection.transforms import DetectionTransform, build_augmentation
from detres.errors import ConfigError
from detres.structures import DetectionTarget


def _target(*boxes: tuple[float, float, float, float]) -> DetectionTarget:
    count = len(boxes)
    return DetectionTarget(torch.tensor(boxes).reshape(-1, 4), torch.arange(count) + 10, torch.arange(count) % 2 == 1)


def _picture(height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(height, width, 3), dtype=np.uint8)


FLIP = {"HorizontalFlip": {"p": 1.0}}


def test_boxes_flip_and_scale_with_the_image() -> None:
    transform = DetectionTransform([FLIP], shortest_side=[20], longest_side=100, training=True)
    image, target = transform(_picture(), _target((0, 0, 10, 20), (30, 10, 60, 40)), 7)
    assert image.shape == (20, 30, 3)
    torch.testing.assert_close(target.boxes, torch.tensor([[25.0, 0, 30, 10], [0, 5, 15, 20]]))
    assert target.labels.tolist() == [10, 11]
    assert target.ignore.tolist() == [False, True]


def test_each_axis_scales_by_its_own_rounded_side() -> None:
    for training in (True, False):
        transform = DetectionTransform([], shortest_side=[33], longest_side=1000, training=training)
        image, target = transform(_picture(40, 61), _target((0, 0, 61, 40)), 1)
        assert image.shape == (33, 50, 3)
        torch.testing.assert_close(target.boxes, torch.tensor([[0.0, 0, 50, 33]]))


def test_boxes_that_stick_out_are_clipped_and_flat_ones_dropped() -> None:
    transform = DetectionTransform([], shortest_side=[40], training=True)
    _, target = transform(
        _picture(), _target((-1e-3, 0, 10, 10), (5, 5, 5, 9), (50, 30, 60.001, 41), (70, 1, 80, 9)), 1
    )
    torch.testing.assert_close(target.boxes, torch.tensor([[0.0, 0, 10, 10], [50, 30, 60, 40]]))
    assert target.labels.tolist() == [10, 12]


def test_boxes_cropped_away_take_their_labels_along() -> None:
    crop = {"Crop": {"x_min": 0, "y_min": 0, "x_max": 20, "y_max": 20, "p": 1.0}}
    transform = DetectionTransform([crop], shortest_side=[20], training=True)
    _, target = transform(_picture(), _target((30, 30, 40, 40), (5, 5, 30, 30), (1, 1, 3, 3)), 1)
    torch.testing.assert_close(target.boxes, torch.tensor([[5.0, 5, 20, 20], [1, 1, 3, 3]]))
    assert target.labels.tolist() == [11, 12]
    assert target.ignore.tolist() == [True, False]


@pytest.mark.parametrize("training", [True, False])
def test_an_image_without_objects_passes(training: bool) -> None:
    transform = DetectionTransform([FLIP], shortest_side=[20], training=training)
    image, target = transform(_picture(), DetectionTarget.empty(), 3)
    assert image.shape == (20, 30, 3)
    assert target.boxes.shape == (0, 4)
    assert target.labels.dtype == torch.int64
    assert target.ignore.dtype == torch.bool


def test_a_key_decides_everything() -> None:
    augment = [
        {"HorizontalFlip": {"p": 0.5}},
        {"RandomBrightnessContrast": {"p": 0.5}},
        {"OneOf": {"transforms": [{"GaussNoise": {"p": 1.0}}, {"Blur": {"p": 1.0}}], "p": 0.5}},
    ]
    first = DetectionTransform(augment, shortest_side=[20, 24, 28], training=True)
    second = pickle.loads(pickle.dumps(first))
    target = _target((3, 4, 20, 30))
    seen = set()
    for key in (5, 1, 2, 5, 3, 2**62):
        image, moved = first(_picture(), target, key)
        again, moved_again = second(_picture(), target, key)
        np.testing.assert_array_equal(image, again)
        torch.testing.assert_close(moved.boxes, moved_again.boxes)
        seen.add(image.tobytes())
    assert len(seen) > 1


def test_draws_of_two_transforms_are_independent() -> None:
    transform = DetectionTransform(
        [{"HorizontalFlip": {"p": 0.5}}, {"VerticalFlip": {"p": 0.5}}], shortest_side=[40], training=True
    )
    counts = Counter(
        tuple((transform(_picture(), _target((0, 0, 10, 10)), key)[1].boxes[0, :2] > 0).tolist()) for key in range(200)
    )
    assert len(counts) == 4
    assert min(counts.values()) > 25


def test_every_size_is_drawn_in_training_and_the_last_taken_in_tests() -> None:
    sizes = (20, 24, 28)
    training = DetectionTransform([], shortest_side=sizes, training=True)
    drawn = {training(_picture(), DetectionTarget.empty(), key)[0].shape[0] for key in range(30)}
    assert drawn == set(sizes)
    assert DetectionTransform([], shortest_side=sizes)(_picture(), DetectionTarget.empty())[0].shape[0] == 28


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"HorizontalFlop": {}}, "did you mean HorizontalFlip"),
        ({"HorizontalFlip": {"pp": 0.5}}, "augment.0.HorizontalFlip.pp is unknown; did you mean p"),
        ({"HorizontalFlip": {"p": 2.0}}, "HorizontalFlip refuses"),
        ({"RandomBrightnessContrast": {"brightness_limit": "much"}}, "refuses"),
        ({"OneOf": {"transforms": [{"Blurr": {}}]}}, "OneOf.transforms.0: Blurr .* did you mean Blur"),
        ({"HorizontalFlip": {}, "Blur": {}}, "expected one name"),
        ({"no_such_module:thing": {}}, "cannot be imported"),
        ({"builtins:dict": {}}, "gave a dict"),
        ({"XYMasking": {"p": 1.0, "num_masks_x": (1, 2), "mask_x_length": "long"}}, "refuses"),
    ],
)
def test_a_mistaken_augmentation_is_one_error_with_the_mend(entry: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DetectionTransform([entry], training=True)


def test_a_callable_of_ones_own_can_be_named() -> None:
    transform = build_augmentation({"albumentations:VerticalFlip": {"p": 1.0}}, "here")
    assert type(transform).__name__ == "VerticalFlip"


def test_what_a_callable_of_ones_own_raises_is_told() -> None:
    with pytest.raises(ConfigError, match=r"here: json:load raised AttributeError: .* \(.*json.__init__.py:\d+\)"):
        build_augmentation({"json:load": {"fp": "no file"}}, "here")


def test_a_composition_of_no_list_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"OneOf.transforms: got 3, expected a list"):
        build_augmentation({"OneOf": {"transforms": 3}}, "data.augment.0")
