"""A trained detector as an object: images in, detections in their own pixels out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import ExportedProgram

from detres.backbones.norms import fold_norms
from detres.config.detection_schema import TestConfig
from detres.config.loading import Layer, leaves
from detres.conversion.published import locate_detector
from detres.data.detection.image_copies import copies_of
from detres.data.detection.loaders import DetectionSample, collate
from detres.data.detection.transforms import DetectionTransform
from detres.detection.export import export_detector
from detres.detection.files import DetectorSettings
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.testing.plan import DetectionTest, Member, is_plain
from detres.detection.told_otherwise import told_otherwise
from detres.devices import HALVES, check_precision, computing_in
from detres.distributed import local_device
from detres.errors import ConfigError
from detres.precision import Precision
from detres.prediction.pictures import check_batch, read_picture
from detres.structures import DetectionBatch, Detections, DetectionTarget

if TYPE_CHECKING:
    from detres.prediction.pictures import Picture


@dataclass(frozen=True)
class NamedDetections(Detections):
    """Detections that know their class names. class_names: of all K classes."""

    class_names: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The class name of each detection."""
        return [self.class_names[label] for label in self.labels.tolist()]

    def to_dict(self) -> dict[str, list]:
        return super().to_dict() | {"names": self.names}

    def draw(self, rgb: NDArray[np.uint8], *, min_score: float = 0.5) -> NDArray[np.uint8]:
        """A copy of the picture with boxes, names and scores on it."""
        from detres.report.drawing import draw_detections

        return draw_detections(rgb, self, self.class_names, min_score=min_score)


class Detector:
    """A detector and all that feeds it. Made by `from_checkpoint`; `model` is the FasterRCNN inside."""

    def __init__(
        self,
        model: FasterRCNN,
        settings: DetectorSettings,
        *,
        device: str | None = None,
        score: float | None = None,
        precision: Precision = "float32",
        compile: bool = False,
    ) -> None:
        """score: floor of the detections; None: the one it was tested with. compile: the backbone, at the first image
        of each size anew, so it pays for many images of few sizes.
        A test of more than one look votes and merges by its own floor, and what comes out is cut at `score`.
        Raises ConfigError for another precision, and for a score that is none.
        """
        if score is not None and not 0 <= score <= 1:
            raise ConfigError(f"score is {score}, expected 0 to 1")
        self.device, self.precision, self.settings = local_device(device), precision, settings
        check_precision(precision, self.device)
        # Norms with fixed statistics vanish into their convolutions: the same numbers, less to compute.
        self.model = fold_norms(model).to(self.device).to(memory_format=torch.channels_last)
        if precision != "float32":
            _round_weights(self.model, HALVES[precision])
        if score is not None:
            self.model.roi.score = score
        self._floor = 0.0 if score is None else score
        test = settings.test
        if score is not None:
            # Weak boxes vote as they did in the test; and merging lowers scores, so the floor is asked behind it.
            test = test.model_copy(update={"score": min(test.score, score)})
        data = settings.preprocessing
        self._test = None if is_plain(test) else DetectionTest([Member(self.model, data)], test)
        if compile:
            self.model.backbone.compile(dynamic=False)
            self.model.neck.compile(dynamic=False)
        self._constant = compile and self.device.type == "cpu"
        self.exif, self.max_pixels = data.exif, data.max_pixels
        self._transform = DetectionTransform(
            shortest_side=data.shortest_side, longest_side=data.longest_side, rounding=data.rounding
        )

    @classmethod
    def from_checkpoint(
        cls,
        weights: str | Path,
        *,
        device: str | None = None,
        score: float | None = None,
        precision: Precision = "float32",
        compile: bool = False,
        test: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        model: Mapping[str, Any] | None = None,
    ) -> Self:
        """weights: a run folder (its best checkpoint, else its last), a checkpoint folder, a file, or a tag.

        test, data, model: keys of these groups of a config that are otherwise than in the file, as in
        test={"nms": 0.4, "flip": True}, data={"shortest_side": 640}, model={"rpn": {"post_nms_test": 300}}.
        The rest is as the constructor takes it. Raises WeightsError, ConfigError.
        """
        said = {"test": test, "data": data, "model": model}
        return cls.from_layers(
            weights, _as_layers(said), device=device, score=score, precision=precision, compile=compile
        )

    @classmethod
    def from_layers(
        cls,
        weights: str | Path,
        layers: Sequence[Layer],
        *,
        device: str | None = None,
        score: float | None = None,
        precision: Precision = "float32",
        compile: bool = False,
    ) -> Self:
        """As from_checkpoint, for what is said as key=value. Raises WeightsError, ConfigError."""
        file = locate_detector(weights)

        def adapted(own: DetectorSettings) -> DetectorSettings:
            settings = told_otherwise(own, layers, str(file))
            _check_floors(layers, settings.test, score)
            return settings

        model, settings = DetectorSettings.load(file, adapted)
        return cls(model, settings, device=device, score=score, precision=precision, compile=compile)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.model.class_names

    def __call__(self, picture: Picture) -> NamedDetections:
        return self.predict(picture)

    def predict(self, picture: Picture) -> NamedDetections:
        """picture: uint8 RGB (H, W, 3), a PIL image, or a file's path. Raises DataError where it is none of them."""
        return self._predict([self._read(picture)])[0]

    def predict_many(self, pictures: Iterable[Picture], *, batch: int = 8) -> Iterator[NamedDetections]:
        """The detections of each picture, in order; `batch` of them are computed at once.

        Raises ConfigError for a batch below 1, DataError where something is no picture.
        """
        check_batch(batch)
        return self._predict_in_batches(iter(pictures), batch)

    def _predict_in_batches(self, pictures: Iterator[Picture], batch: int) -> Iterator[NamedDetections]:
        while chunk := list(islice(pictures, batch)):
            yield from self._predict([self._read(picture) for picture in chunk])

    def _read(self, picture: Picture) -> NDArray[np.uint8]:
        return read_picture(picture, exif=self.exif, max_pixels=self.max_pixels)

    def export(self, image_size: tuple[int, int], *, batch: int = 1) -> ExportedProgram:
        """The model as a graph of torch.export that needs torch and torchvision, but not detres.

            torch.export.save(detector.export((800, 1344)), "detector.pt2")
            ...
            import torchvision  # brings the operators nms and roi_align
            program = torch.export.load("detector.pt2").module()
            boxes, scores, labels, counts = program(images, sizes)  # as FasterRCNN.predict_tensors

        image_size: height and width of the padded images, multiples of model.pad_to. batch: how many at once.
        Resizing is left to the caller: images are uint8 RGB as settings.preprocessing would have them, padded with
        zeros at the right and the bottom. Raises ConfigError for a size that does not fit, for roi_align=rows, and for
        a detector whose test is more than one look at one size (refinement, scales, flip).
        """
        if self._test is not None:
            raise ConfigError(
                "this detector is tested with refinement, voting, scales or flip, which no single graph holds; its "
                "plain form is exported by detres.detection.export.export_detector(detector.model, image_size)"
            )
        with self._autocast():
            return export_detector(self.model, image_size, batch=batch)

    def _autocast(self) -> torch.autocast:
        return computing_in(self.precision, self.device)

    def _predict(self, pictures: Sequence[NDArray[np.uint8]]) -> list[NamedDetections]:
        samples = []
        for place, rgb in enumerate(pictures):
            image, size, target = self._transform.before_resize(rgb, DetectionTarget.empty())
            samples.append(DetectionSample(image, (rgb.shape[0], rgb.shape[1]), place, target, sample_key=0, size=size))
        with self._autocast(), weights_as_constants(self._constant):
            found = self._found(samples)
        return [
            NamedDetections(d.boxes.cpu(), d.scores.cpu(), d.labels.cpu(), d.image_size, self.class_names)
            for d in found
        ]

    def _found(self, samples: Sequence[DetectionSample]) -> list[Detections]:
        if self._test is None:
            batch = collate(samples, self.model.pad_to)
            return self.model.predict(self._moved(batch))
        copies = [copies_of(sample, self._test.copies) for sample in samples]
        found = [self._test([self._moved(copy) for copy in of_image]) for of_image in copies]
        return [detections.above(self._floor) for detections in found]

    def _moved(self, batch: DetectionBatch) -> DetectionBatch:
        pinned = batch.pin_memory() if self.device.type == "cuda" else batch
        return pinned.to(self.device, non_blocking=True)


