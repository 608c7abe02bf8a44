"""A row says who is ahead, by how much, and whether the comparison holds."""

from dataclasses import replace

from torch import device

from detres.benchmarks.contenders import Comparison
from detres.benchmarks.machine import Machine
from detres.benchmarks.rows import Check, Row, all_passed, machine_rows

MACHINE = Machine(device("cpu"), threads=2, compile=False, rates={"float32": 100e9, "bf16": 400e9})


def test_ratio_is_above_one_where_ours_is_ahead() -> None:
    assert Row("a", ours=2.0, peer=3.0, unit="s/image").ratio == 1.5
    assert Row("a", ours=300.0, peer=100.0, unit="images/s").ratio == 3.0
    assert Row("a", ours=500.0, peer=1000.0, unit="MiB").ratio == 2.0


def test_rates_of_the_machine_stand_alone() -> None:
    rows = machine_rows(MACHINE)
    assert [(row.name, row.ours, row.ratio) for row in rows] == [
        ("machine/matrix_product/float32", 100.0, None),
        ("machine/matrix_product/bf16", 400.0, None),
    ]


def test_json_has_the_promised_keys() -> None:
    row = Row("a", 1.0, 2.0, "s/image", "torchvision", check=Check(True, "equal")).to_dict(MACHINE)
    promised = ["name", "ours", "peer", "unit", "ratio", "limit_share", "peer_name", "device", "versions", "threads"]
    assert set(promised) <= set(row)
    assert (row["same_work"], row["check"], row["threads"]) == (True, "equal", 2)


def test_one_failed_check_fails_all() -> None:
    good, bad = (Row("a", 1.0, 2.0, "s", check=Check(passed, "")) for passed in (True, False))
    assert all_passed([good, Row("a", 1.0, None, "s")])
    assert not all_passed([good, bad])


COMPARISON = Comparison(
    name="detector/r50_fpn",
    work="",
    images=2,
    operations=50e9,
    peers=["torchvision"],
    targets={"float32": 1.3, "bf16": 2.5},
    checks={"float32": Check(True, "equal"), "bf16": Check(False, "other")},
)


def test_a_comparison_takes_medians_and_shares_of_the_limit() -> None:
    times = {
        "ours float32": [1.0, 9.0, 1.0],
        "ours bf16": [0.5, 0.5, 0.1],
        "torchvision float32": [2.0, 2.0, 2.0],
        "torchvision bf16": [1.0, 1.0, 4.0],
    }
    rows = {row.name: row for row in COMPARISON.rows(times, MACHINE)}
    assert list(rows) == [f"detector/r50_fpn/{name}" for name in ("float32", "bf16", "bf16_both")]
    whole = rows["detector/r50_fpn/float32"]
    assert (whole.ours, whole.peer, whole.ratio, whole.target) == (0.5, 1.0, 2.0, 1.3)
    # 50e9 operations take half a second at 100e9 a second; ours took one, theirs two.
    assert (whole.limit_share, whole.peer_limit_share) == (0.5, 0.25)
    assert (rows["detector/r50_fpn/bf16"].ratio, rows["detector/r50_fpn/bf16"].failed) == (4.0, True)
    assert (rows["detector/r50_fpn/bf16_both"].ratio, rows["detector/r50_fpn/bf16_both"].target) == (2.0, None)


def test_a_rate_is_the_images_of_a_call_by_its_time() -> None:
    times = {"ours float32": [1.0], "ours bf16": [0.5], "torchvision float32": [2.0]}
    whole, half = replace(COMPARISON, unit="images/s").rows(times, MACHINE)
    assert (whole.ours, whole.peer, whole.ratio, whole.unit) == (2.0, 1.0, 2.0, "images/s")
    assert (half.ours, half.ratio, half.limit_share) == (4.0, 4.0, 50e9 / 400e9 / 0.5)


def test_a_precision_that_was_not_timed_has_no_row() -> None:
    times = {"ours bf16": [1.0], "torchvision float32": [2.0], "timm bf16": [1.5]}
    rows = replace(COMPARISON, peers=["torchvision", "timm"]).rows(times, MACHINE)
    assert [row.name for row in rows] == ["detector/r50_fpn/bf16", "detector/r50_fpn/bf16_both/timm"]


def test_memory_is_held_against_the_peer_as_it_comes() -> None:
    peaks = {"ours float32": 900.0, "ours bf16": 600.0, "torchvision float32": 1200.0}
    rows = COMPARISON.memory_rows(peaks)
    assert [row.name for row in rows] == ["detector/r50_fpn/float32/memory", "detector/r50_fpn/bf16/memory"]
    assert [row.peer for row in rows] == [1200.0, 1200.0]
    assert rows[1].ratio == 2.0
