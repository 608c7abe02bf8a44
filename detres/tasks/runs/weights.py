"""What the model of --weights says to a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detres.classification.files import ClassifierSettings
from detres.config.key_effects import text_of
from detres.config.loading import SCHEMAS, KeyPath, Layer, leaves, value_at
from detres.config.model_keys import MODEL_KEYS
from detres.detection.files import DetectorSettings, check_code
from detres.localization.files import LocalizerSettings
from detres.tasks.runs.opened_model import OpenedModel

Settings = DetectorSettings | ClassifierSettings | LocalizerSettings


@dataclass(frozen=True)
class WeightsSaid:
    """layer: what the weights decide, to be laid over a config. lines: what people should know of it."""

    layer: Layer
    lines: tuple[str, ...]


def said_by_weights(
    weights: OpenedModel, cfg: Layer, overrides: Sequence[Layer] = (), own_code: str | None = None
) -> WeightsSaid:
    """What a file decides for a training that begins with it: the architecture, and what of the rest cfg leaves open.

    cfg: what the config's file states. overrides: what is laid over the file's word. own_code: a backbone that the user
    names, and the file may. Raises WeightsError where it names another.
    """
    path, settings, task = weights.path, weights.settings, weights.task
    if task == "detection":
        check_code(settings, str(path), own_code)
    layer = Layer(str(path), laid_over(task, settings.model.model_dump(mode="json"), cfg))
    overridden = {key for override in overrides for key in leaves(override.values)}
    lines = (*_instead(layer, cfg, settings, overridden), *_left_open(layer, cfg, task, overridden))
    return WeightsSaid(layer, lines)


def laid_over(task: str, model: Mapping[str, Any], cfg: Layer) -> dict[str, Any]:
    """Of a file's model section, as yaml has it, what is laid over a config: see config/model_keys.py.

    A detector without global context may gain it, which is then the config's to say.
    """
    keys = MODEL_KEYS[task]
    stated, said = set(leaves(cfg.values)), dict[str, Any]()
    for path in leaves({"model": model}):
        key, value = ".".join(path[1:]), value_at({"model": model}, path)
        may_gain = key == "global_context" and not value
        if (keys.is_architecture(key) and not may_gain) or (keys.is_recipe(key) and path not in stated):
            _put(said, path, value)
    return said


def _instead(theirs: Layer, cfg: Layer, settings: Settings, overridden: set[KeyPath]) -> Iterator[str]:
    """A line for each key that the config's file states and the weights decide otherwise; null leaves it to them."""
    trained, decided = settings.backbone_as_trained(), set(leaves(theirs.values)) - overridden
    for path in leaves(cfg.values):
        key, stated = ".".join(path), value_at(cfg.values, path)
        if path not in decided or stated is None:
            continue
        decides = value_at(theirs.values, path) if trained.get(key) is None else trained[key]
        if stated != decides:
            yield f"{key}: {text_of(decides)} ({theirs.source}) instead of {text_of(stated)} ({cfg.source})"


def _left_open(theirs: Layer, cfg: Layer, task: str, overridden: set[KeyPath]) -> Iterator[str]:
    """One line with what the weights were trained by beyond the defaults, where the config says nothing of it."""
    usual = SCHEMAS[task]().model_dump(mode="json")
    found = [
        f"{'.'.join(path)}={text_of(value)}"
        for path in leaves(theirs.values)
        if MODEL_KEYS[task].is_recipe(".".join(path[1:]))
        and path not in overridden
        and (value := value_at(theirs.values, path)) != value_at(usual, path)
    ]
    if found:
        yield f"{cfg.source} leaves open what stays as {theirs.source} was trained: {', '.join(found)}"


def _put(values: dict[str, Any], path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value
