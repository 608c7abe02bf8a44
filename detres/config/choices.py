"""Keys of a config that name an entry of a table (tables.py), checked against it, and against it alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from detres.lookup import Table


@dataclass(frozen=True, eq=False)
class OneOf:
    """Of a key's annotation: Annotated[str, OneOf(SCHEDULES)] takes the names of the table.

    besides: names that stand for something else than an entry. own: whether module:callable is taken as well.
    """

    table: Table
    besides: tuple[str, ...] = ()
    own: bool = False

    def check(self, name: Any) -> str:
        """The name. Raises ValueError with those that there are."""
        if self.own and isinstance(name, str) and ":" in name:
            return name
        return self.table.check(name, *self.besides, also=", or module:callable" if self.own else "")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check, json_schema_input_schema=handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return one_of_schema((*self.besides, *self.table), *([("module:callable", ":")] if self.own else []))


def one_of_schema(names: Iterable[str], *patterns: tuple[str, str]) -> dict[str, Any]:
    """The JSON schema of a name. patterns: what else is taken, as it is written for people, and as a pattern."""
    known = {"enum": list(names), "type": "string"}
    others = [{"pattern": pattern, "title": title, "type": "string"} for title, pattern in patterns]
    return {"anyOf": [known, *others]} if others else known
