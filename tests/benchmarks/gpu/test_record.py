"""Whatever was measured is on the disk at once, with the row at which a run died."""

import json
from pathlib import Path

import torch

from detres.benchmarks.gpu.entries import Entry, Outcome
from detres.benchmarks.gpu.record import Record
from detres.benchmarks.machine import Machine

MACHINE = Machine(torch.device("cpu"), threads=2, compile=False, rates={"float32": 2e12, "bf16": 8e12})
OURS = Outcome("a/ours", "measured", {"images_per_s": 30.0, "waits_by_line": [("detres/boxes.py:7", 2)]}, batch=4)
PEER = Outcome("a/theirs", "measured", {"images_per_s": 10.0}, batch=4, peer=True)


def read(record: Record) -> dict:
    return json.loads(record.file.read_text(encoding="utf-8"))


def test_a_run_that_is_killed_leaves_what_it_has(tmp_path: Path) -> None:
    record = Record(tmp_path / "new.json", MACHINE, "detres benchmark gpu")
    assert (read(record)["rows"], read(record)["complete"]) == ([], False)
    record.add(OURS)
    record.begin(Entry("b/ours", lambda batch: {}))
    found = read(record)
    assert [row["name"] for row in found["rows"]] == ["a/ours"]
    assert (found["complete"], found["measuring"]) == (False, "b/ours")
    assert "did not come to its end" in record.table.read_text(encoding="utf-8")


def test_a_whole_run_has_its_command_machine_rates_and_ratios(tmp_path: Path) -> None:
    record = Record(tmp_path / "rows.json", MACHINE, "detres benchmark gpu", "toys")
    record.add(OURS)
    record.add(PEER)
    record.finish()
    found = read(record)
    assert (found["complete"], found["measuring"], found["command"]) == (True, None, "detres benchmark gpu")
    assert found["limit_TFLOP_per_s"] == {"float32": 2.0, "bf16": 8.0}
    assert {"device", "threads", "versions", "date"} <= set(found)
    ours, theirs = found["rows"]
    assert (ours["ratio"], ours["batch"], ours["waits_by_line"]) == (3.0, 4, [["detres/boxes.py:7", 2]])
    assert "ratio" not in theirs
    table = record.table.read_text(encoding="utf-8")
    assert table.startswith("`detres benchmark gpu`, ")
    assert "toys" in table
    assert "did not come to its end" not in table
    assert "float32 2 TFLOP/s, bf16 8 TFLOP/s" in table
