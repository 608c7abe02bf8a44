import io
from pathlib import Path

from detres.training.logging.logger import RunStart
from detres.training.logging.terminal import open_terminal

VALUES = {"lr": 0.02, "loss_rpn_box": 0.031, "loss": 0.842, "top1_error": 0.31, "gradient_norm": 1.5}
TIMING = {"seconds_per_step": 0.21, "waiting_for_data": 0.01}


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def tell(stream) -> str:
    terminal = open_terminal(stream)
    terminal.start(RunStart(Path("run"), steps=1220))
    terminal.completed(1200)
    terminal.metrics("train", 1200, VALUES | TIMING)
    terminal.metrics("eval", 1200, {"AP": 0.41234, "APs": None, "per_class": {}})
    terminal.metrics("event", 1200, {"message": "[a word]"})
    terminal.finish()
    return stream.getvalue()


def test_a_pipe_gets_one_line_a_report():
    assert tell(io.StringIO()).splitlines() == [
        "step 1200 lr 0.0200 loss 0.842 rpn_box 0.0310 top1_error 0.310 0.21 s/step eta 0:00:04",
        "step 1200 AP 0.4123 APs -",
        "step 1200 [a word]",
    ]


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert tell(Screen()) == tell(io.StringIO())


def test_a_terminal_gets_a_bar_with_losses_and_speed(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")
    text = tell(Screen())
    for part in ("1200/1220", "0.21 s/step", "loss 0.842", "AP 0.4123", "[a word]"):
        assert part in text
