"""Both sides crop the same files, and a crop of another file is told from the right one."""

from pathlib import Path

import pytest
import torch

from detres.benchmarks.classification.data import (
    WORKS,
    CropWork,
    drawn_box,
    our_batches,
    same_crops,
    their_batches,
    write_pictures,
)
from detres.data.classification.crops import AreaCropping, PadCropping, ScaleCropping

AREA = CropWork("area", AreaCropping(32), 150, 200, noise=0.1, target=1.0, count=5, batch=2)
SCALE = CropWork("scale", ScaleCropping(32, (36, 60)), 200, 150, noise=0.1, target=1.0, count=5, batch=2)


@pytest.mark.parametrize("work", [AREA, SCALE])
def test_batches_are_as_large_on_both_sides(tmp_path: Path, work: CropWork) -> None:
    assert write_pictures(tmp_path, work) > 1000
    before = torch.random.get_rng_state()
    ours, theirs = list(our_batches(tmp_path, work)), list(their_batches(tmp_path, work))
    torch.random.set_rng_state(before)
    assert [tuple(batch.images.shape) for batch in ours] == [(2, 32, 32, 3), (2, 32, 32, 3), (1, 32, 32, 3)]
    assert [tuple(images.shape) for images, _ in theirs] == [(2, 3, 32, 32), (2, 3, 32, 32), (1, 3, 32, 32)]
    assert all(images.dtype == torch.float32 for images, _ in theirs)


@pytest.mark.parametrize("work", [AREA, SCALE])
def test_crops_are_pillows_and_another_picture_is_not(tmp_path: Path, work: CropWork) -> None:
    write_pictures(tmp_path, work)
    check = same_crops(tmp_path, work)
    assert check.passed, check.what
    boxes = [drawn_box(work, place) for place in range(work.count)]
    assert len(set(boxes)) == work.count


def test_crops_that_differ_fail_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, AREA)
    monkeypatch.setattr(
        "detres.benchmarks.classification.data.drawn_box", lambda work, draw_key: drawn_box(work, draw_key + 1)
    )
    assert not same_crops(tmp_path, AREA).passed


def test_croppings_without_a_peer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="has no peer"):
        their_batches(tmp_path, CropWork("pad", PadCropping(32, 4), 32, 32, 0.1, 1.0))


def test_the_issues_targets_have_their_rows() -> None:
    assert {work.name: work.target for work in WORKS} == {
        "area": 1.8,
        "scale": 2.7,
        "area_large": 4.0,
        "scale_large": 4.0,
    }
