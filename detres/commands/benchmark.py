"""Time detres against its peers: the same work, in turn, medians and ratios.

detres benchmark                        all of it; on a GPU, what runs there
detres benchmark detector train --json figures.json
detres benchmark train_cls_memory       one that takes minutes for a figure, and is not in all
detres benchmark --quick                a few minutes at small sizes, to see whether all is in order
detres benchmark gpu                    eight minutes on a GPU: rows of their own, written one by one; --tiny on the CPU
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detres.commands.parts import gpu_benchmark
from detres.commands.parts.arguments import add_device

if TYPE_CHECKING:
    from detres.benchmarks.rows import Row

COLUMNS = ("name", "ours", "peer", "unit", "ratio", "target", "of the limit", "same work")


def configure(parser: argparse.ArgumentParser) -> None:
    known = "backbone, detector, train, train_cls, data, eval, all; named only: annotations, train_cls_memory, gpu"
    parser.add_argument("parts", nargs="*", metavar="PART", help=known)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows to this file, after every part")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds; no figures to quote")
    parser.add_argument("--no-compile", action="store_true", help="time detres without torch.compile")
    gpu_benchmark.configure(parser)
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    if gpu_benchmark.asked_for(arguments):
        return gpu_benchmark.run(arguments)
    from detres.benchmarks.machine import measure_machine
    from detres.benchmarks.rows import all_passed, machine_rows
    from detres.benchmarks.suite import parts_named, run_part
    from detres.commands.doctor import compiler_problems
    from detres.distributed import local_device
    from detres.files.whole import write_whole
    from detres.tasks.runs.output_folders import make_room_for

    if arguments.json:
        make_room_for(arguments.json)
    device = local_device(arguments.device)
    parts = parts_named(arguments.parts or ["all"], device)
    problems = ["--no-compile"] if arguments.no_compile else compiler_problems()
    for problem in problems:
        print(f"not compiled: {problem}")
    machine = measure_machine(device, compile=not problems)
    print(", ".join(f"{name} {value}" for name, value in machine.description().items()))
    rows = machine_rows(machine)
    print_table(rows)
    for part in parts:
        found = run_part(part, machine, quick=arguments.quick)
        rows += found
        print_table(found)
        if arguments.json:
            write_whole(arguments.json, json.dumps([row.to_dict(machine) for row in rows], indent=1))
    return 0 if all_passed(rows) else 1


def print_table(rows: Sequence[Row]) -> None:
    """One line a row, and below them what was compared and how it was checked."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS)
    for row in rows:
        same = "" if row.check is None else "yes" if row.check.passed else "NO"
        numbers = (_number(row.ours), _number(row.peer), row.unit, _number(row.ratio), _number(row.target))
        table.add_row(row.name, *numbers, "" if row.limit_share is None else f"{row.limit_share:.0%}", same)
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table)
    for note in dict.fromkeys(_note(row) for row in rows if row.work):
        console.print(note)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _note(row: Row) -> str:
    return f"  {row.work}" + (f"; {row.check.what}" if row.check else "")
