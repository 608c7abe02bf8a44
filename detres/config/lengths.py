"""How long something of a run takes: in steps, in epochs, or as a share of the run: 500, "2 epochs", "10 %".

An *epoch* is as many images as the training set has. How many steps that is, a config alone does not know: whoever has
read the set turns all lengths into steps (epochs.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(epochs?|%)")
_PATTERN = r"^\s*((\d+(\.\d+)?|\.\d+)\s*epochs?|(100(\.0+)?|\d{1,2}(\.\d+)?|\.\d+)\s*%)\s*$"


@dataclass(frozen=True)
class Length:
    """Of a key's annotation: Annotated[int | str, Length()] takes whole numbers of at least `least`, and text."""

    least: int = 1

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            _check,
            core_schema.int_schema(ge=self.least),
            # As it is: to pydantic's eyes text would be no whole number.
            serialization=core_schema.plain_serializer_function_ser_schema(lambda length: length),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text = {"type": "string", "pattern": _PATTERN, "title": "text such as 1 epoch or 10 %"}
        return {"anyOf": [{"type": "integer", "minimum": self.least}, text]}


def _check(value: Any, check_steps: ValidatorFunctionWrapHandler) -> int | str:
    if not isinstance(value, str):
        return check_steps(value)
    written = _WRITTEN.fullmatch(value.strip())
    if written is None or float(written[1]) <= 0.0:
        raise ValueError(f"got {value[:40]!r}, expected a number of steps, or text such as '1 epoch' or '10 %'")
    if written[2] == "%" and float(written[1]) > 100.0:
        raise ValueError(f"got {value[:40]!r}, expected 100 % of the run at most")
    return f"{written[1]} {written[2]}"


def steps_of(length: int | str) -> int:
    """A length that is in steps already, as all are once the training set was read."""
    if isinstance(length, str):
        raise ValueError(f"{length!r} is not in steps yet; epochs.with_steps makes it so")
    return length


def in_steps(length: int | str, *, epoch: float, run: float) -> int:
    """At least one step. epoch, run: their steps."""
    if isinstance(length, int):
        return length
    number, unit = length.split()
    return max(1, round(float(number) * (run / 100 if unit == "%" else epoch)))
