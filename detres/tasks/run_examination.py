"""What doctor says of a run: of each checkpoint whether it is whole, which is used, what is damaged and its mend."""

from __future__ import annotations

import json
from pathlib import Path

from detres.backbones.weights.formats import other_than_safetensors
from detres.checkpoints.contents import MODEL_FILE, Condition, Damaged, condition_of, tensors_of
from detres.checkpoints.places import Found, commands_to_go_on, examine_checkpoints
from detres.errors import ConfigError
from detres.tasks.runs.run_config import CONFIG_FILE, check_run_config, run_config
from detres.training.logging.metric_log import what_is_lost

_UNCHECKED = "opens, but has no checksum: it was written by another program or an older version"


def examine(path: Path) -> tuple[list[str], list[str]]:
    """Lines to print, and problems with their mends. path: a run's folder, a checkpoint's, or a safetensors file.

    All bytes are read. Raises ConfigError, which says what it is where that is known, where it is none of these.
    """
    path = path.expanduser()
    if path.is_file():
        return _examine_file(path)
    if (path / MODEL_FILE).is_file():
        condition = condition_of(path)
        problems = [f"{path}: {condition.damage}"] if condition.damage else []
        return [f"{path}: {_in_words(condition)}"], problems
    if not any((path / name).exists() for name in ("checkpoints", CONFIG_FILE, "metrics.jsonl")):
        raise ConfigError(f"{path}: there is no run here; give a run's folder, a checkpoint's, or a weights file")
    return _examine_run(path)


def _examine_file(path: Path) -> tuple[list[str], list[str]]:
    if (other := other_than_safetensors(path)) is not None:
        raise ConfigError(f"{path}: {other}; doctor examines runs and safetensors alone")
    try:
        _, _, has_checksum = tensors_of(path)
    except Damaged as error:
        return [], [f"{path}: {error}. Mend: fetch or write it again"]
    return [f"{path}: {'whole' if has_checksum else _UNCHECKED}"], []


def _examine_run(run: Path) -> tuple[list[str], list[str]]:
    found = examine_checkpoints(run)
    used = _uses(found)
    width = max((len(one.name) for one in found), default=0)
    lines = [f"{run}: {len(found)} checkpoints"]
    lines += [f"  {one.name:<{width}}  {_in_words(one.condition)}{used.get(one.name, '')}" for one in found]
    log_lines, log_problems = _examine_log(run / "metrics.jsonl")
    log_problems += _lost_of_log(run, found)
    return lines + log_lines, _checkpoint_problems(run, found) + _config_problems(run) + log_problems


def _lost_of_log(run: Path, found: list[Found]) -> list[str]:
    """Lines that were logged before the last checkpoint; a file that is no longer there was told of already."""
    if not (run / "metrics.jsonl").is_file():
        return []
    try:
        config = run_config(run)
    except ConfigError:  # told of with the config
        config = None
    step = max((one.condition.step or 0 for one in found), default=0)
    lost = what_is_lost(run, step, config.training.log_every if config else None)
    return [f"{lost}. Mend: none is needed to go on"] if lost else []


def _uses(found: list[Found]) -> dict[str, str]:
    names = {one.name for one in found}
    used = {"last": "; --resume goes on from it"} if "last" in names else {}
    judged = "best" if "best" in names else "last"
    used[judged] = used.get(judged, "") + "; --weights RUN takes it"
    return used


def _in_words(condition: Condition) -> str:
    step = "" if condition.step is None else f"step {condition.step}, "
    if condition.damage is not None:
        return f"{step}DAMAGED"
    return f"{step}{'whole' if condition.has_checksum else _UNCHECKED}"


def _checkpoint_problems(run: Path, found: list[Found]) -> list[str]:
    problems = []
    commands = commands_to_go_on(run, found)
    for one in found:
        if one.condition.damage is not None:
            problems.append(f"{one.folder}: {one.condition.damage}. Mend: {_mend(one, commands)}")
    if found and all(one.name != "last" for one in found):
        problems.append(
            f"{run}: there is no last, from which a run goes on. Mend: give one of these, then --resume:{commands}"
            if commands
            else f"{run}: there is no last, from which a run goes on, and no other is whole. Mend: train anew"
        )
    return problems


def _mend(damaged: Found, commands: str) -> str:
    if damaged.name != "last":
        return "take it away, and name another checkpoint by --weights"
    if not commands:
        return "no other checkpoint of the run is whole: train anew in another folder, with --out"
    return f"give one of these, then --resume:{commands}"


def _config_problems(run: Path) -> list[str]:
    if not (run / CONFIG_FILE).is_file():
        return [f"{run / CONFIG_FILE}: it is missing. Mend: say with --cfg what the run was begun with"]
    try:
        check_run_config(run)
    except ConfigError as error:
        return [str(error)]
    return []


def _examine_log(path: Path) -> tuple[list[str], list[str]]:
    """How many lines it has; those that are no JSON, but for a last one without its end, which is being written."""
    if not path.is_file():
        return [], [f"{path}: it is missing. Mend: none is needed to go on; what was logged is lost"]
    texts = path.read_bytes().split(b"\n")
    torn = [place + 1 for place, text in enumerate(texts[:-1]) if not _is_line(text)]
    lines = [f"{path}: {len(texts) - 1} lines"]
    if texts[-1]:
        lines[0] += "; one more is not finished (--resume leaves it out)"
    if not torn:
        return lines, []
    places = ", ".join(map(str, torn[:10]))
    return lines, [f"{path}: {len(torn)} lines are damaged ({places}). Mend: none is needed; --resume leaves them out"]


def _is_line(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
