"""The proposals of a set, made by ranks in shares; ranks are threads here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from detres.config.loading import load_config
from detres.reporter import SILENT
from detres.tasks.localization import proposals
from detres.tasks.localization.proposals import SetProposals, training_proposals

IMAGES = 5
UNREADABLE = 3


def boxes_of(image: int) -> np.ndarray:
    return np.arange(4 * (image + 1), dtype=np.float32).reshape(-1, 4)


class Images:
    name = "a/set"

    def digest(self) -> str:
        return "digest"

    def __len__(self) -> int:
        return IMAGES


class Making:
    """By ranks as threads; made: each image as often as a rank made it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch, self.made = folder, patch, list[int]()
        self.rpn = folder / "checkpoints" / "last" / "model.safetensors"
        self.rpn.parent.mkdir(parents=True)
        self.rpn.write_bytes(b"weights")

    def by(self, world: int) -> list[SetProposals]:
        """What each rank got."""
        place, together = threading.local(), threading.Barrier(world)

        def of_a_rank(*_: object) -> dict[int, np.ndarray]:
            mine = [image for image in range(place.rank, IMAGES, world) if image != UNREADABLE]
            self.made.extend(mine)
            return {image: boxes_of(image) for image in reversed(mine)}

        def run(rank: int) -> SetProposals:
            place.rank = rank
            return training_proposals(None, self.rpn, load_config("shapes_loc_r18"), Images(), None, SILENT)  # type: ignore[arg-type]

        self.patch.setattr(proposals, "rank", lambda: place.rank)
        self.patch.setattr(proposals, "world_size", lambda: world)
        self.patch.setattr(proposals, "is_main", lambda: place.rank == 0)
        self.patch.setattr(proposals, "barrier", lambda: together.wait(30))
        self.patch.setattr(proposals, "broadcast_from_main", self._told(place, together))
        self.patch.setattr(proposals, "_made", of_a_rank)
        with ThreadPoolExecutor(world) as pool:
            return list(pool.map(run, range(world)))

    def _told(self, place: threading.local, together: threading.Barrier) -> Callable[[object], object]:
        said: list[object] = []

        def broadcast(value: object) -> object:
            if place.rank == 0:
                said.append(value)
            together.wait(30)
            return said[0]

        return broadcast


@pytest.fixture
def making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Making:
    return Making(tmp_path / "rpn", monkeypatch)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_make_their_shares_and_all_read_the_whole(making: Making, world: int) -> None:
    results = making.by(world)
    assert sorted(making.made) == [0, 1, 2, 4]
    for found in results:
        for image in range(IMAGES):
            expected = [[0, 0, 1, 1]] if image == UNREADABLE else boxes_of(image).tolist()
            assert found.of(image).tolist() == expected
    (kept,) = (making.folder / "proposals").iterdir()
    assert kept.name.startswith("a-set-")


def test_what_is_kept_is_not_made_again(making: Making) -> None:
    making.by(2)
    before = list(making.made)
    (again,) = making.by(1)
    assert making.made == before
    assert again.of(4).tolist() == boxes_of(4).tolist()
