"""A table of the paper: what it needs is said, trained or gone on with, measured, and written beside the paper's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from detres.config.loading import Layer
from detres.distributed import local_device
from detres.errors import ConfigError, UserError
from detres.lookup import nearest
from detres.reporter import SILENT, Reporter
from detres.reproduction.detection_tables import improvements_of
from detres.reproduction.estimates import Estimates, in_words
from detres.reproduction.planning import Plan, Run, Settings, plan_table
from detres.reproduction.rows import Table
from detres.reproduction.running import Machine, Result, measure_row, train_row
from detres.reproduction.tables import TABLES
from detres.reproduction.writing import SMOKE, by_reason, draw_table, markdown, write_table
from detres.tasks.runs.output_folders import make_folder
from detres.version import __version__

FOLDER = Path("runs/reproduction")


def reproduce(
    name: str,
    *,
    cfg: str | None = None,
    out: str | Path | None = None,
    seeds: int = 1,
    smoke: bool = False,
    only: Sequence[str] = (),
    train: bool = True,
    layers: Sequence[Layer] = (),
    overrides: Sequence[str] = (),
    device: str | None = None,
    reporter: Reporter = SILENT,
) -> list[Result]:
    """Run a table and write OUT/NAME.md and .json, anew after every row, and .png; what it holds in the end.

    cfg: another detector for table9, whose files are then called table9_CFG. out: None is runs/reproduction; a smoke
    run writes into smoke/ below it. seeds: runs of each net. only: rows, by their names or configs. train: whether what
    is not finished is trained. layers, overrides: laid over each recipe.
    A row whose data are absent, or whose run fails, is left out and says why. Raises ConfigError before anything is
    run; training.interrupts.Interrupted after the checkpoint of a run that was asked to stop.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "reproduce is one process; with torchrun, train its runs one by one (train_cls --cfg CONFIG --out "
            "OUT/CONFIG/seed0 training.seed=0): it finds them there"
        )
    table = choose_rows(table_named(name, cfg), only)
    name = f"{name}_{Path(cfg).stem}" if cfg else name
    folder = Path(out) if out else FOLDER
    settings = Settings(folder / "smoke" if smoke else folder, seeds, tuple(layers), tuple(overrides), smoke)
    machine = Machine(local_device(device), reporter)
    plans = plan_table(table, settings)
    make_folder(settings.out)
    announce(table, plans, settings, machine, train=train)
    results: list[Result] = [Result(plan) for plan in plans]
    where = f"detres {__version__}, torch {torch.__version__}, {_device_name(machine.device)}."
    written: list[Path] = []
    try:
        for place, plan in enumerate(plans):
            results[place] = _run_row(plan, table, settings, machine, train=train)
            written = write_table(name, table, results, settings, where)
    finally:  # Also of a run that was asked to stop: what it reached can be seen.
        written += draw_table(name, table, results, settings)
    reporter.say(markdown(table, results, settings))
    reporter.say("written: " + ", ".join(map(str, written)))
    return results


def table_named(name: str, cfg: str | None = None) -> Table:
    """cfg: of what, where the table can be had of other nets than the paper's."""
    if cfg and name != "table9":
        raise ConfigError(f"--cfg {cfg}: {name} is of the paper's own nets; table9 can be had of other detectors")
    if name in TABLES:
        return improvements_of(cfg) if cfg else TABLES[name]
    close = nearest(name, list(TABLES))
    mend = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(TABLES)}"
    raise ConfigError(f"there is no table {name!r} to reproduce; {mend}")


def choose_rows(table: Table, only: Sequence[str]) -> Table:
    """The table with the rows that are named, by their own name or the stem of a config."""
    if not only:
        return table
    known = {word.lower() for row in table.rows for word in (row.name, *row.configs)}
    unknown = [word for word in only if word.lower() not in known]
    if unknown:
        names = ", ".join(row.name for row in table.rows)
        raise ConfigError(f"--only {unknown[0]}: no row has this name or config; the rows are {names}")
    wanted = {word.lower() for word in only}
    rows = tuple(row for row in table.rows if wanted & {word.lower() for word in (row.name, *row.configs)})
    left = {row.name for row in rows}
    return replace(table, rows=rows, contrasts=tuple(pair for pair in table.contrasts if set(pair) <= left))


def announce(table: Table, plans: Sequence[Plan], settings: Settings, machine: Machine, *, train: bool) -> None:
    """A line a row: its data, and roughly the time it still takes; then what is missing, and whose it is."""
    machine.reporter.say(table.title)
    if settings.smoke:
        machine.reporter.say(SMOKE)
    if table.is_counted:
        machine.reporter.say("counted on the nets themselves: no data, no training, seconds")
        return
    estimates = Estimates(plans, machine.device)
    width = max(len(plan.row.name) for plan in plans)
    for plan in (plan for plan in plans if plan.runs):
        waiting = [run for run in plan.needed if not run.is_finished]
        if not waiting:
            prospect = f"finished: {plan.runs[0].folder}"
        elif not train:
            prospect = f"left as it is at step {waiting[0].step} of {waiting[0].steps}: {waiting[0].folder}"
        else:
            time = "seconds" if settings.smoke else _time_left(waiting, estimates)
            prospect = f"to train: {_steps_left(waiting)}, {time}: {waiting[0].folder}"
        machine.reporter.say(f"  {plan.row.name:<{width}}  {_data_of(plan)}; {prospect}")
    for reason, names in by_reason((plan.row.name, plan.obstacle) for plan in plans):
        machine.reporter.say(f"left out: {names}: {reason}")


def _data_of(plan: Plan) -> str:
    data = plan.runs[0].config.data
    return f"data {data.format}" + (f" in {data.root}" if data.root else "")


def _time_left(runs: Sequence[Run], estimates: Estimates) -> str:
    known = [seconds for run in runs if (seconds := estimates.seconds_left(run)) is not None]
    return in_words(sum(known)) if len(known) == len(runs) else "time not known before its first steps"


def _steps_left(runs: Sequence[Run]) -> str:
    """Such as `64000 steps`, or `12000 and 64000 steps` of two runs."""
    return " and ".join(str(run.steps - run.step) for run in runs) + " steps"


def _run_row(plan: Plan, table: Table, settings: Settings, machine: Machine, *, train: bool) -> Result:
    """A row that cannot be run, or fails, does not keep the others from being run."""
    plan, trouble = plan.seen_afresh(), None
    if train and not table.is_counted and plan.obstacle is None:
        try:
            train_row(plan, machine)
        except UserError as error:
            trouble = str(error)
            machine.reporter.say(f"{plan.row.name}: {trouble}")
    try:
        result = measure_row(plan.seen_afresh(), table, settings, machine)
    except UserError as error:
        machine.reporter.say(f"{plan.row.name}: {error}")
        return Result(plan.seen_afresh(), trouble=str(error))
    return replace(result, trouble=trouble or result.trouble)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, threads: {torch.get_num_threads()}"
