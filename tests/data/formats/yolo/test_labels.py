"""What the lines of YOLO's label files mean, by the data.yaml or by nothing but themselves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.yolo.meanings import other_meaning
from detres.data.formats.yolo.reading import load_yolo
from detres.errors import DataError

Load = Callable[..., AnnotatedImages]
BOX = "0 0.5 0.5 0.2 0.2"
PIXELS = [24.0, 16.0, 36.0, 24.0]  # of BOX on 60x40


@pytest.fixture
def load(tmp_path: Path, write_picture: Callable[..., Path]) -> Load:
    def load(*labels: str | bytes, yaml: str = "names: [cat, dog]", ending: str = ".txt") -> AnnotatedImages:
        """Images 0.png, 1.png and so on with these contents as labels."""
        (tmp_path / "labels").mkdir(exist_ok=True)
        for number, content in enumerate(labels):
            write_picture(tmp_path / "images" / f"{number}.png")
            data = content.encode() if isinstance(content, str) else content
            (tmp_path / "labels" / f"{number}{ending}").write_bytes(data)
        (tmp_path / "data.yaml").write_text(yaml)
        return load_yolo(tmp_path, "images")

    return load


def rounded(images: AnnotatedImages) -> list[list[float]]:
    return np.round(images.boxes, 3).tolist()


@pytest.mark.parametrize(
    "content",
    [
        *(f"{BOX}\n", f"\n{BOX}  \r\n\r\n", f"{BOX}".replace(" ", "\t"), "0.0 5e-1 .5 +0.2 0.20", f"\ufeff{BOX}\n"),
        *(f"{BOX}\r\n".encode("utf-16"), f"{BOX}\r".encode()),
    ],
)
def test_a_box_is_read_from_any_editor(load: Load, content: str | bytes) -> None:
    images = load(content)
    assert (rounded(images), images.labels.tolist(), images.problems) == ([PIXELS], [0], ())


def test_labels_with_an_upper_case_ending_are_found(load: Load) -> None:
    assert rounded(load(BOX, ending=".TXT")) == [PIXELS]


@pytest.mark.parametrize(
    "line",
    [
        *("0.5 0.5 0.5 0.2 0.2", "cat 0.5 0.5 0.2 0.2", "nan 0.5 0.5 0.2 0.2", "1e400 0.5 0.5 0.2 0.2"),
        *("0 nan 0.5 0.2 0.2", "0 inf 0.5 0.2 0.2", f"0 0.5 0.5 0.2 1{'0' * 400}", "0 0,5 0,5 0,2 0,2"),
        *("0", "0 0.5 0.5", "0 0.5 0.5 0.2", "0,0.5,0.5,0.2,0.2", "0 1_0 0.5 0.2 0.2"),
    ],
)
def test_a_line_that_is_no_label_is_counted_and_costs_only_itself(load: Load, line: str) -> None:
    images = load(f"{BOX}\n{line}\n")
    assert rounded(images) == [PIXELS]
    (problem,) = images.problems
    assert (problem.kind, problem.file) == ("annotation malformed", "labels/0.txt")
    assert problem.detail.startswith("line 2: got ")


def test_a_number_that_is_no_class_is_unknown(load: Load) -> None:
    assert load(f"{BOX}\n-1 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.2 0.2").problem_counts() == {"unknown class": 2}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("0 0.5 0.5 0.2 0.2 # für".encode("latin-1"), "line 1 is no UTF-8 text"),
        (BOX.encode("utf-16-le"), "it holds zero bytes"),
        (b" " * (8 * 2**20 + 1), "it is larger than 8 MiB"),
    ],
)
def test_a_label_file_that_cannot_be_read_costs_its_image(load: Load, content: bytes, expected: str) -> None:
    images = load(BOX, content)
    assert len(images) == 1
    (problem,) = images.problems
    assert (problem.kind, problem.file, problem.costs_image) == ("annotation malformed", "labels/1.txt", True)
    assert expected in problem.detail


# What data.yaml says.


@pytest.mark.parametrize(
    ("shape", "keypoints"),
    [
        ("[3, 2]", "0.45 0.45 0 0 0.55 0.55"),
        ("[2, 3]", "0.45 0.45 2 0.5 0.5 1"),
        ("[1, 3]", "0.45 0.45 2"),
        ("[4, 2]", "0.9 0.9 0.1 0.9 0.1 0.1 0.9 0.1"),
        ("['2', 2.0]", "0.45 0.45 0.55 0.55"),
    ],
)
def test_with_kpt_shape_the_first_four_numbers_are_the_box(load: Load, shape: str, keypoints: str) -> None:
    images = load(f"{BOX} {keypoints}\n0 0.2 0.2 0.1 0.1\n", yaml=f"names: [cat]\nkpt_shape: {shape}\n")
    assert (rounded(images)[0], len(images.boxes), images.problems) == (PIXELS, 2, ())


def test_a_line_that_is_not_as_kpt_shape_says_is_left_out(load: Load) -> None:
    lines = f"{BOX}\n{BOX} 0.45 0.45\n{BOX} 0.4 0.4 0.6 0.4 0.6 0.6 0.4 0.6\n{BOX} 0.45 0.45 0.5 0.5 0.9\n"
    images = load(lines, yaml="names: [cat]\nkpt_shape: [2, 2]\n")
    assert rounded(images) == [PIXELS]
    assert images.problem_counts() == {"label of other meaning": 3}
    assert "expected 8 numbers behind the class" in images.problems[0].detail


@pytest.mark.parametrize("shape", ["[17, 4]", "17", "[0, 2]", "[a, 2]", "[17]", "[1.5, 2]"])
def test_a_kpt_shape_that_is_none_is_refused(load: Load, shape: str) -> None:
    with pytest.raises(DataError, match=r"kpt_shape: got .*expected \[K, 2\] or \[K, 3\]"):
        load(BOX, yaml=f"names: [cat]\nkpt_shape: {shape}\n")


def test_a_pose_set_without_kpt_shape_is_refused(load: Load) -> None:
    with pytest.raises(DataError, match="pose needs kpt_shape"):
        load(BOX, yaml="names: [cat]\ntask: pose\n")


def test_stated_polygons_are_polygons_whatever_they_look_like(load: Load) -> None:
    images = load(f"{BOX} 0.45 0.45 0 0 0.55 0.55", yaml="names: [cat]\ntask: segment\n")
    assert (rounded(images), images.problems) == ([[0, 0, 33, 22]], ())


# What lines say by themselves.


@pytest.mark.parametrize(
    ("more", "taken"),
    [
        ("0.93", "a box and its confidence, or its track's id"),
        ("7", "a box and its confidence, or its track's id"),
        ("0.93 7", "a box, its confidence and its track's id"),
        ("0.93 1", "a box, its confidence and its track's id"),
        ("0.8 0", "a box, its confidence and its track's id"),
        ("0 0.9", "a box, its confidence and its track's id"),
        ("12 0.9", "a box, its confidence and its track's id"),
        ("0.8 -1", "a box, its confidence and its track's id"),
        ("0.45 0.45 0.55 0.55 3 0.92", "a box, 2 keypoints of 2 numbers, a confidence and a track's id"),
        ("0.45 0.45", "a box, 1 keypoints of 2 numbers"),
        ("0.45 0.45 2", r"a box and 1 keypoints of 3 numbers \(state kpt_shape: \[1, 3\]"),
        ("0.45 0.45 0 0 0.55 0.55", "a box, 3 keypoints of 2 numbers"),
        ("0.45 0.45 0.5 0.52 0.55 0.55", "a box, 3 keypoints of 2 numbers"),
        ("0.45 0.45 2 0.5 0.5 1", "a box, 2 keypoints of 3 numbers"),
        (
            "0.45 0.45 2 0 0 0 0.5 0.5 1",
            r"a box and 3 keypoints of 3 numbers \(state kpt_shape: \[3, 3\]",
        ),
        ("0.45 0.45 0.97 0.5 0.5 0.88", "a box, 2 keypoints of 3 numbers"),
        ("0.45 0.45 0.97 0.5 0.5 0.88 0.55 0.5 0.1 0.92", "a box, 3 keypoints of 3 numbers and a confidence"),
        ("0.45 0.45 0.55 0.55 0.92 3", "a box, 2 keypoints of 2 numbers, a confidence and a track's id"),
        ("0.4 0.4 0.6 0.4 0.6 0.6 0.4 0.6 0.9", "a polygon or keypoints, and a confidence or a track's id"),
    ],
)
def test_lines_of_other_meaning_are_asked_about_and_never_polygons(load: Load, more: str, taken: str) -> None:
    images = load(f"{BOX} {more}", BOX)
    assert rounded(images) == [PIXELS]
    (problem,) = images.problems
    assert (problem.kind, problem.file) == ("label of other meaning", "labels/0.txt")
    with pytest.raises(AssertionError, match=taken):
        raise AssertionError(problem.detail)


@pytest.mark.parametrize(
    "corners",
    [
        "0.1 0.1 0.3 0.1 0.3 0.5",
        "0.2 0.2 0.8 0.2 0.8 0.8 0.2 0.8",
        "0.45 0.3 0.62 0.41 0.55 0.58 0.38 0.47",
        "0.5 0.2 0.9 0.5 0.5 0.9",
        "0 0 1 0 1 1 0 1",
        "0 0 1 0 0 1",
        "0.9 0.9 0.95 0.9 0.95 0.95 0.93 0.97 0.9 0.95",
    ],
)
def test_polygons_and_turned_boxes_stay_what_they_are(load: Load, corners: str) -> None:
    images = load(f"0 {corners}")
    xs, ys = np.array(corners.split(), dtype=float).reshape(-1, 2).T
    expected = [xs.min() * 60, ys.min() * 40, xs.max() * 60, ys.max() * 40]
    np.testing.assert_allclose(images.boxes[0], expected, rtol=1e-5)
    assert not images.problems


@pytest.mark.parametrize("yaml", ["names: [cat, dog]", "names: [cat, dog]\ntask: segment"])
@pytest.mark.parametrize("corner", ["12 0.9", "0.4 -0.11", "0.4 1.2", "640 480"])
def test_corners_far_outside_the_image_are_no_polygons(load: Load, yaml: str, corner: str) -> None:
    polygon = "0 0.2 0.2 0.8 0.2 0.8 0.8 0.2 0.8"
    images = load(f"{polygon}\n{polygon.replace('0.2 0.8', '0.2 0.7')}\n0 0.1 0.1 0.9 0.1 {corner}", yaml=yaml)
    assert (len(images.boxes), images.problem_counts()) == (2, {"label of other meaning": 1})
    assert "line 3" in images.problems[0].detail


def test_a_polygon_a_little_outside_the_image_is_clipped(load: Load) -> None:
    images = load("0 -0.05 0.2 0.8 0.2 0.8 1.05")
    assert (len(images.boxes), images.problem_counts()) == (1, {"box outside the image": 1})


def _polygons(rng: np.random.Generator, corners: int) -> np.ndarray:
    """(200, corners, 2) convex polygons of any size and place in the image."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, (200, corners)), axis=1)
    radii = rng.uniform(0.005, 0.25, (200, 1, 2))
    centres = radii[:, 0] + rng.uniform(0, 1, (200, 2)) * (1 - 2 * radii[:, 0])
    return centres[:, None] + radii * np.stack([np.cos(angles), np.sin(angles)], axis=2)


