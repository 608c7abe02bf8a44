from __future__ import annotations

from pathlib import Path

import pytest

from detres.config.keys.listing import TASKS, Key, Meaning, list_keys
from detres.config.keys.page import as_markdown, as_text

ROOT = Path(__file__).resolve().parents[3]
LR = Meaning("a number above 0", "0.02", "How fast.", "")
KEYS = [
    Key("optimizer", {"detection": Meaning("", "", "What moves the weights.", "")}, is_group=True),
    Key("optimizer.lr", {"detection": LR, "classification": Meaning("a number above 0", "0.1", "How fast.", "")}),
    Key("optimizer.betas", {"detection": Meaning("a list of 2 numbers", "[0.9, 1]", "Decay.", "optimizer.name=lamb")}),
]
BOTH = ("detection", "classification")


def test_a_key_of_several_tasks_is_told_once_and_its_differences_by_task() -> None:
    assert as_text(KEYS, BOTH, 100).splitlines() == [
        "optimizer: What moves the weights.",
        "",
        "  optimizer.lr     a number above 0; default 0.02 (detection), 0.1 (classification)",
        "                   How fast.",
        "  optimizer.betas  detection: a list of 2 numbers; default [0.9, 1]",
        "                   Decay. Counts with optimizer.name=lamb.",
    ]


def test_where_it_is_narrow_a_name_has_a_line_of_its_own() -> None:
    assert as_text(KEYS, BOTH, 40).splitlines()[2:7] == [
        "  optimizer.lr",
        "      a number above 0; default 0.02",
        "      (detection), 0.1 (classification)",
        "      How fast.",
        "  optimizer.betas",
    ]


def test_one_task_is_told_without_its_name() -> None:
    assert "  optimizer.lr     a number above 0; default 0.02\n" in as_text(KEYS, ("detection",), 100) + "\n"


def test_no_key_at_all_is_no_text() -> None:
    assert as_text([], TASKS, 80) == ""


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = as_text(list_keys(), TASKS, width).splitlines()
    assert [line for line in lines if len(line) > width] == []
    assert all(line == line.rstrip() for line in lines)


def test_every_key_stands_in_the_text_whatever_the_width() -> None:
    keys = list_keys()
    for width in (40, 120):
        starts = {line.split()[0] for line in as_text(keys, TASKS, width).splitlines() if line.startswith("  ")}
        assert {key.name for key in keys if not key.is_group} <= starts


def test_a_page_is_a_table_a_section() -> None:
    page = as_markdown(KEYS, BOTH)
    assert "## optimizer\n\nWhat moves the weights.\n\n| key | takes | default | |\n|---|---|---|---|\n" in page
    assert "| `optimizer.lr` | a number above 0 | `0.02 (detection), 0.1 (classification)` | How fast. |" in page


def test_what_means_something_in_a_table_is_spelled_out() -> None:
    marks = Meaning("text", "null", "a|b <c> 2*3", "")
    assert "a\\|b &lt;c> 2\\*3 |" in as_markdown([KEYS[0], Key("optimizer.x", {"detection": marks})], BOTH)


def test_docs_keys_md_is_what_the_command_writes() -> None:
    """Where it is not: `detres keys --markdown > docs/keys.md`."""
    assert (ROOT / "docs" / "keys.md").read_text(encoding="utf-8") == as_markdown(list_keys(), TASKS) + "\n"
