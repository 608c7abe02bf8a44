"""From the name of a config and a few overrides to a checked, complete Config, and back to text.

A *layer* is one source of values: the config's file, then what a caller adds, then the overrides, later ones winning.
A *path* is a tuple of keys from the top of the config. A *stem* is a file's name without .yaml. Only a *trusted* layer,
the user's own word, may name code (code_names.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from detres.config.code_names import CodeName, code_names
from detres.config.epochs import never_reached, with_shares
from detres.config.finding import find_config, short_path
from detres.config.key_effects import Use, in_training, why_idle
from detres.config.problems import all_keys, describe_problems
from detres.config.scaling import Scaled, scale_to_batch, scale_to_steps
from detres.config.sections import ExperimentConfig, Section
from detres.config.yaml_bounds import MOST_BYTES
from detres.config.yaml_dialect import read_yaml, write_yaml
from detres.errors import ConfigError, DataError, kind_of
from detres.files.text import read_text
from detres.tables import SCHEMAS

KeyPath = tuple[str, ...]
if TYPE_CHECKING:
    from detres.config.classification_schema import ClassificationConfig
    from detres.config.detection_schema import Config
    from detres.config.localization_schema import LocalizationConfig

    AnyConfig = Config | ClassificationConfig | LocalizationConfig
else:  # Whoever checks types is told which they are; a run imports the schema of its own task.
    AnyConfig = ExperimentConfig
AnySection = TypeVar("AnySection", bound=Section)


_STEPS, _EPOCHS = ("training", "steps"), ("training", "epochs")
_CALL_FOR_SCALING = {("training", "batch"), _STEPS, _EPOCHS}
_SHOWN = 120  # characters of an override in a message
_DEEPEST = 16  # groups in each other; the schemas have four
_MOST_BY_HAND = 0.75  # of all keys


@dataclass(frozen=True)
class Layer:
    """Values from one source, nested as in a config; `lines` says at which line a key stands, where that is known.

    trusted: whether it is the user's own config file or command line, or made of such, and may name code.
    origin: what becomes of a key that changes nothing. "command": what the user says for this one run, key=value, is
    refused, and so is "set", the file of --data. "config": of the user's config file it is told. "made": nobody wrote
    it, as in the config that a run keeps, which states every key.
    """

    source: str
    values: Mapping[str, Any]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    trusted: bool = False
    origin: Literal["command", "set", "config", "made"] = "made"


@dataclass(frozen=True)
class LoadedConfig:
    """A config, and what people should know of it.

    scaled: because its batch or its length is not the recipe's. idle: a line for each key of the file without effect.
    """

    config: AnyConfig
    scaled: tuple[Scaled, ...] = ()
    idle: tuple[str, ...] = ()


def load_config(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    layers: Sequence[Layer] = (),
    trusted: bool = True,
    use: Use = in_training,
) -> AnyConfig:
    """The config of a file below configs/ (by its stem) or of a path, with `layers` and then `overrides` laid over it.

    overrides: "optimizer.lr=0.02", the value as in yaml. Where they change training.batch, lr and steps are scaled from
    the recipe's, where training.steps, milestones beyond them, and where training.epochs, all milestones, save those
    that overrides state.
    trusted: whether the user named this file as a config; one that was found in a run's folder, which may be another's,
    is not, and names no code. use: what the config is for; overrides that change nothing there are refused.
    Raises ConfigError with every problem at once, one a line.
    """
    return read_config(name_or_path, overrides, layers=layers, trusted=trusted, use=use).config


def read_config(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    layers: Sequence[Layer] = (),
    trusted: bool = True,
    use: Use = in_training,
) -> LoadedConfig:
    """load_config, which also says what was scaled, and what of the file changes nothing."""
    path = find_config(name_or_path)
    file = read_layer(path)
    file = replace(file, trusted=trusted, origin="config" if trusted and not _is_dumped(file) else "made")
    recipe = [Layer("the file's name", {"recipe": path.stem}), file, *layers]
    stated = [read_override(text) for text in overrides]
    _refuse_two_lengths(file, stated)
    config = resolve([*recipe, *stated], use=use)
    idle = tuple(line for layer, line in _idle(config, [*recipe, *stated], use) if layer.origin == "config")
    explicit = {key for layer in stated for key in leaves(layer.values)}
    if not explicit.intersection(_CALL_FOR_SCALING) or not trusted:
        idle = (*idle, *_too_short(config, file, use))
        return LoadedConfig(config, idle=idle)  # A run's own config is what became of its recipe, not one.
    schema = _schema_of(recipe)
    written = _checked(schema, _laid_over(schema, recipe), recipe).training
    config, to_batch = scale_to_batch(config, recipe_batch=written.batch, explicit=explicit)
    steps = written.steps * written.batch / config.training.batch
    config, to_steps = scale_to_steps(config, recipe_steps=steps, explicit=explicit)
    config, to_epochs = with_shares(config, recipe_steps=config.training.steps, explicit=explicit)
    return LoadedConfig(config, (*to_batch, *to_steps, *to_epochs), (*idle, *_too_short(config, file, use)))


def _too_short(config: AnyConfig, file: Layer, use: Use) -> tuple[str, ...]:
    """What of the schedule the run never comes to; of a run's own config that was said when it began."""
    return () if file.origin == "made" or use("schedule.milestones") else tuple(never_reached(config))


