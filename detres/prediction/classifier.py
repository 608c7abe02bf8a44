"""A trained classifier as an object: images in, the probability of each class out.

N images, V views of an image, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray

from detres.backbones.norms import fold_norms
from detres.classification import classifier as network
from detres.classification.files import ClassifierSettings
from detres.classification.published import locate_classifier
from detres.classification.testing import member_of, predict_views
from detres.data.classification.views import ImageViews, collate_views
from detres.devices import check_precision
from detres.distributed import local_device
from detres.precision import Precision
from detres.prediction.pictures import check_batch, read_picture

if TYPE_CHECKING:
    from detres.prediction.pictures import Picture


@dataclass(frozen=True)
class NamedProbabilities:
    """What one picture shows. probabilities: (K,) float32, whose sum is 1. class_names: K."""

    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...]

    @property
    def label(self) -> int:
        """Of the most probable class; the first of equals."""
        return int(self.probabilities.argmax())

    @property
    def name(self) -> str:
        return self.class_names[self.label]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """(name, probability) of the most probable classes, best first."""
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.class_names[label], float(self.probabilities[label])) for label in best]

    def to_dict(self) -> dict[str, list]:
        """Plain lists, ready for JSON, in the order of the classes."""
        return {"probabilities": self.probabilities.tolist(), "names": list(self.class_names)}


class Classifier:
    """A classifier and all that feeds it. Made by `from_checkpoint`; `model` is the network inside.

    `model.predict(images)` gives the logits of a batch (N, H, W, 3) that is resized and cropped already.
    """

    def __init__(
        self,
        model: network.Classifier,
        settings: ClassifierSettings,
        *,
        device: str | None = None,
        precision: Precision = "float32",
        max_pixels: int | None = None,
    ) -> None:
        """The views of an image (resized, cropped, mirrored) are those it was tested with: settings.test.

        max_pixels: of a picture's file, as data.max_pixels says. Raises ConfigError for another precision.
        """
        self.device, self.precision, self.settings = local_device(device), precision, settings
        check_precision(precision, self.device)
        # Norms with fixed statistics vanish into their convolutions: the same numbers, less to compute.
        self.model = fold_norms(model).to(self.device).to(memory_format=torch.channels_last)
        self.max_pixels = max_pixels
        self._member = member_of(self.model, settings.preprocessing, settings.test)

    @classmethod
    def from_checkpoint(
        cls,
        weights: str | Path,
        *,
        device: str | None = None,
        precision: Precision = "float32",
        max_pixels: int | None = None,
    ) -> Self:
        """weights: a run folder (its best checkpoint, else its last), a checkpoint folder, a file, or a tag such as
        torchvision/resnet50.

        The rest is as the constructor takes it. Raises WeightsError, ConfigError.
        """
        model, settings = ClassifierSettings.load(locate_classifier(weights))
        return cls(model, settings, device=device, precision=precision, max_pixels=max_pixels)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.settings.class_names

    def __call__(self, picture: Picture) -> NamedProbabilities:
        return self.predict(picture)

    def predict(self, picture: Picture) -> NamedProbabilities:
        """picture: uint8 RGB (H, W, 3), a PIL image, or a file's path. Raises DataError where it is none of them."""
        return self._predict([picture])[0]

    def predict_many(self, pictures: Iterable[Picture], *, batch: int = 32) -> Iterator[NamedProbabilities]:
        """What each picture shows, in order; `batch` of them are computed at once. (N, H, W, 3) is N pictures.

        Raises ConfigError for a batch below 1, DataError where something is no picture.
        """
        check_batch(batch)
        return self._predict_in_batches(iter(pictures), batch)

    def _predict_in_batches(self, pictures: Iterator[Picture], batch: int) -> Iterator[NamedProbabilities]:
        while chunk := list(islice(pictures, batch)):
            yield from self._predict(chunk)

    def _predict(self, pictures: Sequence[Picture]) -> list[NamedProbabilities]:
        plan, samples = self._member.plan, []
        for place, picture in enumerate(pictures):
            rgb = read_picture(picture, exif=self.settings.preprocessing.exif, max_pixels=self.max_pixels)
            samples.append(ImageViews(place, (plan.views(rgb),), rgb.shape[:2]))
        found = predict_views([self._member], [collate_views(samples)], self.device, precision=self.precision)
        return [NamedProbabilities(row, self.class_names) for _, rows in found for row in rows]
