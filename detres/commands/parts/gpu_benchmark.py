"""`detres benchmark gpu`: the one run on a machine with a GPU, told row by row."""

from __future__ import annotations

import argparse
import shlex
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detres.errors import ConfigError

if TYPE_CHECKING:
    import torch

NAME = "gpu"
SECONDS = 460.0
FILE = Path("benchmark_gpu.json")
_TOYS = "At toy sizes, and rows that compile are not compiled: no figures to quote."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", metavar="S", type=float, help=f"of gpu: after these no row begins ({SECONDS:g})")
    parser.add_argument("--only", metavar="NAME", action="append", help="of gpu: rows named so, or that begin with it")
    parser.add_argument(
        "--tiny", action="store_true", help="of gpu: all rows at toy sizes, on the CPU if not told else"
    )


def asked_for(arguments: argparse.Namespace) -> bool:
    """Whether it is this run. Raises ConfigError where it is mixed with others, or its options stand without it."""
    if NAME not in arguments.parts:
        given = [name for name in ("seconds", "only", "tiny") if getattr(arguments, name)]
        if given:
            raise ConfigError(f"--{given[0]} is an option of `benchmark gpu`; the others take --quick")
        return False
    if len(set(arguments.parts)) > 1:
        raise ConfigError(f"benchmark {' '.join(arguments.parts)}: gpu is a run of its own; name it alone")
    if arguments.quick:
        raise ConfigError("--quick: `benchmark gpu` takes --tiny, which runs all of it at toy sizes")
    if arguments.seconds is not None and not arguments.seconds > 0:
        raise ConfigError(f"--seconds is {arguments.seconds:g}, expected more than 0")
    return True


def run(arguments: argparse.Namespace) -> int:
    """0 where every row that began was measured and every check passed, else 1."""
    from detres.benchmarks.gpu.measuring import Bench
    from detres.benchmarks.gpu.plan import chosen, planned
    from detres.benchmarks.gpu.record import Record
    from detres.benchmarks.gpu.running import run_entries
    from detres.benchmarks.gpu.sizes import FULL, TINY
    from detres.benchmarks.gpu.table import line
    from detres.benchmarks.machine import measure_machine
    from detres.commands.doctor import compiler_problems
    from detres.tasks.runs.output_folders import make_room_for

    started = time.monotonic()
    file = arguments.json or FILE
    make_room_for(file)
    device = _device(arguments)
    sizes = TINY if arguments.tiny else FULL
    reason = "--no-compile" if arguments.no_compile else "" if sizes.eager else "; ".join(compiler_problems())
    with _chosen(device):
        machine = measure_machine(device, compile=not reason, side=sizes.matrix_side)
        entries = chosen(planned(Bench(machine, sizes.effort, sizes.eager), sizes), arguments.only or [])
        record = Record(file, machine, _command(arguments), _TOYS if arguments.tiny else "")
        print(", ".join(f"{name} {value}" for name, value in machine.description().items()))
        if arguments.tiny:
            print(_TOYS)
        print(f"{len(entries)} rows, written to {file} and {record.table} one by one", flush=True)
        left = (arguments.seconds or SECONDS) - (time.monotonic() - started)
        for outcome in run_entries(entries, device, seconds=left, uncompiled=reason, begin=record.begin):
            record.add(outcome)
            print(f"[{time.monotonic() - started:4.0f} s] {line(outcome)}", flush=True)
        record.finish()
    return 0 if all(outcome.passed for outcome in record.outcomes) else 1


def _device(arguments: argparse.Namespace) -> torch.device:
    """Raises ConfigError where it is none that full sizes are meant for."""
    from detres.distributed import local_device

    device = local_device(arguments.device or ("cpu" if arguments.tiny else None))
    if device.type != "cuda" and not arguments.tiny:
        raise ConfigError(f"benchmark gpu on {device}: it is for a GPU; --tiny runs all of it at toy sizes on the CPU")
    return device


def _chosen(device: torch.device) -> AbstractContextManager[Any]:
    """The context in which whatever names no device means this one."""
    import torch

    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _command(arguments: argparse.Namespace) -> str:
    options = ["--tiny"] if arguments.tiny else []
    for name in arguments.only or []:
        options += ["--only", name]
    return shlex.join(["detres", "benchmark", NAME, *options])
