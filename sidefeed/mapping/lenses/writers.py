"""Fields of a system that are only written: constants and templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .. import values as canonical
from ..values import Value


class WriterOptions(BaseModel):
    """A raw field that Sidefeed fills and takes no edits from: a constant, or a text made of workspace fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    constant: str | bool | int | None = Field(None, description="The value written.")
    template: str | None = Field(
        None, description="Text in which `{field}` stands for a workspace field; with `on: always` it follows them."
    )
    on: Literal["create", "always"] = Field(
        "create", description="`create`: on new records only. `always`: a template also when its fields change."
    )

    @model_validator(mode="after")
    def _one_source(self) -> WriterOptions:
        if (self.constant is None) == (self.template is None):
            raise ValueError("write either `constant` or `template`")
        if self.constant is not None and self.on == "always":
            raise ValueError("a constant is written on create only")
        return self


_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Writer:
    field: str
    constant: str | bool | int | None
    template: str | None
    on_create_only: bool
    sources: frozenset[str]

    @classmethod
    def of(cls, field: str, options: WriterOptions) -> Writer:
        sources = frozenset(_SLOT.findall(options.template or ""))
        return cls(field, options.constant, options.template, options.on == "create", sources)

    def write(self, values: Mapping[str, Value]) -> dict[str, Any]:
        if self.template is None:
            return {self.field: self.constant}
        return {self.field: canonical.text(_SLOT.sub(lambda slot: _spoken(values.get(slot[1])), self.template))}


def _spoken(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and "amount" in value:
        return f"{value['amount']} {value['currency']}"
    if isinstance(value, dict) and "start" in value:
        return str(value["start"])
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
