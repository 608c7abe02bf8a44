"""What every evaluation of a weights file has to settle, whatever the task: whose data, which split, which folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detres.config.code_names import without_code
from detres.config.loading import AnyConfig, Layer, load_config, read_layer, resolve
from detres.data.places import SplitName
from detres.errors import ConfigError
from detres.files.checksums import sha256
from detres.files.names import safe_name
from detres.reporter import SILENT, Reporter
from detres.tasks.runs.run_config import CONFIG_FILE, check_run_config


@dataclass(frozen=True)
class Asked:
    """What is asked of an evaluation, whatever the task.

    The data are those of cfg, of layers (--data), or of the run the weights lie in; overrides win. split: None is test
    where there is one, else val. out: None is RUN/eval/SET-SPLIT-CHECKPOINT.
    """

    cfg: str | None = None
    layers: Sequence[Layer] = ()
    overrides: Sequence[str] = ()
    split: SplitName | None = None
    out: str | Path | None = None
    device: str | None = None
    reporter: Reporter = SILENT


def config_of_data(file: Path, asked: Asked, defaults: AnyConfig) -> AnyConfig:
    """The config that says what to evaluate on: asked.cfg, else that of the file's run, else the defaults below layers.

    Raises ConfigError where nobody names the data.
    """
    if asked.cfg:
        return load_config(asked.cfg)
    if (run := run_folder(file)) and (run / CONFIG_FILE).is_file():
        # The folder may be another's. What its config names of code belongs to the training, which is not done here.
        layer = read_layer(check_run_config(run))
        return resolve([replace(layer, values=without_code(layer.values), trusted=False)])
    if asked.layers:
        return defaults
    raise ConfigError(f"{file} lies in no run folder, so the data are unknown; name them with --cfg or --data")


def default_split(config: AnyConfig) -> SplitName:
    return "test" if config.data.test else "val"


def run_folder(file: Path) -> Path | None:
    """The run whose checkpoint the file is; None for a file that lies elsewhere."""
    checkpoints = file.resolve().parent.parent
    return checkpoints.parent if checkpoints.name == "checkpoints" else None


def default_folder(file: Path, set_name: str, split: str, *, others: int = 0) -> Path:
    """RUN/eval/SET-SPLIT-CHECKPOINT; for a file that lies in no run, below runs/ with its own name.

    others: how many more weights are tested with it, as an ensemble.
    """
    checkpoint = file.resolve().parent.name if run_folder(file) else safe_name(file.stem)
    checkpoint += f"-and-{others}-more" if others else ""
    return default_place(file) / "eval" / safe_name(f"{set_and_split(set_name, split)}-{checkpoint}")


def set_and_split(set_name: str, split: str) -> str:
    """SET-SPLIT, as a folder may be called."""
    name = safe_name(set_name.replace("/", "-"))
    return name if name.endswith(split) else f"{name}-{split}"


def default_place(file: Path) -> Path:
    """Where what is made of a weights file goes: its run, else runs/NAME (the file may lie in a cache)."""
    return run_folder(file) or Path("runs") / safe_name(file.stem)


def file_digest(file: Path) -> str:
    """As metrics.json names weights: the head of the SHA-256."""
    return sha256(file)[:16]
