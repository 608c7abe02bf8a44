"""What images go through in mmdetection's tests, as its configs say it.

A config often names its steps more than once: in the set or the loader that is tested on, and in a variable that was
assigned before, and may have been left as it was when the set was changed. What is tested on is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detres.conversion.foreign_configs import shown
from detres.conversion.mmdetection.configs import StatedConfig

_TEST_STEPS = ("data.test", "test_dataloader", "test_pipeline")
"""Where the steps lie, what is really used first: of 1.x and 2.x, of 3.x, and a variable of either."""
_SIZES, _STATS, _PADDING = ("img_scale", "scale"), ("mean",), ("size_divisor",)


def steps_with(stated: StatedConfig, *keys: str) -> list[Mapping[str, Any]]:
    """The steps that have any of the keys, of the first place that has such steps."""
    return next((steps for _, steps in _places(stated, keys)), [])


def sides_of(stated: StatedConfig) -> tuple[int, int] | None:
    """The shorter and the longer side that images are scaled to fit into; of several sizes, the last."""
    return next((sides for step in steps_with(stated, *_SIZES) if (sides := _sides(step))), None)


def stats_steps(stated: StatedConfig) -> list[Mapping[str, Any]]:
    """The steps that normalize."""
    return steps_with(stated, *_STATS)


def divisors_of(stated: StatedConfig) -> list[Any]:
    """What padded sides are multiples of, of each step that pads."""
    return [step["size_divisor"] for step in steps_with(stated, *_PADDING) if step["size_divisor"]]


def loses_ratio(stated: StatedConfig) -> bool:
    return any(step["keep_ratio"] is False for step in steps_with(stated, "keep_ratio"))


def pipeline_remarks(stated: StatedConfig) -> list[str]:
    """A line for each setting that the config states in several ways, of which one counts."""
    disagreements = (_disagreement(stated, keys) for keys in (_SIZES, ("mean", "std", "to_rgb"), _PADDING))
    return [*filter(None, disagreements), *_left_out(stated)]


def _left_out(stated: StatedConfig) -> Iterator[str]:
    """Of tests at several looks at an image, which detres makes where they are asked for."""
    for step in steps_with(stated, "img_scale"):
        scales = step["img_scale"]
        if isinstance(scales, list) and len(scales) > 1 and all(isinstance(scale, list) for scale in scales):
            told = f"its config tests at {len(scales)} sizes, {shown(scales)}"
            yield f"{told}; here at the last, unless test.scales=… is said in a test"
        if step.get("flip") is True:
            yield "its config tests mirrored images as well; here none is, unless test.flip=true is said in a test"


def _places(stated: StatedConfig, keys: tuple[str, ...]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    for path in _TEST_STEPS:
        if steps := [step for step in stated.below(path) if any(key in step for key in keys)]:
            yield path, steps


def _sides(step: Mapping[str, Any]) -> tuple[int, int] | None:
    scale = step.get("img_scale", step.get("scale"))
    if isinstance(scale, list) and scale and isinstance(scale[-1], list):
        scale = scale[-1]
    if isinstance(scale, list) and len(scale) == 2 and all(type(side) is int and side > 0 for side in scale):
        return min(scale), max(scale)
    return None


def _disagreement(stated: StatedConfig, keys: tuple[str, ...]) -> str | None:
    """Of several places, and of several sets in one, the first counts."""
    found = [
        (path, {key: step[key] for key in keys if key in step})
        for path, steps in _places(stated, keys)
        for step in steps
    ]
    other = next(((path, values) for path, values in found if values != found[0][1]), None)
    if other is None:
        return None
    (used, first), (path, second) = found[0], other
    where = f"in {path}" if path != used else "in another step or set there"
    return f"its config has {_listed(first)} in {used}, which counts, and {_listed(second)} {where}"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={shown(value)}" for key, value in values.items())
