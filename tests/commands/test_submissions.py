"""eval_det on tests whose boxes only a server knows."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

FEW = ("--device", "cpu", "data.workers=0", "test.score=0", "test.nms=1.0")


@pytest.fixture
def test_dev(tmp_path: Path) -> Path:
    """--data of two images in the form of COCO's test-dev; the ids of the tiny set's classes are ids of COCO's."""
    (tmp_path / "test2017").mkdir()
    for number in (1, 9):
        picture = np.random.default_rng(number).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "test2017" / f"{number:012d}.jpg"), picture)
    write_list(tmp_path, [1, 9], {3: "square", 7: "disc"})
    data = tmp_path / "data.yaml"
    data.write_text("format: coco\ntest: image_info_test-dev2017.json\n")
    return data


def write_list(folder: Path, image_ids: list[int], categories: dict[int, str]) -> None:
    content = {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", "height": 64, "width": 96} for i in image_ids],
        "categories": [{"id": i, "name": name} for i, name in categories.items()],
    }
    (folder / "image_info_test-dev2017.json").write_text(json.dumps(content))


@pytest.mark.slow
def test_a_coco_test_becomes_a_zip_for_its_server(
    done: Callable[..., str], trained: Path, test_dev: Path, tmp_path: Path
) -> None:
    told = done("eval_det", "--weights", trained, "--data", test_dev, "--out", tmp_path / "out", *FEW)
    file = tmp_path / "out" / "detections_test-dev2017_detres_results.zip"
    assert "coco-test-dev2017: nothing is annotated" in told
    assert told.endswith(f"written to {tmp_path / 'out'}; for the evaluation server: {file}\n")
    with zipfile.ZipFile(file) as archive:
        packed = json.loads(archive.read("detections_test-dev2017_detres_results.json"))
    kept = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert len(packed) == len(kept) > 0
    assert {(row["image_id"], row["category_id"]) for row in packed} <= {(i, c) for i in (1, 9) for c in (3, 7)}
    np.testing.assert_allclose([row["bbox"] for row in packed], [row["bbox"] for row in kept], atol=0.0051)


@pytest.mark.slow
def test_images_that_are_missing_are_refused_and_told_where_they_may_be(
    done: Callable[..., str], refused: Callable[..., str], trained: Path, test_dev: Path, tmp_path: Path
) -> None:
    (tmp_path / "test2017" / f"{9:012d}.jpg").unlink()
    command = ("eval_det", "--weights", trained, "--data", test_dev, "--out", tmp_path / "out", *FEW)
    assert "leave them out with data.strict=false:\n  image missing: test2017/" in refused(*command, kind="DataError")
    told = done(*command, "data.strict=false")
    assert (
        "warning: 1 of its images are left out, and a server counts nothing on them: image missing: test2017/" in told
    )


@pytest.mark.slow
def test_what_the_server_would_not_take_is_refused_and_the_detections_stay(
    refused: Callable[..., str], trained: Path, test_dev: Path, tmp_path: Path
) -> None:
    write_list(tmp_path, [1], {3: "square", 12: "disc"})
    message = refused(
        "eval_det", "--weights", trained, "--data", test_dev, "--out", tmp_path / "out", *FEW, kind="DataError"
    )
    assert "category ids 12 are none of COCO's; take the server's own image_info file" in message
    assert (tmp_path / "out" / "detections.json").is_file()
    assert not list((tmp_path / "out").glob("*.zip"))


@pytest.mark.slow
def test_more_than_the_server_takes_is_refused_before_anything_is_detected(
    refused: Callable[..., str], trained: Path, test_dev: Path, tmp_path: Path
) -> None:
    command = ("eval_det", "--weights", trained, "--data", test_dev, "--out", tmp_path / "out", *FEW)
    message = refused(*command, "test.max_detections=300")
    assert "test.max_detections=300: the server of coco-test-dev2017 takes 100 of an image" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_test_of_vocs_becomes_an_archive_of_the_devkits_results(
    done: Callable[..., str], trained: Path, tiny: Any, tmp_path: Path
) -> None:
    year = tmp_path / "VOCdevkit" / "VOC2012"
    (year / "ImageSets" / "Main").mkdir(parents=True)
    (year / "JPEGImages").symlink_to(tiny.root / "JPEGImages")
    (year / "ImageSets" / "Main" / "test.txt").write_text("000008\n000009\n")
    (tmp_path / "data.yaml").write_text("format: voc\ntest: 2012/test\nclasses: [person, tvmonitor]\n")
    weights = renamed(trained, tmp_path, ["tv", "person"])
    told = done("eval_det", "--weights", weights, "--data", tmp_path / "data.yaml", "--out", tmp_path / "out", *FEW)
    assert "1 classes of the set have another name in the model: tvmonitor (tv)" in told
    with tarfile.open(tmp_path / "out" / "results.tgz") as archive:
        names = archive.getnames()
        assert names == [f"results/VOC2012/Main/comp4_det_test_{name}.txt" for name in ("person", "tvmonitor")]
        for name in names:
            content = archive.extractfile(name).read().decode()
            assert content == (tmp_path / "out" / Path(name).name).read_text()
            assert {line.split()[0] for line in content.splitlines()} <= {"000008", "000009"}


def renamed(run: Path, folder: Path, class_names: list[str]) -> Path:
    """The run's detector with other names for its classes."""
    file = run / "checkpoints" / "last" / "model.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    del metadata["checksum"]  # of the text as it was
    settings = json.loads(metadata["detres"])
    settings["model"]["class_names"] = class_names
    save_file(load_file(file), folder / "renamed.safetensors", {**metadata, "detres": json.dumps(settings)})
    return folder / "renamed.safetensors"


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """A file of one detection, as any detector may have left it."""

    def write(**stated: Any) -> Path:
        detection = {"image_id": 9, "category_id": 3, "bbox": [1.5, 2.0, 3.0, 4.0], "score": 0.5} | stated
        (tmp_path / "mine.json").write_text(json.dumps([detection]))
        return tmp_path / "mine.json"

    return write


def test_detections_of_a_file_are_packed_as_those_of_a_model(
    done: Callable[..., str], saved: Callable[..., Path], test_dev: Path, tmp_path: Path
) -> None:
    told = done("eval_det", "--detections", saved(), "--data", test_dev, "--out", tmp_path / "out")
    assert "detections_test-dev2017_detres_results.zip" in told
    with zipfile.ZipFile(tmp_path / "out" / "detections_test-dev2017_detres_results.zip") as archive:
        assert json.loads(archive.read(archive.namelist()[0])) == json.loads(saved().read_text())


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"image_id": 123}, "1 × unknown image id, such as 123"),
        ({"category_id": 1}, "1 × unknown category id, such as 1"),
        ({"score": 7}, "1 × score outside 0..1, such as 7.0"),
        ({"bbox": [90, 2, 30, 4]}, "1 × box outside its image, such as [90.0, 2.0, 30.0, 4.0] on 96x64 pixels"),
    ],
)
def test_a_submission_that_does_not_fit_its_set_is_one_message(
    refused: Callable[..., str],
    saved: Callable[..., Path],
    test_dev: Path,
    tmp_path: Path,
    stated: dict[str, Any],
    message: str,
) -> None:
    command = ("eval_det", "--detections", saved(**stated), "--data", test_dev, "--out", tmp_path / "out")
    assert message in refused(*command, kind="DataError")
    assert not list((tmp_path / "out").glob("*.zip"))