def _as_layers(said: Mapping[str, Mapping[str, Any] | None]) -> list[Layer]:
    """One a group, named as it is written. Raises ConfigError where a group is no mapping of names."""
    layers = []
    for group, values in said.items():
        if values is None:
            continue
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            raise ConfigError(f"{group} is {values!r}, expected a mapping of its keys, such as {_SUCH_AS[group]}")
        layers.append(Layer(f"{group}={dict(values)!r}", {group: values}))
    return layers


_SUCH_AS = {"test": "{'nms': 0.4}", "data": "{'shortest_side': 640}", "model": "{'rpn': {'post_nms_test': 300}}"}


def _check_floors(layers: Sequence[Layer], test: TestConfig, score: float | None) -> None:
    """Raise ConfigError where test.score and `score` are both said, and one of them would change nothing."""
    if score is None or not any(("test", "score") in leaves(layer.values) for layer in layers):
        return
    if is_plain(test) or test.score > score:
        raise ConfigError(
            f"test.score={test.score} and score={score}: only the higher would count; give one of them (both where "
            "weaker boxes than those that are kept shall vote or be merged, as with test.vote, refine, scales, flip)"
        )


def weights_as_constants(enabled: bool = True) -> AbstractContextManager[None]:
    """What is compiled within, without gradients, takes its weights for constants.

    They are then laid out for the processor once instead of at every call, and additions and activations join their
    convolutions: a fifth of the time of a ResNet on a CPU. Later changes of the weights go unnoticed.
    """
    if not enabled:
        return nullcontext()
    import torch._inductor.config  # the compiler is slow to import

    return torch._inductor.config.patch(freezing=True)


def _round_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Round weights in place: autocast would make the same numbers of them anew for every image."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.to(dtype)
