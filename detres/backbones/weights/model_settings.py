"""What a model's safetensors file says of itself, for every task: all that rebuilds the model and feeds it.

Nothing in it runs. The metadata holds one JSON text under the key "detres".
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from torch import Tensor, nn

from detres.backbones.weights.described import check_described, check_extents, shapes_of
from detres.backbones.weights.metadata import WeightsMetadata
from detres.checkpoints.reading import read_metadata, read_safetensors
from detres.config.key_effects import text_of
from detres.config.loading import leaves, value_at
from detres.config.model_keys import MODEL_KEYS
from detres.config.problems import in_a_line
from detres.config.sections import Section
from detres.errors import WeightsError, kind_of
from detres.files.strict_json import parse_json
from detres.version import __version__

if TYPE_CHECKING:
    from detres.backbones.norms import Norm
    from detres.config.classification_schema import ClassifierConfig
    from detres.config.detection_schema import ModelConfig
    from detres.config.localization_schema import LocalizerConfig

METADATA_KEY = "detres"
# Of each task's files what they are, and which commands take them, for people.
_KNOWN_BY = {
    "detection": "a detector, which eval_det, predict, visualize and train_det take",
    "localization": "a localizer, which eval_det takes, and train_det with a localizer's --cfg",
    "classification": "a classifier, which eval_cls and train_cls take",
}
_SHOWN = 1000  # characters of what a file says, in messages

Model = TypeVar("Model", bound="ModelConfig | ClassifierConfig | LocalizerConfig")
Data = TypeVar("Data", bound=Section)
Test = TypeVar("Test", bound=Section)


@dataclass(frozen=True)
class ModelSettings(ABC, Generic[Model, Data, Test]):
    """Everything beside the tensors. Each task has a subclass, whose class variables say what is its own.

    model: with class_names, without weights. preprocessing and test: how it was trained and tested. backbone: what its
    weights expect of pixels and strides; None for code of the user's. norms: of each stage of the backbone. recipe: for
    people.
    """

    task: ClassVar[str]
    kind: ClassVar[str]
    """What people call a model of the task."""
    schema: ClassVar[int] = 1
    sections: ClassVar[tuple[type[Section], type[Section], type[Section]]]
    """The classes of model, preprocessing and test."""
    preprocessing_keys: ClassVar[tuple[str, ...]]
    """Of the data section, what decides how an image reaches the model."""
    may_be_code: ClassVar[bool] = False
    """Whether the backbone may be code of the user's."""
    if_absent: ClassVar[str] = ": its metadata name neither a model nor classes"
    """How the message goes on for a file of another origin; {where} stands for the file."""

    model: Model
    preprocessing: Data
    test: Test
    backbone: WeightsMetadata | None
    norms: dict[str, Norm]
    recipe: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.model.class_names or ()

    def to_metadata(self) -> dict[str, str]:
        """What safetensors keeps beside the tensors."""
        text = {
            "schema": self.schema,
            "detres_version": __version__,
            "task": self.task,
            "model": self.model.model_dump(mode="json"),
            "preprocessing": self.preprocessing.model_dump(mode="json", include=set(self.preprocessing_keys)),
            "test": self.test.model_dump(mode="json"),
            "backbone": asdict(self.backbone) if self.backbone else None,
            "norms": self.norms,
            "class_names": list(self.class_names),
            "recipe": self.recipe,
        }
        return {METADATA_KEY: json.dumps(text), "format": "pt"}

    @property
    @abstractmethod
    def described(self) -> str:
        """The model in words, to end "does not fit" with."""

    @abstractmethod
    def build(self, where: str, *, own_code: str | None = None) -> Any:
        """The model that these settings describe, with random weights.

        where: names the file in errors. own_code: the backbone's module:callable, where a config of the user's names
        it; a file alone never runs code. Raises WeightsError.
        """

    def check_asked(self, asked: Mapping[str, Any], trained: Mapping[str, Any], where: str) -> None:
        """Raise WeightsError where another function is asked for than the one the weights were trained in.

        Values by key; None leaves it to the weights. where: names the file.
        """
        wrong = [
            f"{key} is {trained[key]}, and {value} is asked for"
            for key, value in asked.items()
            if value is not None and value != trained[key]
        ]
        if wrong:
            raise WeightsError(
                f"{where}: its {'; its '.join(wrong)}. Weights stay in the model they were trained in: leave that out"
            )

    def check_shapes(self, model: Any, where: str) -> None:
        """Raise WeightsError, naming the keys, where a model is asked for whose tensors have other names or shapes.

        Of backbone and classes others decide. Code of the user's is not built to ask.
        """
        trained, asked = self._architecture_of(self.model), self._architecture_of(model)
        wrong = {key: value for key, value in asked.items() if value != trained[key]}
        if not wrong or self.is_code:
            return
        alike = model.model_copy(update={"backbone": self.model.backbone, "class_names": self.model.class_names})
        if shapes_of(lambda: self.build(where)) != shapes_of(lambda: replace(self, model=alike).build(where)):
            self.check_asked(wrong, trained, where)

    def _architecture_of(self, model: Section) -> dict[str, str]:
        """What shapes tensors beside the backbone, as yaml has it, by key."""
        values = model.model_dump(exclude={"backbone"})
        keys = {".".join(path): value_at(values, path) for path in leaves(values)}
        return {
            f"model.{key}": text_of(value) for key, value in keys.items() if MODEL_KEYS[self.task].is_architecture(key)
        }

    def backbone_as_trained(self) -> dict[str, Any]:
        """What keys of model.backbone were in the training, also where the config left them open: those that are known.

        The norms of several kinds as a text.
        """
        trained: dict[str, Any] = {}
        known = self.backbone
        if known is not None and not known.architecture.startswith("timm/"):
            own = ("shortcut", "shortcut_padding", "stride_in", "norm_eps")
            trained |= {f"model.backbone.{key}": getattr(known, key) for key in own}
        if self.norms:
            kinds = set(self.norms.values())
            every = ", ".join(f"{stage} {norm}" for stage, norm in self.norms.items())
            trained["model.backbone.norm"] = kinds.pop() if len(kinds) == 1 else every
        return trained

    @property
    def is_code(self) -> bool:
        """Whether the backbone is code of the user's, whose names and shapes nobody knows before it is run."""
        return ":" in self.model.backbone.name

    @classmethod
    def stated(cls, path: Path) -> Self:
        """The settings alone, of which nothing is built before `read` has held them against the tensors.

        Raises WeightsError where the file is none of the task's.
        """
        return cls.from_metadata(read_metadata(path), str(path))

    @classmethod
    def read(cls, path: Path) -> tuple[dict[str, Tensor], Self]:
        """The tensors of a model's file, on the CPU, and its settings, which fit each other.

        Raises WeightsError where it is none of the task's.
        """
        settings = cls.stated(path)
        return settings.read_tensors(path), settings

    def read_tensors(self, path: Path) -> dict[str, Tensor]:
        """The tensors of the file that these are the settings of, on the CPU.

        Raises WeightsError where they are damaged, or not those of the model that is described.
        """
        tensors, _ = read_safetensors(path)
        if not self.is_code:
            check_described(lambda: self.build(str(path)), tensors, str(path), self.described)
        return tensors

    @classmethod
    def load(cls, path: Path, adapt: Callable[[Self], Self] | None = None) -> tuple[Any, Self]:
        """A model rebuilt from its file alone, in eval mode. adapt: its settings, as they shall be instead."""
        tensors, settings = cls.read(path)
        settings = adapt(settings) if adapt else settings
        return settings.filled(tensors, str(path)).eval(), settings

    def filled(self, tensors: Mapping[str, Tensor], where: str, *, own_code: str | None = None) -> Any:
        """The model with these weights. Raises WeightsError where they do not fit; where, own_code: as of build."""
        model = self.build(where, own_code=own_code)
        load_strictly(model, tensors, where, self.described)
        return model

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str] | None, where: str) -> Self:
        """Raises WeightsError for a file that is no model of the task's, is damaged, or was written by a newer detres.

        where: names the file in messages.
        """
        if not metadata or METADATA_KEY not in metadata:
            raise WeightsError(f"{where}: no {cls.kind} of detres's{cls.if_absent.format(where=where)}")
        try:
            text = parse_json(metadata[METADATA_KEY])
            if not isinstance(text, dict):
                raise ValueError(f"got {kind_of(text)}, expected keys such as task, model and test")
            cls._check_origin(text, where)
            settings = cls._from_text(text, where)
        except (ValueError, KeyError, TypeError, RecursionError, ArithmeticError) as error:
            shown = in_a_line(error)[:_SHOWN]
            raise WeightsError(f"{where}: its metadata cannot be read ({shown}); the file may be damaged") from None
        if not settings.class_names:
            raise WeightsError(f"{where}: its metadata name no classes; the file may be damaged")
        return settings

    @classmethod
    def _check_origin(cls, text: Mapping[str, Any], where: str) -> None:
        task = text.get("task")
        if task == "classification" and cls.task != task:
            raise WeightsError(
                f"{where}: a classifier, not a {cls.kind}; a {cls.kind} starts from its trunk with "
                f"model.backbone.weights={where}"
            )
        if task in _KNOWN_BY and task != cls.task:
            raise WeightsError(f"{where}: {_KNOWN_BY[task]}, and here a {cls.kind} is expected")
        schema = text["schema"]
        if task != cls.task or schema > cls.schema:
            raise WeightsError(
                f"{where}: a {str(task)[:40]} file of schema {str(schema)[:40]}, written by detres "
                f"{str(text.get('detres_version'))[:40]}; expected a {cls.task} file of schema {cls.schema} at most"
            )

    @classmethod
    def _from_text(cls, text: Mapping[str, Any], where: str) -> Self:
        """Raises ValueError, KeyError or TypeError, and WeightsError for the backbone, where the text is not ours."""
        names = ("model", "preprocessing", "test")
        read: dict[str, Any] = {
            n: section.model_validate(text[n]) for n, section in zip(names, cls.sections, strict=True)
        }
        for name, part in read.items():
            check_extents(part.model_dump(), name)
        # What the backbone began with is in the file; what else its author had loaded is not the reader's.
        section = read["model"].backbone.model_copy(update={"weights": None})
        read["model"] = read["model"].model_copy(update={"backbone": section})
        norms = text["norms"]
        if not isinstance(norms, dict) or not all(isinstance(word, str) for pair in norms.items() for word in pair):
            raise ValueError("norms takes names by stage")
        backbone = text["backbone"]
        if backbone is not None or not cls.may_be_code:
            backbone = WeightsMetadata.from_json(json.dumps(backbone), where=where)
        return cls(**read, backbone=backbone, norms=norms, recipe=str(text.get("recipe", ""))[:_SHOWN])


def load_strictly(model: nn.Module, tensors: Mapping[str, Tensor], where: str, what: str) -> None:
    """Copy every tensor; WeightsError that names the first three that have no place, are missing or differ in shape.

    where, what: name the file and the model.
    """
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = " ".join(map(str.strip, str(error).splitlines()[1:4]))
        raise WeightsError(f"{where}: does not fit {what}: {first[:600]}") from None