def of_schema(config: AnyConfig, schema: type[AnySection]) -> AnySection:
    """The config, where it is one of this schema's task. Raises ConfigError where it is another's."""
    if not isinstance(config, schema):
        named = f"{config.recipe}: " if config.recipe else ""
        raise ConfigError(f"{named}a {config.task} config, expected one of {schema.model_fields['task'].default}")
    return config


def task_of(name_or_path: str | Path) -> str:
    """What a config's file is for, read before anything in it is checked."""
    return _task_in([read_layer(find_config(name_or_path))])


def resolve(layers: Sequence[Layer], *, use: Use = in_training) -> AnyConfig:
    """Lay the layers over each other and the defaults; groups are merged key by key, lists are replaced whole.

    The last `task` that a layer states decides what a config may hold; detection where none does.
    Raises ConfigError with every problem; also where a value names code and no trusted layer does, and where key=value
    or a file of --data states a key that changes nothing. use: what the config is for, as load_config has it.
    """
    return resolve_by(_schema_of(layers), layers, use=use)


def resolve_by(schema: type[AnySection], layers: Sequence[Layer], *, use: Use = in_training) -> AnySection:
    """As resolve, by this schema: also for groups of keys that are no experiment's config."""
    values = _laid_over(schema, layers)
    _refuse_foreign_code(values, layers)
    config = _checked(schema, values, layers)
    refused = [
        f"{line}; leave it out"
        for layer, line in (_idle(config, layers, use) if isinstance(config, ExperimentConfig) else ())
        if layer.origin in ("command", "set")
    ]
    if refused:
        raise ConfigError("\n".join(refused))
    return config


def _idle(config: ExperimentConfig, layers: Sequence[Layer], use: Use) -> Iterator[tuple[Layer, str]]:
    """Every key that somebody stated and that changes nothing: the layer that stated it last, and a line."""
    last = {path: layer for layer in layers for path in leaves(layer.values)}
    for path, layer in last.items():
        if layer.origin == "made":
            continue
        key = ".".join(path)
        # One set is for many uses; what is said for this one command is not.
        why = (use(key) if layer.origin == "command" else None) or why_idle(config, key)
        if why and not _asks_nothing(type(config), path, value_at(layer.values, path)):
            yield layer, _locate(path, f"{key} changes nothing here: {why}", layers)


def _asks_nothing(schema: type[Section], path: KeyPath, value: Any) -> bool:
    """Whether a value only says that what the key is about shall not be, as it is anyway: null, false, 0, [] or none.

    So a recipe's key is taken back, such as model.backbone.frozen_stages=0 for a net without weights.
    """
    usual = value_at(schema().model_dump(mode="json"), path)
    return value == usual and (not value or value == "none")


def _is_dumped(file: Layer) -> bool:
    """Whether nobody wrote a file by hand: it states nearly every key, as a run's config.yaml of any version does."""
    task = _task_in([file])
    schema = SCHEMAS[task if task in SCHEMAS else "detection"]
    groups = {path[:-1] for path in all_keys(schema)}
    known = {path for path in all_keys(schema) if path not in groups}
    return len(known.intersection(leaves(file.values))) > _MOST_BY_HAND * len(known)


def _schema_of(layers: Sequence[Layer]) -> type[AnyConfig]:
    task = _task_in(layers)
    if task not in SCHEMAS:
        raise ConfigError(f"task: got {task[:80]!r}, expected one of {', '.join(SCHEMAS)}")
    return SCHEMAS[task]


def _laid_over(schema: type[Section], layers: Sequence[Layer]) -> dict[str, Any]:
    """All values, unchecked."""
    # A group with nothing under it (`model:`) is null in yaml, and states nothing.
    values = schema().model_dump()
    for layer in layers:
        _merge(values, layer.values)
        if _states(layer, *_STEPS) and not _states(layer, *_EPOCHS):
            _merge(values, {"training": {"epochs": None}})  # Of two lengths the later one counts.
    return values


def _checked(schema: type[AnySection], values: Mapping[str, Any], layers: Sequence[Layer]) -> AnySection:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problems = describe_problems(error, schema)
        raise ConfigError("\n".join(_locate(path, sentence, layers) for path, sentence in problems)) from None


def refuse_wrong_values(task: str, stated: Sequence[Layer]) -> None:
    """Raise ConfigError for keys that no config of the task has, and values that they never take.

    For before a set is read, which may take long. What depends on other keys is left to `resolve`.
    """
    schema = SCHEMAS[task]
    keys = [key for layer in stated for key in leaves(layer.values)]
    try:
        schema.model_validate(_laid_over(schema, stated))
    except ValidationError as error:
        known = {*all_keys(schema)}
        own = [
            (path, sentence)
            for path, sentence in describe_problems(error, schema)
            # Of a group that there is, the keys contradict each other, which others may settle.
            if path and any(path[: len(key)] == key or (path not in known and key[: len(path)] == path) for key in keys)
        ]
        if own:
            raise ConfigError("\n".join(_locate(path, sentence, stated) for path, sentence in own)) from None


