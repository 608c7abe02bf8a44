"""From a decoded image and its target to what a model learns from: augmentation by name, then the resize.

The resize comes last and can be left to whoever has the memory that the image shall lie in: a batch's, where it saves
writing every image twice. So it is no transform of albumentations, which would give an image of its own; nor has that
library one that scales the shorter side with a limit for the longer, and rounds as the field does (images/sizes.py).

M boxes of an image. A *draw key* is the integer (draws.py) that stands for one image's place in the run.
"""

from __future__ import annotations

import inspect
import os
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detres.data.detection.augmentation_trial import said_by, try_augmentations
from detres.data.images.sizes import Rounding, resize_image, resized_size
from detres.errors import ConfigError, DataError, UserError, kind_of
from detres.lookup import nearest
from detres.own_code import OWN_FAILURES, find_own_function, own_failed
from detres.structures import DetectionTarget
from detres.system_errors import out_of_memory

# Square pixels. With albumentations' 0 a box that was cropped away altogether passes its filter and fails its check.
_LEAST_AREA = 1e-4

Augmentation = Mapping[str, Mapping[str, Any]]


class DetectionTransform:
    """Called with (rgb, target, draw_key); returns the changed image and target.

    augment: albumentations by name, each with its arguments ({"HorizontalFlip": {"p": 0.5}}), or module:callable that
    returns one; compositions such as OneOf take `transforms`, a list of the same form. Only used in training.
    shortest_side: in training one of them is drawn for each image, else the last is taken. longest_side: the limit of
    the other side. rounding: see sizes.resized_size.
    Raises ConfigError where a transform or an argument is unknown, has a value it does not take, or fails on a picture.
    """

    def __init__(
        self,
        augment: Sequence[Augmentation] = (),
        *,
        shortest_side: Sequence[int] = (800,),
        longest_side: int = 1333,
        rounding: Rounding = "floor",
        training: bool = False,
    ) -> None:
        self.augment, self.shortest_side = tuple(augment), tuple(shortest_side)
        self.longest_side, self.rounding, self.training = longest_side, rounding, training
        self._compose = self._build() if training and self.augment else None
        if self._compose is not None:
            try_augmentations(self._compose.transforms, _albumentations())

    def __call__(
        self, rgb: NDArray[np.uint8], target: DetectionTarget, draw_key: int = 0
    ) -> tuple[NDArray[np.uint8], DetectionTarget]:
        """rgb: (H, W, 3). target: in pixels of rgb. The same key gives the same result in any process."""
        image, size, target = self.before_resize(rgb, target, draw_key)
        return resize_image(image, size), target

    def before_resize(
        self, rgb: NDArray[np.uint8], target: DetectionTarget, draw_key: int = 0
    ) -> tuple[NDArray[np.uint8], tuple[int, int], DetectionTarget]:
        """The image before it is resized, the (height, width) it is to have, and the target in pixels of that size."""
        boxes = _clipped(target.boxes.numpy(), rgb.shape[:2])
        index = _with_area(boxes)
        shares = boxes[index] / _corners(rgb.shape[:2])
        draws = random.Random(draw_key)
        shortest = draws.choice(self.shortest_side) if self.training else self.shortest_side[-1]
        if self._compose is not None:
            # One stream for all that is drawn. set_random_seed would give each transform the same one: a horizontal
            # and a vertical flip at p=0.5 would then always happen together.
            self._compose.set_random_state(np.random.default_rng(draw_key), draws)
            result = self._augmented(rgb, shares, index)
            rgb, shares = result["image"], np.asarray(result["bboxes"]).reshape(-1, 4)
            index = np.asarray(result["index"], dtype=np.int64)
        size = resized_size(rgb.shape[:2], shortest, self.longest_side, self.rounding)
        moved = (shares * _corners(size)).astype(np.float32)
        kept = _with_area(moved)
        return rgb, size, _moved(target, index[kept], moved[kept])

    def _augmented(self, rgb: NDArray[np.uint8], shares: NDArray[Any], index: NDArray[np.int64]) -> dict[str, Any]:
        """Raises DataError: a transform may fail on some pictures alone."""
        assert self._compose is not None, "asked by whoever saw it"
        try:
            # The index travels with its box, so that labels, ignore flags and whatever joins the target later follow.
            return self._compose(image=rgb, bboxes=shares, index=index)
        except Exception as error:
            if isinstance(error, UserError) or out_of_memory(error):
                raise
            raise DataError(
                f"data.augment fails on this image of {rgb.shape[1]}x{rgb.shape[0]} pixels: {said_by(error)}; change "
                "the augmentation, or leave the image out"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        # Workers that are started afresh build their own: transforms of albumentations need not be picklable.
        return self.__dict__ | {"_compose": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._compose = self._build() if self.training and self.augment else None

    def _build(self) -> Any:
        library = _albumentations()
        transforms = [build_augmentation(entry, f"data.augment.{i}") for i, entry in enumerate(self.augment)]
        # Boxes go in as shares of the sides, which is what albumentations computes in. They are clipped and filtered
        # after each transform, lest one that was cropped away is moved back in by the next; with one it is the same.
        boxes = library.BboxParams(
            format="albumentations",
            label_fields=["index"],
            min_area=_LEAST_AREA,
            check_each_transform=len(transforms) > 1,
        )
        return library.Compose(transforms, bbox_params=boxes)


def build_augmentation(entry: Augmentation, where: str) -> Any:
    """The transform that {"NAME": {arguments}} names; `where` is said in errors.

    Raises ConfigError: an unknown name or argument with the nearest there is, a value that is refused, a transform
    that does not carry boxes along.
    """
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ConfigError(
            f"{where}: got {entry!r}, expected one name with its arguments: {{HorizontalFlip: {{p: 0.5}}}}"
        )
    (name, given), library = next(iter(entry.items())), _albumentations()
    arguments = dict(given or {})
    build = _find(name, where)
    _check_arguments(name, build, arguments, where)
    if inspect.isclass(build) and issubclass(build, library.BaseCompose):
        listed = arguments.get("transforms", ())
        if not isinstance(listed, list | tuple):
            raise ConfigError(f"{where}.{name}.transforms: got {str(listed)[:60]}, expected a list of transforms")
        inner = enumerate(listed)
        arguments["transforms"] = [build_augmentation(each, f"{where}.{name}.transforms.{i}") for i, each in inner]
    try:
        with warnings.catch_warnings():
            # Where an argument's value cannot be checked, albumentations warns and goes on with its defaults.
            warnings.simplefilter("error", UserWarning)
            transform = build(**arguments)
    except (ValueError, TypeError, UserWarning) as error:
        raise ConfigError(f"{where}: {name} refuses {arguments}: {error}") from None
    except OWN_FAILURES as error:
        own_failed(error, f"{where}: {name}", __file__)
    _check_boxes_follow(name, transform, where)
    return transform


def _albumentations() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the registry for its newest version on import
    import albumentations

    return albumentations


def _find(name: str, where: str) -> Callable[..., Any]:
    if ":" in name:
        return find_own_function(name, f"{where}:")
    library = _albumentations()
    kinds = (library.BasicTransform, library.BaseCompose)
    if _is_transform(getattr(library, name, None), kinds):
        return getattr(library, name)
    names = [each for each in dir(library) if _is_transform(getattr(library, each), kinds)]
    close = nearest(name, names)
    mend = f"did you mean {' or '.join(close)}?" if close else "see albumentations' list of transforms"
    raise ConfigError(f"{where}: {name} is no transform of albumentations {library.__version__}; {mend}")


def _is_transform(candidate: Any, kinds: tuple[type, ...]) -> bool:
    return inspect.isclass(candidate) and issubclass(candidate, kinds) and candidate not in kinds


def _check_arguments(name: str, build: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> None:
    try:
        parameters = inspect.signature(build).parameters
    except ValueError:  # some of Python's own callables state none
        return
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    problems = []
    for key in arguments:
        if key not in parameters:
            close = nearest(key, parameters, 1)
            mend = f"did you mean {close[0]}?" if close else f"it takes {', '.join(parameters)}"
            problems.append(f"{where}.{name}.{key} is unknown; {mend}")
    if problems:
        raise ConfigError("\n".join(problems))


def _check_boxes_follow(name: str, transform: Any, where: str) -> None:
    """A transform that moves pixels but not boxes would spoil every target."""
    library = _albumentations()
    if isinstance(transform, library.DualTransform):
        targets = transform._targets if isinstance(transform._targets, tuple) else (transform._targets,)
        if not any(target.name == "BBOXES" for target in targets):
            raise ConfigError(f"{where}: {name} does not move boxes along with the image; leave it out")
    elif not isinstance(transform, library.BasicTransform | library.BaseCompose):
        raise ConfigError(f"{where}: {name} gave {kind_of(transform)}, expected a transform of albumentations")


def _clipped(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """(M, 4) cut at the image's edges, in numpy: torch's calls cost more than this arithmetic."""
    return np.clip(boxes, 0, _corners(size).astype(np.float32))


def _corners(size: tuple[int, int]) -> NDArray[np.float64]:
    """What shares of (height, width) are multiplied by to be xyxy pixels."""
    return np.array([size[1], size[0], size[1], size[0]], dtype=np.float64)


def _with_area(boxes: NDArray[np.float32]) -> NDArray[np.int64]:
    """Indices of the boxes whose sides are both longer than nothing."""
    return np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))


def _moved(target: DetectionTarget, index: NDArray[np.int64], boxes: NDArray[np.float32]) -> DetectionTarget:
    """The rows `index` of a target, with these boxes."""
    return replace(target.select(torch.from_numpy(index)), boxes=torch.from_numpy(boxes))
