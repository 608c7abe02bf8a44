"""A report's time and size are held against what was asked for."""

import torch

from detres.benchmarks.evaluation import Results
from detres.benchmarks.machine import Machine
from detres.benchmarks.report import measure_report
from detres.benchmarks.timing import Plan

MACHINE = Machine(torch.device("cpu"), threads=1, compile=False, rates={"float32": 1e9, "bf16": 1e9})


def test_a_small_report_is_quick_and_holds_its_pictures() -> None:
    work = Results(images=6, objects=3, detections=8, classes=4)
    seconds, size = measure_report(MACHINE, work, Plan(rounds=1, warm_up=False))
    assert (seconds.name, size.name) == ("report/seconds", "report/size")
    assert 0 < seconds.ours < 60
    # Six JPEGs and the page itself.
    assert 0.05 < size.ours < 2
