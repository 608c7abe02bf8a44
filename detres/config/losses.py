"""What a config may say of a loss; detection/model/named_losses.py has the signatures, tables.py the names."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator

from detres.config.choices import OneOf
from detres.config.sections import Section
from detres.tables import BOX_LOSSES, OBJECTNESS_LOSSES

AnySection = TypeVar("AnySection", bound=Section)


class LossConfig(Section):
    name: str
    weight: float = Field(default=1.0, ge=0.0)
    """Factor of this loss in the sum that is minimized."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the loss's own, by name; stated beside the loss's name, they are all that it has."""

    @property
    def is_code(self) -> bool:
        return ":" in self.name


class BoxLossConfig(LossConfig):
    name: Annotated[str, OneOf(BOX_LOSSES, own=True)] = "smooth_l1"
    """smooth_l1 on the offsets, giou on the decoded boxes, or module:callable."""
    beta: float = Field(default=0.0, ge=0.0)
    """Where smooth L1 turns from square to linear, in units of the offsets; 0 is plain L1."""

    @model_validator(mode="after")
    def _beta_is_said_once(self) -> Self:
        if self.name == "smooth_l1" and "beta" in self.options:
            raise ValueError("options.beta: beta of smooth_l1 is a key of its own; leave it out of options")
        return self


class ObjectnessLossConfig(LossConfig):
    name: Annotated[str, OneOf(OBJECTNESS_LOSSES, own=True)] = "cross_entropy"
    """cross_entropy of a yes or no, or module:callable."""


def without_own_losses(section: AnySection) -> AnySection:
    """The section with the usual loss wherever one is code, at any depth: for models that are not trained."""
    changed: dict[str, Section] = {}
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, LossConfig):
            changed |= {key: type(value).model_validate({})} if value.is_code else {}
        elif isinstance(value, Section):
            inner = without_own_losses(value)
            changed |= {key: inner} if inner is not value else {}
    return section.model_copy(update=changed) if changed else section
