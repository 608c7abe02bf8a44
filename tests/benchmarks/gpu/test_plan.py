"""Rows have names that differ, a peer for each work, and what compiles comes last."""

from collections import Counter

import pytest
import torch

from detres.benchmarks.gpu.entries import Entry
from detres.benchmarks.gpu.measuring import Bench
from detres.benchmarks.gpu.plan import chosen, planned
from detres.benchmarks.gpu.sizes import FULL, TINY, Sizes
from detres.benchmarks.machine import Machine
from detres.errors import ConfigError

MACHINE = Machine(torch.device("cpu"), threads=1, compile=False, rates={"float32": 1e9, "bf16": 1e9})


def entries(sizes: Sizes) -> list[Entry]:
    return planned(Bench(MACHINE, sizes.effort), sizes)


@pytest.mark.parametrize("sizes", [FULL, TINY])
def test_every_row_has_a_name_of_its_own_and_every_work_one_peer(sizes: Sizes) -> None:
    rows = entries(sizes)
    assert max(Counter(row.name for row in rows).values()) == 1
    peers = Counter(row.work for row in rows if row.peer)
    compared = {row.work for row in rows} - {row.work for row in rows if row.name.startswith(("check/", "load/"))}
    assert peers == Counter(compared)


@pytest.mark.parametrize("sizes", [FULL, TINY])
def test_what_compiles_is_last(sizes: Sizes) -> None:
    compiles = [row.compiles for row in entries(sizes)]
    assert any(compiles)
    assert compiles == sorted(compiles)


def test_both_sizes_have_rows_of_the_same_kinds() -> None:
    kinds = [{(row.name.split("/")[0], row.compiles) for row in entries(sizes)} for sizes in (FULL, TINY)]
    assert kinds[0] == kinds[1]


def test_the_full_size_is_what_is_asked_for() -> None:
    names = {row.name for row in entries(FULL)}
    for batch in (2, 8, 16):
        for contender in ("ours_bf16", "torchvision_float32", "torchvision_bf16_channels_last"):
            assert f"train/r50_fpn/batch{batch}/{contender}" in names
    assert {f"predict/r50_fpn/batch{batch}/ours_bf16" for batch in (1, 8)} <= names
    assert "classify/resnet50/batch256/timm_bf16_compiled" in names
    assert (FULL.scene.height, FULL.scene.width) == (800, 1344)


def test_rows_are_chosen_by_a_name_or_its_beginning() -> None:
    rows = entries(TINY)
    assert chosen(rows, []) == rows
    assert {row.name.split("/")[0] for row in chosen(rows, ["suppress", "check/losses"])} == {"suppress", "check"}
    assert len(chosen(rows, ["check/losses"])) == 1
    assert len(chosen(rows, ["roi_align/forward"])) == 5  # and not roi_align/forward_backward


def test_a_name_of_no_row_is_refused() -> None:
    with pytest.raises(ConfigError, match="--only chek/losses: no row has this name; did you mean check/losses"):
        chosen(entries(TINY), ["chek/losses"])
    with pytest.raises(ConfigError, match="rows begin with check, train, predict"):
        chosen(entries(TINY), ["zzz"])
