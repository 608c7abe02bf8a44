"""The losses that a config may name, and what it may say of one.

The tables are the one list of them. A loss is a function; its place stands as text, so that a config is checked against
the names without torch, and imported where a model is built (detection/named_losses.py, which has the signatures). A
loss of one's own is a line here and a function anywhere, or without the line module:function in one's own config.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from detres.config.problems import nearest
from detres.config.sections import Section

BOX_LOSSES = {
    "smooth_l1": "detres.detection.losses:smooth_l1",
    "giou": "detres.detection.losses:giou",
}
OBJECTNESS_LOSSES = {
    "cross_entropy": "detres.detection.losses:binary_cross_entropy",
}

AnySection = TypeVar("AnySection", bound=Section)


def _named_in(table: Mapping[str, str]) -> Any:
    """The type of a key that names a loss of the table, or code."""

    def check(name: str) -> str:
        if name not in table and ":" not in name:
            close = nearest(name, table, 1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"got {name!r}, expected one of {', '.join(table)}, or module:callable{meant}")
        return name

    return Annotated[str, AfterValidator(check), Field(examples=list(table))]


class LossConfig(Section):
    name: str
    weight: float = Field(default=1.0, ge=0.0)
    options: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the loss's own, by name; stated beside the loss's name, they are all that it has."""

    @property
    def is_code(self) -> bool:
        return ":" in self.name


class BoxLossConfig(LossConfig):
    name: _named_in(BOX_LOSSES) = "smooth_l1"
    """smooth_l1 on the offsets, giou on the decoded boxes, or module:callable."""
    beta: float = Field(default=0.0, ge=0.0)
    """Where smooth L1 turns from square to linear, in units of the offsets; 0 is plain L1."""

    @model_validator(mode="after")
    def _beta_is_said_once(self) -> Self:
        if self.name == "smooth_l1" and "beta" in self.options:
            raise ValueError("options.beta: beta of smooth_l1 is a key of its own; leave it out of options")
        return self


class ObjectnessLossConfig(LossConfig):
    name: _named_in(OBJECTNESS_LOSSES) = "cross_entropy"
    """cross_entropy, binary, or module:callable."""


def without_own_losses(section: AnySection) -> AnySection:
    """The section with the usual loss wherever one is code, at any depth: for models that are not trained."""
    changed: dict[str, Section] = {}
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, LossConfig):
            changed |= {key: type(value)()} if value.is_code else {}
        elif isinstance(value, Section):
            inner = without_own_losses(value)
            changed |= {key: inner} if inner is not value else {}
    return section.model_copy(update=changed) if changed else section
