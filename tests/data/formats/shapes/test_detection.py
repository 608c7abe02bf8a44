import hashlib
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from detres.data.formats.shapes import SHAPES
from detres.data.formats.shapes import detection as shapes
from detres.data.formats.shapes.drawing import draw_scene
from detres.data.formats.voc.reading import load_voc
from detres.data.images.reading import read_image
from detres.draws import Purpose, numpy_generator
from detres.errors import DataError

SMALL = {"train": 6, "val": 2, "test": 4}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "SPLIT_SIZES", SMALL)


def test_a_scene_is_a_function_of_its_number() -> None:
    first, again = (draw_scene(numpy_generator(0, Purpose.DATA_SET, 7)) for _ in range(2))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    assert first.boxes == again.boxes


def test_pixels_are_the_ones_of_this_version() -> None:
    """A change of the drawing must change shapes.VERSION, and these digits with it."""
    state = hashlib.blake2b(digest_size=8)
    for number in range(1, 21):
        scene = draw_scene(numpy_generator(0, Purpose.DATA_SET, number))
        state.update(scene.rgb.tobytes())
        state.update(repr((scene.labels, scene.boxes, scene.areas)).encode())
    assert (shapes.VERSION, state.hexdigest()) == ("shapes 1", "060c68d885332616")


@pytest.mark.slow
def test_scenes_are_what_is_promised() -> None:
    scenes = [draw_scene(numpy_generator(0, Purpose.DATA_SET, number)) for number in range(1, 121)]
    boxes = np.array([box for scene in scenes for box in scene.boxes])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert 12 <= sides.min() <= 20
    assert sides.max() >= 90
    labels = np.bincount([label for scene in scenes for label in scene.labels], minlength=len(SHAPES))
    assert labels.min() > 30
    assert {scene.rgb.shape[0] >= scene.rgb.shape[1] for scene in scenes} == {True, False}
    assert any(not scene.boxes for scene in scenes)
    for scene in scenes:
        height, width = scene.rgb.shape[:2]
        assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in scene.boxes)


@pytest.mark.usefixtures("small")
def test_the_set_is_made_on_first_use_and_reads_the_same_as_voc_and_coco(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    for split, count in SMALL.items():
        coco, voc = shapes.load_shapes(root, split), load_voc(root, split)
        assert len(coco) == len(voc) == count
        assert coco.class_names == voc.class_names == SHAPES
        assert not coco.problems
        assert not voc.problems
        np.testing.assert_array_equal(coco.boxes, voc.boxes)
        np.testing.assert_array_equal(coco.labels, voc.labels)
    scene = draw_scene(numpy_generator(0, Purpose.DATA_SET, 1))
    np.testing.assert_array_equal(read_image(root / "JPEGImages" / "000001.png"), scene.rgb)
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"], "nothing half-made is left behind"


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_processes_that_make_it_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    makers = [context.Process(target=shapes.make_shapes, args=(tmp_path / "shapes",)) for _ in range(3)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0, 0, 0]
    assert len(shapes.load_shapes(tmp_path / "shapes", "test")) == SMALL["test"]
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]


@pytest.mark.usefixtures("small")
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "mine.txt").touch()
    with pytest.raises(DataError, match="holds something else"):
        shapes.load_shapes(tmp_path / "shapes", "train")
    (tmp_path / "shapes" / "VERSION.txt").write_text("shapes 0\n")
    with pytest.raises(DataError, match="holds shapes 0, this is shapes 1"):
        shapes.load_shapes(tmp_path / "shapes", "train")
    with pytest.raises(DataError, match="has train, val, test"):
        shapes.load_shapes(tmp_path / "shapes", "tests")