@pytest.mark.parametrize("corners", [3, 4, 6, 20])
def test_of_a_set_of_polygons_hardly_any_fits_another_meaning(corners: int) -> None:
    polygons = _polygons(np.random.default_rng(corners), corners).reshape(200, -1)
    assert sum(other_meaning(each.tolist()) is not None for each in polygons) < 20


@pytest.mark.parametrize(("points", "each"), [(1, 2), (4, 2), (17, 2), (2, 3), (17, 3)])
def test_most_lines_of_a_set_of_poses_fit_keypoints(points: int, each: int) -> None:
    rng = np.random.default_rng(points)
    found = 0
    for _ in range(200):
        w, h = rng.uniform(0.02, 0.4, 2)
        cx, cy = w / 2 + rng.uniform() * (1 - w), h / 2 + rng.uniform() * (1 - h)
        xy = np.array([cx, cy]) + rng.uniform(-0.5, 0.5, (points, 2)) * (w, h)
        rows = xy if each == 2 else np.concatenate([xy, rng.integers(0, 3, (points, 1))], axis=1)
        numbers = [cx, cy, w, h, *rows.ravel().tolist()]
        found += len(numbers) % 2 == 0 and other_meaning(numbers) is not None
    assert found > 100 or (4 + points * each) % 2


