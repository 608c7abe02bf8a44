from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from detres.training.best import Best
from detres.training.logging.live_line import LiveLine, Progress
from detres.training.logging.logger import RunStart

DETAILS = ["rpn_objectness 0.0310", "rpn_box 0.0312", "roi_class 0.310", "roi_box 0.215", "lr 0.0200", "0.21 s/step"]
FULL = Progress(90_000, 60_123, left=65_000.0, loss="0.842", best=Best("AP50", 0.6333, 55_000), details=DETAILS)


def shown(progress: Progress, width: int, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(progress)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (120, "step 60123/90000  BAR  18:03:20 left  loss 0.842  best AP50 63.33 % at 55000"),
        (100, "step 60123/90000  BAR  18:03:20 left  loss 0.842  best AP50 63.33 % at 55000"),
        (72, "60123/90000  BAR  18:03:20  loss 0.842  best AP50 63.33 %"),
        (58, "60123/90000  BAR  18:03:20  loss 0.842  AP50 63.3 %"),
        (45, "60123/90000  18:03:20  loss 0.842  AP50 63 %"),
        (40, "60123/90000  18:03:20  loss 0.842"),
        (30, "60123/90000  loss 0.842"),
        (20, "60123/90000  0.842"),
        (12, "60123/90000"),
        (5, "60123"),
    ],
)
def test_the_first_line_says_what_there_is_room_for(width, line):
    first = shown(FULL, width)[0]
    assert " ".join(first.replace("━", "").replace("╸", "").split()) == " ".join(line.replace("BAR", "").split())
    assert ("━" in first) == ("BAR" in line)


@pytest.mark.parametrize("width", range(1, 201))
@pytest.mark.parametrize("progress", [FULL, Progress(94, 0), Progress(94, 94, left=0.0, loss="0.1")])
def test_no_line_is_longer_than_the_terminal_is_wide(width, progress):
    assert max(map(len, shown(progress, width))) <= width


def test_at_sixty_columns_step_bar_time_loss_and_the_best_are_there():
    first = shown(FULL, 60)[0]
    for piece in ("60123/90000", "━", "18:03:20", "loss 0.842", "AP50 63.33 %"):
        assert piece in first


def test_losses_stand_below_where_there_is_room():
    assert shown(FULL, 80)[1:] == [
        "rpn_objectness 0.0310  rpn_box 0.0312  roi_class 0.310  roi_box 0.215  lr 0.0200",
        "0.21 s/step",
    ]
    assert len(shown(FULL, 20)) == 1  # They would take six lines.
    assert len(shown(FULL, 80, height=7)) == 1


def test_the_bar_grows_with_the_steps():
    bars = [shown(Progress(100, step), 60)[0].count("━") for step in (0, 50, 100)]
    assert bars[0] == 0 < bars[1] < bars[2]
    assert bars[2] <= 60


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def live(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")
    clock, screen = Clock(), Screen()
    line = LiveLine(screen, clock=clock)
    yield line, clock, screen
    line.finish()


CONFIG = {"training": {"batch": 16, "best_metric": "AP50"}}
TRAIN = {"lr": 0.02, "loss_rpn_box": 0.031, "loss": 0.842, "gradient_norm": 1.0}
TIMING = {"seconds_per_step": 0.5, "waiting_for_data": 0.0, "images_per_second": 32.0, "peak_memory_gib": 3.14}


def test_time_left_is_that_of_the_last_minutes(live):
    line, clock, _ = live
    line.start(RunStart(Path("run"), CONFIG, steps=1000, step=100))
    for step in range(101, 201):
        clock.now += 10.0
        line.completed(step)
    assert line._progress.left == pytest.approx(8000.0)
    for step in range(201, 501):  # ten times as fast from now on
        clock.now += 1.0
        line.completed(step)
    assert line._progress.left == pytest.approx(500.0, rel=0.05)


def test_a_run_that_goes_on_begins_with_its_best_and_keeps_it(live):
    line, _, screen = live
    line.start(RunStart(Path("run"), CONFIG, steps=1000, step=100, best=Best("AP50", 0.5, 90)))
    line.completed(101)
    line.metrics("train", 101, TRAIN | TIMING)
    line.metrics("eval", 101, {"AP50": 0.4, "AP": 0.2})
    assert line._progress.best == Best("AP50", 0.5, 90)
    line.metrics("eval", 102, {"AP50": 0.6, "AP": 0.2})
    line.metrics("eval", 103, {"AP50": None})
    assert line._progress.best == Best("AP50", 0.6, 102)
    line.metrics("event", 103, {"message": "[a word]"})
    line.finish()
    text = screen.getvalue()
    for part in ("AP50 0.4", "[a word]", "rpn_box 0.0310", "32 images/s", "0.50 s/step", "3.1 GiB", "loss 0.842"):
        assert part in text


def test_a_run_without_config_is_shown_as_well(live):
    line, _, screen = live
    line.start(RunStart(Path("run"), steps=10))
    line.metrics("train", 1, TRAIN | TIMING)
    line.metrics("eval", 1, {"AP50": 0.4})
    line.finish()
    assert "AP50 0.4" in screen.getvalue()
    assert "best" not in screen.getvalue()


def test_a_terminal_knows_its_width_better_than_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "120")
    assert LiveLine(io.StringIO())._console.width == 120
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((60, 24)))
    with open(tmp_path / "tty", "w", encoding="utf-8") as terminal:
        assert LiveLine(terminal)._console.width == 60
