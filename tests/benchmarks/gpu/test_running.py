"""No row that fails ends the run, none begins too late, and short memory halves the batch."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import pytest
import torch

from detres.benchmarks.gpu import running
from detres.benchmarks.gpu.entries import Entry, Outcome
from detres.benchmarks.gpu.measuring import Figures
from detres.benchmarks.gpu.running import run_entries

CPU = torch.device("cpu")


def entry(name: str, measure: Callable[[int], Figures], **more: int) -> Entry:
    return Entry(f"work/{name}", measure, **more)


def rate(batch: int) -> Figures:
    return {"images_per_s": float(batch)}


def run(*entries: Entry, seconds: float = 60.0, uncompiled: str = "") -> list[Outcome]:
    return list(run_entries(entries, CPU, seconds=seconds, uncompiled=uncompiled))


def test_a_row_that_fails_says_why_and_the_next_is_measured() -> None:
    def fail(_: int) -> Figures:
        raise ValueError("no such kernel")

    failed, measured = run(entry("one", fail), entry("two", rate, batch=4))
    assert (failed.state, failed.passed) == ("failed", False)
    assert "ValueError: no such kernel" in failed.note
    assert (measured.state, measured.figures, measured.passed) == ("measured", {"images_per_s": 4.0}, True)


def test_short_memory_halves_the_batch_and_says_so() -> None:
    asked = []

    def measure(batch: int) -> Figures:
        asked.append(batch)
        if batch > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return rate(batch)

    (found,) = run(entry("one", measure, batch=12))
    assert asked == [12, 6, 3]
    assert (found.state, found.batch, found.figures) == ("measured", 3, {"images_per_s": 3.0})
    assert found.note == "with 3 images: 12 do not fit into the memory"


def test_a_card_too_small_for_one_image_is_told_and_no_fault() -> None:
    def measure(batch: int) -> Figures:
        raise torch.OutOfMemoryError("CUDA out of memory")

    found, after = run(entry("one", measure, batch=2), entry("two", rate))
    assert (found.state, found.batch, found.passed) == ("out of memory", 1, True)
    assert after.state == "measured"


def test_what_a_row_held_is_gone_before_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def __init__(self) -> None:
            self.itself = self  # As modules and their hooks hold each other.

    held: list[weakref.ref[Model]] = []
    alive: list[bool] = []
    let_go = running._let_go

    def observed(device: torch.device) -> None:
        let_go(device)
        alive.append(held[-1]() is not None)

    def measure(batch: int) -> Figures:
        model = Model()
        held.append(weakref.ref(model))
        if batch > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return rate(batch)

    monkeypatch.setattr(running, "_let_go", observed)
    run(entry("one", measure, batch=2))
    assert alive == [False, False]


def test_no_row_begins_when_the_time_is_up() -> None:
    now = [0.0]

    def slow(batch: int) -> Figures:
        now[0] += 40
        return rate(batch)

    begun: list[str] = []
    entries = [entry(name, slow) for name in ("one", "two", "three")]
    outcomes = list(
        run_entries(entries, CPU, seconds=60, begin=lambda each: begun.append(each.name), clock=lambda: now[0])
    )
    assert begun == ["work/one", "work/two"]
    assert [each.state for each in outcomes] == ["measured", "measured", "left out"]
    assert (outcomes[0].seconds, outcomes[2].note) == (40, "60 s are over")


def test_rows_that_compile_are_left_out_with_the_reason() -> None:
    left, measured = run(Entry("work/one", rate, compiles=True), Entry("work/two", rate), uncompiled="no C++ compiler")
    assert (left.state, left.note, left.passed) == ("left out", "no C++ compiler", True)
    assert measured.state == "measured"


def test_a_device_that_no_longer_answers_ends_the_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    def illegal(_: int) -> Figures:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(running, "_answers", lambda device: False)
    failed, *others = run(entry("one", illegal), entry("two", rate), entry("three", rate))
    assert failed.state == "failed"
    assert [each.state for each in others] == ["left out"] * 2
    assert others[0].note == "the device no longer answers after work/one"


def test_this_device_answers() -> None:
    assert running._answers(CPU)
    assert not running._answers(torch.device("meta"))


def test_a_check_that_fails_is_told() -> None:
    (found,) = run(entry("one", lambda _: {"passed": False, "what": "other"}))
    assert (found.state, found.passed) == ("measured", False)


def test_nothing_is_nothing() -> None:
    assert run() == []
