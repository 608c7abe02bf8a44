from __future__ import annotations

from pathlib import Path

import pytest

from detres.data.loading import usual_workers as module
from detres.data.loading.usual_workers import cores, usual_workers


@pytest.fixture
def sixty_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


@pytest.mark.parametrize(
    ("limit", "number"),
    [("max 100000", 64), ("800000 100000", 8), ("150000 100000", 2), ("10000 100000", 1), ("", 64), ("1 0", 64)],
)
def test_a_container_has_a_part_of_the_machine(sixty_four: None, tmp_path: Path, limit: str, number: int) -> None:
    file = tmp_path / "sys/fs/cgroup/cpu.max"
    file.parent.mkdir(parents=True)
    file.write_text(limit)
    assert cores(tmp_path) == number


def test_without_control_groups_all_cores_that_the_process_may_use_count(sixty_four: None, tmp_path: Path) -> None:
    assert cores(tmp_path) == 64


@pytest.mark.parametrize(("there", "ranks", "number"), [(64, 1, 16), (64, 8, 8), (2, 1, 2), (2, 8, 1)])
def test_ranks_share_the_cores(monkeypatch: pytest.MonkeyPatch, there: int, ranks: int, number: int) -> None:
    monkeypatch.setattr(module, "cores", lambda: there)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert usual_workers() == number
