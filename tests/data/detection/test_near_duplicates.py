"""Groups of pictures that look almost the same, and splits that keep them together."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from detres.config.detection_schema import DataConfig
from detres.data.detection import near_duplicates
from detres.data.detection.datasets import load_dataset, load_split
from detres.data.detection.near_duplicates import NEAR, groups_among, groups_of, looking_alike, part
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.errors import DataError


def groups_by_brute_force(hashes: list[int], near: int) -> list[int]:
    groups = list(range(len(hashes)))
    for a, one in enumerate(hashes):
        for b, other in enumerate(hashes):
            if (one ^ other).bit_count() <= near and groups[a] != groups[b]:
                low, high = sorted((groups[a], groups[b]))
                groups = [low if group == high else group for group in groups]
    return groups


@pytest.mark.parametrize("near", [0, 1, 4, NEAR])
@pytest.mark.parametrize("pairs_at_once", [1, 7, 1 << 22])
def test_groups_are_those_of_brute_force(near: int, pairs_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_PAIRS_AT_ONCE", pairs_at_once)
    rng = np.random.default_rng(near)
    hashes = rng.integers(0, 1 << 63, 12).tolist()
    for _ in range(60):  # chains of steps about as long as what is near
        hashes.append(hashes[rng.integers(len(hashes))] ^ sum(1 << int(b) for b in rng.choice(64, near + 1, False)[1:]))
        hashes.append(hashes[rng.integers(len(hashes))] ^ sum(1 << int(b) for b in rng.choice(64, near + 1, False)))
    order = rng.permutation(len(hashes))
    hashes = [hashes[i] for i in order]
    found = groups_of(np.array(hashes, dtype=np.uint64), near).tolist()
    assert found == groups_by_brute_force(hashes, near)
    assert 1 < len(set(found)) < len(found)


def test_equal_pictures_are_one_group_and_none_are_none() -> None:
    assert groups_of(np.array([5, 9 << 40, 5, 5], dtype=np.uint64), 0).tolist() == [0, 1, 0, 0]
    assert groups_of(np.array([], dtype=np.uint64)).tolist() == []


def test_bits_are_counted_alike_with_either_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0).integers(0, 1 << 63, (2, 50)).astype(np.uint64) * np.uint64(2)
    expected = [(int(a) ^ int(b)).bit_count() for a, b in numbers.T]
    assert near_duplicates._distances(*numbers).tolist() == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert near_duplicates._distances(*numbers).tolist() == expected


@pytest.mark.parametrize(
    ("groups", "count", "apart"),
    [
        ([0, 1, 2, 3], 1, 1),
        ([0, 0, 0, 3, 4, 5], 2, 2),
        ([0, 0, 0, 0, 4, 4, 4], 1, 3),  # no group fits: the smaller is nearer than nothing
        ([0, 0, 2, 2, 4, 4, 6, 6, 8, 8], 3, 2),  # 2 and 4 are as near, and fewer are set apart
        ([0] * 9 + [9], 3, 1),
        ([0, 1], 1, 1),
    ],
)
def test_whole_groups_are_set_apart_as_near_to_the_count_as_they_allow(
    groups: list[int], count: int, apart: int
) -> None:
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(groups))
        parted = part(np.array(groups), count, order)
        assert (len(parted.apart), parted.together) == (apart, True)
        assert sorted([*parted.apart, *parted.rest]) == list(range(len(groups)))
        assert not {groups[i] for i in parted.apart} & {groups[i] for i in parted.rest}


def test_images_of_one_group_are_set_apart_one_by_one_and_that_is_said() -> None:
    parted = part(np.zeros(5, dtype=np.int64), 2, np.array([3, 1, 0, 2, 4]))
    assert (parted.apart.tolist(), parted.rest.tolist(), parted.together) == ([1, 3], [0, 2, 4], False)


# Sets.


def shot(scene: int, number: int) -> np.ndarray:
    """One of a burst: moved by some pixels, lighter or darker, with noise."""
    rng = np.random.default_rng((scene, number))
    small = np.random.default_rng(scene).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    moved = cv2.warpAffine(
        picture, np.float32([[1, 0, rng.uniform(-2, 2)], [0, 1, rng.uniform(-2, 2)]]), (320, 240), borderMode=1
    )
    return np.clip(moved * rng.uniform(0.85, 1.15) + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def write_bursts(tmp_path: Path) -> Callable[..., DataConfig]:
    def write(*sizes: int, fraction: float = 0.25) -> DataConfig:
        for scene, size in enumerate(sizes):
            for number in range(size):
                name = f"{number}_{scene}"  # a burst's shots do not stand together
                quality = [cv2.IMWRITE_JPEG_QUALITY, 60 + 10 * (number % 4)]
                cv2.imwrite(str(tmp_path / f"{name}.jpg"), shot(scene, number), quality)
                write_annotation(tmp_path / f"{name}.xml", f"{name}.jpg", (240, 320), [VocObject("a", (5, 5, 50, 60))])
        groups = {"val_fraction": fraction, "val_groups": "near_duplicates"}
        return DataConfig(format="voc", root=str(tmp_path), train=(".",), **groups)

    return write


def test_shots_of_a_burst_are_on_one_side(write_bursts: Callable[..., DataConfig]) -> None:
    data = write_bursts(4, 4, 4, 4, 1, 1, 1, 1)
    train, val = load_dataset(data, "train"), load_dataset(data, "val")
    scenes = [{each.image_id(i).split("_")[1] for i in range(len(each))} for each in (train, val)]
    assert not scenes[0] & scenes[1]
    assert (len(train), len(val)) == (15, 5)
    again = load_dataset(data, "val")
    assert again.digest() == val.digest()
    parted = load_dataset(data.model_copy(update={"val_groups": "none"}), "val")
    assert parted.digest() != val.digest()


def test_a_set_of_one_burst_is_parted_all_the_same_and_told(write_bursts: Callable[..., DataConfig]) -> None:
    data = write_bursts(8)
    assert load_dataset(data, "train").problem_counts() == {}
    val = load_dataset(data, "val")
    assert (len(val), val.problem_counts()) == (2, {"near-duplicates parted": 1})


def test_a_picture_that_cannot_be_read_is_a_group_by_itself(
    write_bursts: Callable[..., DataConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_bursts(3, 1)
    hashed = near_duplicates.difference_hash

    def hash_or_refuse(path: str, *arguments: object, **more: object) -> int:
        if path.endswith("1_0.jpg"):
            raise DataError(f"{path}: damaged")
        return hashed(path, *arguments, **more)

    monkeypatch.setattr(near_duplicates, "difference_hash", hash_or_refuse)
    images = load_split(data.model_copy(update={"val_fraction": 0.0}), "train")
    assert groups_among(images).tolist() == [0, 1, 2, 0]  # 0_0, 0_1, 1_0, 2_0


def scene(seed: int, shift: int = 0) -> np.ndarray:
    """A picture of smooth blobs, moved by some pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    large = cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)
    return np.roll(large, shift, axis=1)


def test_what_looks_as_a_learned_picture_is_found_and_blank_pages_are_not(tmp_path: Path) -> None:
    pictures = {
        "train/a.png": scene(0),
        "train/b.png": scene(1),
        "train/blank.png": np.full((480, 640, 3), 250, np.uint8),
        "val/next_shot.jpg": np.clip(scene(1, shift=2).astype(int) + 12, 0, 255).astype(np.uint8),
        "val/other.png": scene(2),
        "val/blank.png": np.full((480, 640, 3), 240, np.uint8),
    }
    for name, pixels in pictures.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(file), pixels)
        write_annotation(file.with_suffix(".xml"), file.name, (480, 640), [VocObject("x", (1, 2, 60, 70))])
    data = DataConfig(format="voc", root=str(tmp_path), train="train", val="val")
    train, val = load_split(data, "train"), load_split(data, "val")
    found = {val.file_name(i): train.file_name(j) for i, j in looking_alike(train, val).items()}
    assert found == {"val/next_shot.jpg": "train/b.png"}
    assert looking_alike(train.subset([]), val) == {}
