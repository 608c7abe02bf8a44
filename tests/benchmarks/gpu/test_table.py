"""The table holds every row against the peer of its work, and says what became of those without figures."""

from detres.benchmarks.gpu.entries import Outcome
from detres.benchmarks.gpu.table import COLUMNS, line, markdown, ratios

OURS = Outcome(
    "train/r50_fpn/batch8/ours_bf16",
    "measured",
    {
        "ms": 61.2,
        "images_per_s": 130.0,
        "limit_share": 0.312,
        "idle_share": 0.125,
        "waits": 4.0,
        "allocated_MiB": 9318.4,
    },
    batch=8,
)
PEER = Outcome("train/r50_fpn/batch8/torchvision_float32", "measured", {"images_per_s": 52.0}, batch=8, peer=True)
FAILED = Outcome("train/r50_fpn/batch8/ours_bf16_compiled", "failed", note="RuntimeError: a | b\nc")


def test_a_row_is_held_against_the_peer_of_its_work() -> None:
    other = Outcome("predict/r50_fpn/batch8/ours_bf16", "measured", {"images_per_s": 10.0})
    assert ratios([OURS, PEER, FAILED, other]) == {OURS.name: 2.5}


def test_without_a_peer_there_is_no_ratio() -> None:
    assert ratios([OURS, Outcome(PEER.name, "out of memory", peer=True)]) == {}
    assert ratios([]) == {}


def test_the_table_is_one_of_markdown() -> None:
    head, blank, columns, rule, *rows = markdown([OURS, PEER, FAILED], ["where and when"]).splitlines()
    assert (head, blank) == ("where and when", "")
    assert columns == "| " + " | ".join(COLUMNS) + " |"
    assert rule.count("---") == len(COLUMNS)
    assert rows[0] == f"| {OURS.name} | 61.2 | 130 | 2.50 | 31% | 12% | 4 | 9.1 |  |"
    assert rows[2].endswith("| failed; RuntimeError: a \\| b c |")
    assert {row.replace("\\|", "").count("|") for row in rows} == {len(COLUMNS) + 1}


def test_a_line_says_what_there_is() -> None:
    assert line(OURS) == f"{OURS.name}: 61.2 ms, 130 images/s, 31% of the limit, 12% idle, 4 waits, 9.1 GiB"
    assert line(FAILED).startswith(f"{FAILED.name}: failed; RuntimeError")


def test_checks_and_minutes_are_remarks() -> None:
    check = Outcome("check/losses", "measured", {"passed": False, "what": "0.3 apart"})
    assert line(check) == "check/losses: DIFFERS: 0.3 apart"
    cifar = Outcome("cifar/a/ours", "measured", {"minutes_for_64k_steps": 12.34})
    assert line(cifar) == "cifar/a/ours: 64,000 steps in 12.3 min"