def test_a_polygon_that_looks_like_a_pose_is_one_among_polygons(load: Load) -> None:
    pose, polygon = f"{BOX} 0.45 0.45 0.5 0.52 0.55 0.55", "0 0.2 0.2 0.8 0.2 0.8 0.8 0.2 0.8"
    images = load(f"{pose}\n{polygon}\n{polygon.replace('0.8', '0.7')}\n")
    assert (len(images.boxes), images.problems) == (3, ())
    images = load(f"{pose}\n{polygon}\n{pose}\n")
    assert images.problem_counts() == {"label of other meaning": 3}
    assert "among lines that are no polygons" in images.problems[1].detail


# Boxes so large that width and height are a point in them.
LARGE = "0 0.5 0.5 0.6 0.6"
_THREES = "0.3 0.3 2 0.4 0.4 1 0.6 0.7 2 0.5 0.5 0"


@pytest.mark.parametrize(
    "points",
    [
        "0.40 0.40 0.41 0.41 0.42 0.42 0.43 0.43 0.44 0.44",
        "0.3 0.4",
        "0.25 0.3 0.75 0.7",
        "0.3 0.3 0.7 0.3 0.7 0.7 0.3 0.7",
        _THREES,
    ],
)
def test_keypoints_in_large_boxes_are_asked_about_where_all_lines_have_as_many(load: Load, points: str) -> None:
    other = f"1 0.48 0.5 0.6 0.62 {points}"
    images = load(f"{LARGE} {points}\n{BOX}", other, f"{LARGE} {points}", "")
    assert rounded(images) == [PIXELS]
    assert images.problem_counts() == {"label of other meaning": 3}
    count = len(points.split()) // (3 if points == _THREES else 2)
    assert all(f"a box, {count} keypoints of {len(points.split()) // count}" in each.detail for each in images.problems)