def _task_in(layers: Sequence[Layer]) -> str:
    tasks = [layer.values["task"] for layer in layers if "task" in layer.values]
    return str(tasks[-1]) if tasks else "detection"


def _refuse_two_lengths(file: Layer, stated: Sequence[Layer]) -> None:
    """A run has one length, whether its config's file or the command line says it."""
    for layers in ([file], stated):
        steps = [layer for layer in layers if _states(layer, *_STEPS)]
        epochs = [layer for layer in layers if _states(layer, *_EPOCHS)]
        if steps and epochs:
            said = "training.steps and training.epochs both say how long the run is; leave one of them out"
            raise ConfigError(_locate(_EPOCHS, said, epochs))


def _states(layer: Layer, *path: str) -> bool:
    return value_at(layer.values, path) is not None


def _refuse_foreign_code(values: Mapping[str, Any], layers: Sequence[Layer]) -> None:
    named = code_names(values)
    own = _own_code(layers) if named else set()
    problems = []
    for name in named:
        if name not in own:
            said = f"{name}, which only your own --cfg file or key=value may do; if you mean it, state it there"
            problems.append(_locate(name.key, said, [layer for layer in layers if not layer.trusted]))
    if problems:
        raise ConfigError("\n".join(problems))


def _own_code(layers: Sequence[Layer]) -> set[CodeName]:
    """What the user's own layers name, each by itself and all of them together: one may name, another add options."""
    trusted = [layer.values for layer in layers if layer.trusted]
    together: dict[str, Any] = {}
    for values in trusted:
        _merge(together, values)
    return {name for values in (*trusted, together) for name in code_names(values)}


def read_layer(path: Path) -> Layer:
    """The layer a yaml file states, the user's own; ConfigError where it cannot be read or is no group of keys."""
    source = short_path(path)
    try:
        text = read_text(path, most=MOST_BYTES)
    except DataError as error:
        raise ConfigError(str(error)) from None
    values, lines = read_yaml(text, source)
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{source}: got {kind_of(values)}, expected groups of keys such as `model:`")
    return Layer(source, values or {}, lines, trusted=True)


def read_override(text: str) -> Layer:
    """The layer of one `optimizer.lr=0.02`; the value is read as yaml, so lists are written [1, 2]."""
    key, equals, value = text.partition("=")
    path = tuple(key.strip().split("."))
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
    if not equals or not all(path) or len(path) > _DEEPEST:
        raise ConfigError(f"{shown}: this is no override; write key=value, such as optimizer.lr=0.02")
    parsed, _ = read_yaml(value, shown)
    return replace(layer_of(shown, path, parsed, trusted=True), origin="command")


def layer_of(source: str, path: Sequence[str], value: Any, *, trusted: bool = False) -> Layer:
    """The layer of one value."""
    for part in reversed(path):
        value = {part: value}
    return Layer(source, value, trusted=trusted)


def dump_config(config: AnyConfig) -> str:
    """The resolved config as yaml; load_config reads it back to an equal one."""
    return write_yaml(config.model_dump(mode="json"))


def _locate(path: KeyPath, sentence: str, layers: Sequence[Layer]) -> str:
    """The sentence after the source that stated this key last; its line in the source at the end."""
    path = _last_stated(path, sentence, layers)
    for length in range(len(path), -1, -1):
        for layer in reversed(layers):
            if length == 0 or _has(layer.values, path[:length]):
                line = layer.lines.get(path[:length])
                return f"{layer.source}: {sentence}" + (f" (line {line})" if line else "")
    return sentence


def _last_stated(path: KeyPath, sentence: str, layers: Sequence[Layer]) -> KeyPath:
    """Of a group, whose keys contradict each other: the key that was stated last among those the sentence names."""
    named = [(*path, *word.split(".")) for word in re.findall(r"[a-z]\w*(?:\.\w+)*", sentence)]
    stated = (key for layer in reversed(layers) for key in named if _has(layer.values, key))
    return next(stated, path)


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    if "name" in values and "options" in values:
        into["options"] = {}  # Beside the name they belong to, they are all of them: others are of another name.
    for key, value in values.items():
        if isinstance(value, Mapping):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            _merge(into[key], value)
        elif value is not None or not isinstance(into.get(key), dict):
            into[key] = value


def value_at(values: Any, path: KeyPath) -> Any:
    """The value of a key in nested groups; None where there is none."""
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return None
        values = values[part]
    return values


def _has(values: Any, path: KeyPath) -> bool:
    parent = value_at(values, path[:-1])
    return isinstance(parent, Mapping) and path[-1] in parent


def leaves(values: Mapping[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    """The path of every value in nested groups."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)
