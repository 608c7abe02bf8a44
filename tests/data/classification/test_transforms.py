import io
import pickle
import random

import numpy as np
import pytest
from PIL import Image
from timm.data.auto_augment import rand_augment_transform

from detres.data.classification.crops import AreaCropping, PadCropping, ScaleCropping
from detres.data.classification.transforms import ClassificationTransform, RandAugment
from detres.errors import ConfigError, DataError

CROPPINGS = [AreaCropping(24), ScaleCropping(24, (30, 50)), PadCropping(24, 4)]


def _picture(height: int = 60, width: int = 90) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 4, columns * 2, (rows + columns) % 256], axis=-1).astype(np.uint8)


def _encoded(ending: str = "jpeg", orientation: int = 1) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(_picture()).save(buffer, ending, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("cropping", CROPPINGS)
@pytest.mark.parametrize("randaugment", [None, "rand-m7-mstd0.5-inc1"])
def test_a_key_gives_one_crop_and_another_key_another(cropping, randaugment: str | None) -> None:
    transform = ClassificationTransform(cropping, randaugment=randaugment)
    crops = [transform.from_bytes(_encoded(), "a", key) for key in (1, 2, 1)]
    assert crops[0].shape == (24, 24, 3)
    assert crops[0].dtype == np.uint8
    np.testing.assert_array_equal(crops[0], crops[2])
    assert not np.array_equal(crops[0], crops[1])
    fresh = pickle.loads(pickle.dumps(transform))
    np.testing.assert_array_equal(fresh.from_bytes(_encoded(), "a", 1), crops[0])


@pytest.mark.parametrize("cropping", CROPPINGS)
def test_pixels_and_the_file_that_holds_them_give_the_same_crop(cropping) -> None:
    transform = ClassificationTransform(cropping)
    for key in range(5):
        expected = transform.from_pixels(_picture(), key)
        np.testing.assert_array_equal(transform.from_bytes(_encoded("png"), "a.png", key), expected)


def test_mirrors_are_as_frequent_as_asked() -> None:
    whole = PadCropping(60, 0)
    square = _picture()[:, :60]
    for flip, low, high in ((0.0, 0, 0), (0.25, 210, 290), (1.0, 1000, 1000)):
        transform = ClassificationTransform(whole, flip=flip)
        crops = [transform.from_pixels(square, key) for key in range(1000)]
        mirrored = sum(np.array_equal(crop, square[:, ::-1]) for crop in crops)
        assert low <= mirrored <= high
        assert mirrored + sum(np.array_equal(crop, square) for crop in crops) == 1000


def test_an_image_is_cropped_the_way_its_exif_orientation_turns_it() -> None:
    upright = ClassificationTransform(AreaCropping(24), flip=0.0)
    stored = ClassificationTransform(AreaCropping(24), flip=0.0, exif=False)
    turned = Image.open(io.BytesIO(_encoded(orientation=6))).transpose(Image.Transpose.ROTATE_270)
    expected = upright.from_pixels(np.asarray(turned), 3).astype(int)
    assert np.abs(upright.from_bytes(_encoded(orientation=6), "a", 3) - expected).mean() < 2
    assert np.abs(stored.from_bytes(_encoded(orientation=6), "a", 3) - expected).mean() > 10


def test_a_header_the_decoder_does_not_follow_does_not_move_the_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    transform = ClassificationTransform(AreaCropping(24))
    expected = transform.from_bytes(_encoded("png"), "a", 5)
    monkeypatch.setattr("detres.data.classification.transforms.size_as_read", lambda data, exif: (600, 900))
    np.testing.assert_array_equal(transform.from_bytes(_encoded("png"), "a", 5), expected)


def test_what_cannot_be_decoded_is_named() -> None:
    with pytest.raises(DataError, match=r"a\.jpg"):
        ClassificationTransform(AreaCropping(24)).from_bytes(b"broken", "a.jpg", 0)
    with pytest.raises(DataError, match=r"a\.jpg"):
        ClassificationTransform(AreaCropping(24)).from_bytes(_encoded()[:30], "a.jpg", 0)


def test_randaugment_is_timms_with_the_draws_of_the_key() -> None:
    augment = RandAugment("rand-m9-n3-mstd0.5", 60)
    options = {"translate_const": 27, "img_mean": (124, 116, 104)}
    theirs = rand_augment_transform("rand-m9-n3-mstd0.5", options)
    changed = 0
    for key in range(8):
        random.seed(key)
        np.random.seed(key)  # noqa: NPY002
        expected = np.asarray(theirs(Image.fromarray(_picture())))
        np.testing.assert_array_equal(augment(_picture(), key), expected)
        changed += not np.array_equal(expected, _picture())
    assert changed > 4


def test_global_generators_are_left_as_they_were() -> None:
    python, numpy = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    RandAugment("rand-m9-mstd0.5", 60)(_picture(), 7)
    assert random.getstate() == python
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)  # noqa: NPY002


@pytest.mark.parametrize("description", ["m9", "rand-q7", "rand-mx9", "rand-m9.5"])
def test_a_description_timm_does_not_know_is_refused(description: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.randaugment='"):
        RandAugment(description, 24)