@pytest.mark.parametrize("another", ["0.3 0.3 0.7 0.3 0.7 0.7", "0.1 0.4"])
def test_lines_of_other_lengths_or_with_points_outside_make_polygons_of_all(load: Load, another: str) -> None:
    images = load(f"{LARGE} 0.3 0.4\n{LARGE} 0.7 0.3", f"{LARGE} {another}")
    assert (len(images.boxes), images.problems) == (3, ())
    images = load(f"{LARGE} 0.3 0.4\n{LARGE} 0.7 0.3", "", yaml="names: [cat, dog]\ntask: segment")
    assert (len(images.boxes), images.problems) == (2, ())


def _lines(polygons: np.ndarray) -> str:
    return "\n".join("0 " + " ".join(f"{value:.6f}" for value in each.ravel()) for each in polygons)


def _rectangles(rng: np.random.Generator, largest: float, turned: bool) -> np.ndarray:
    """(60, 4, 2) corners of rectangles around the middle of the image, rounded to pixels of 640."""
    sides = rng.uniform(0.02, largest, (60, 2)) / 2
    corners = sides[:, None] * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    angles = rng.uniform(0, np.pi, 60) * turned
    turn = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 1, 0)
    return np.round((rng.uniform(0.4, 0.5, (60, 1, 2)) + corners @ turn) * 640) / 640


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("largest", [0.05, 0.3])
def test_a_set_of_rectangles_is_one_of_polygons(load: Load, largest: float, turned: bool) -> None:
    """Small ones in the middle all lie in the boxes that their first corners would be."""
    rectangles = _rectangles(np.random.default_rng(3), largest, turned)
    images = load(_lines(rectangles))
    assert (len(images.boxes), images.problem_counts()) == (60, {})


@pytest.mark.parametrize("corners", [3, 4, 5])
def test_a_set_of_polygons_of_equally_many_corners_is_one_of_polygons(load: Load, corners: int) -> None:
    images = load(_lines(_polygons(np.random.default_rng(corners), corners)))
    assert (len(images.boxes), images.problem_counts()) == (200, {})
