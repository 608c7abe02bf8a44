import hashlib
from pathlib import Path

import numpy as np
import pytest

from detres.data.formats.shapes import SHAPES
from detres.data.formats.shapes import classification as shapes_classes
from detres.data.formats.shapes.classification import load_shapes_classes
from detres.data.formats.shapes.drawing import draw_single
from detres.draws import Purpose, numpy_generator
from detres.errors import DataError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes_classes, "IMAGES_PER_CLASS", {"train": 3, "val": 1, "test": 2})


def test_pixels_are_the_ones_of_this_version() -> None:
    """A change of the drawing must change shapes_classes.VERSION, and these digits with it."""
    state = hashlib.blake2b(digest_size=8)
    for number in range(1, 13):
        label = number % len(SHAPES)
        state.update(draw_single(numpy_generator(0, Purpose.DATA_SET, number, label), label, 64).tobytes())
    assert (shapes_classes.VERSION, state.hexdigest()) == ("shapes_classes 2", "16cda18e86223f5b")


@pytest.mark.usefixtures("small")
def test_the_set_is_made_on_first_use(tmp_path: Path) -> None:
    for split, count in shapes_classes.IMAGES_PER_CLASS.items():
        images = load_shapes_classes(tmp_path / "set", split)
        assert images.class_names == SHAPES
        assert images.counts().tolist() == [count] * len(SHAPES)
        assert images.read(0).shape == (64, 64, 3)
    drawn = draw_single(numpy_generator(0, Purpose.DATA_SET, 1, 0), 0, 64)
    np.testing.assert_array_equal(load_shapes_classes(tmp_path / "set", "train").read(0), drawn)
    assert [path.name for path in tmp_path.iterdir()] == ["set"], "nothing half-made is left behind"


@pytest.mark.usefixtures("small")
def test_no_image_stands_twice(tmp_path: Path) -> None:
    sets = [load_shapes_classes(tmp_path / "set", split) for split in shapes_classes.IMAGES_PER_CLASS]
    contents = {images.encoded(i) for images in sets for i in range(len(images))}
    assert len(contents) == 6 * len(SHAPES)


@pytest.mark.usefixtures("small")
def test_classes_can_be_selected_and_mistakes_are_told(tmp_path: Path) -> None:
    images = load_shapes_classes(tmp_path / "set", "test", classes=["star", "ring"])
    assert images.counts().tolist() == [2, 2]
    with pytest.raises(DataError, match="the shapes set has train, val, test"):
        load_shapes_classes(tmp_path / "set", "tests")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").touch()
    with pytest.raises(DataError, match="holds something else"):
        load_shapes_classes(tmp_path / "mine", "train")
