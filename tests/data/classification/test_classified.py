import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detres.data.classification.classified import UNKNOWN, breaks_off, classified, joined, set_apart, with_classes
from detres.data.images.reading import read_image
from detres.data.problems import Problem
from detres.errors import DataError


def _set(labels: list[int], classes: tuple[str, ...] = ("ant", "bee", "cow"), **more: object):
    names = [f"train/{classes[label]}/{i}.png" for i, label in enumerate(labels)]
    return classified("toy", Path("/toy"), classes, np.array(labels), names, **more)


def _encoded(mode: str, kind: str, size: tuple[int, int] = (60, 40)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind)
    return stream.getvalue()


def test_a_subset_keeps_names_labels_and_pixels_together() -> None:
    pixels = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1).repeat(3, axis=3)
    images = _set([0, 1, 2, 1], pixels=pixels, problems=(Problem("image missing", "x", "y"),))
    part = images.subset([3, 0])
    assert [part.image_id(i) for i in range(2)] == ["train/bee/3.png", "train/ant/0.png"]
    assert part.labels.tolist() == [1, 0]
    assert part.read(0).tolist() == [[[3, 3, 3]]]
    assert part.path(1) == Path("/toy/train/ant/0.png")
    assert not part.problems
    assert len(images.subset([])) == 0


def test_joined_sets_stand_one_after_the_other() -> None:
    both = joined([_set([0, 1]), _set([2])])
    assert both.labels.tolist() == [0, 1, 2]
    assert [both.image_id(i) for i in range(3)] == ["train/ant/0.png", "train/bee/1.png", "train/cow/0.png"]


def test_classes_are_selected_and_ordered_by_name() -> None:
    images = _set([0, 1, 2, 1])
    some = with_classes(images, ("cow", "bee"))
    assert some.class_names == ("cow", "bee")
    assert some.labels.tolist() == [1, 0, 1]
    assert [some.image_id(i)[6:9] for i in range(3)] == ["bee", "cow", "bee"]
    assert with_classes(images, images.class_names) is images


def test_images_nobody_labelled_stay_without_a_label() -> None:
    images = classified("toy", Path("/toy"), ("a", "b"), np.array([UNKNOWN, 1, 0]), ["x.png", "y.png", "z.png"])
    some = with_classes(images, ("b",))
    assert some.labels.tolist() == [UNKNOWN, 0]
    assert images.counts().tolist() == [1, 1]


def test_a_share_of_every_class_is_set_apart() -> None:
    images = _set([0] * 50 + [1] * 30 + [2] * 20)
    rest, apart = set_apart(images, 0.1)
    assert apart.counts().tolist() == [5, 3, 2]
    assert rest.counts().tolist() == [45, 27, 18]
    ids = {part.image_id(i) for part in (rest, apart) for i in range(len(part))}
    assert len(ids) == 100


def test_what_rounding_leaves_over_goes_to_the_classes_it_cut_most() -> None:
    # Shares of 1.5, 0.75 and 0.75 are cut to 1, 0 and 0; of 3 in all, two are left for the classes cut by 0.75.
    _, apart = set_apart(_set([0] * 6 + [1] * 3 + [2] * 3), 0.25)
    assert apart.counts().tolist() == [1, 1, 1]


def test_what_is_set_apart_depends_on_the_labels_alone() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 90).tolist()
    first, again = (set_apart(_set(labels), 0.2)[1] for _ in range(2))
    assert [first.image_id(i) for i in range(len(first))] == [again.image_id(i) for i in range(len(again))]
    renamed = classified("other", Path("/x"), ("ant", "bee", "cow"), np.array(labels), [str(i) for i in range(90)])
    chosen = [int(set_apart(renamed, 0.2)[1].image_id(i)) for i in range(len(first))]
    assert chosen == [int(first.image_id(i).rpartition("/")[2][:-4]) for i in range(len(first))]


def test_every_class_keeps_an_image_to_learn_from() -> None:
    rest, apart = set_apart(_set([0, 1, 1, 1]), 0.9)
    assert rest.counts().tolist() == [1, 1, 0]
    assert apart.counts().tolist() == [0, 2, 0]
    with pytest.raises(DataError, match="leaves none to train on"):
        set_apart(_set([0, 1, 2]), 0.5)


@pytest.mark.parametrize(("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("LA", "PNG")])
def test_every_mode_is_read_as_rgb(tmp_path: Path, mode: str, kind: str) -> None:
    (tmp_path / "a.jpg").write_bytes(_encoded(mode, kind))
    images = classified("toy", tmp_path, ("a",), np.array([0]), ["a.jpg"])
    np.testing.assert_array_equal(images.read(0), read_image(tmp_path / "a.jpg"))
    assert images.read(0).shape == (40, 60, 3)


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), (np.arange(256).reshape(16, 16) * 257).astype(np.uint16))
    images = classified("toy", tmp_path, ("a",), np.array([0]), ["a.png"])
    np.testing.assert_array_equal(images.read(0)[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_that_breaks_off_is_named(tmp_path: Path, kind: str) -> None:
    whole = _encoded("RGB", kind)
    assert not breaks_off(whole)
    assert not breaks_off(whole + b"\0\0\0"), "something behind the end is no damage"
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    images = classified("toy", tmp_path, ("a",), np.array([0, 0]), ["half.jpg", "gone.jpg"])
    with pytest.raises(DataError, match=r"half.jpg: this image breaks off"):
        images.read(0)
    with pytest.raises(DataError, match=r"gone.jpg: cannot be read"):
        images.read(1)


def test_a_digest_changes_with_labels_names_and_classes_alone() -> None:
    base = _set([0, 1]).digest()
    assert base == _set([0, 1], exif=False).digest()
    assert len({base, _set([1, 0]).digest(), _set([0, 1], ("ant", "bee", "elk")).digest(), _set([0]).digest()}) == 4
