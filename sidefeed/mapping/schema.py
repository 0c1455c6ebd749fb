"""The JSON Schema of the mapping files, for editors; and the reference pages made from the same descriptions."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from .files import EntitiesFile, SystemFile
from .lenses import library


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a mapping file of either kind."""
    lenses = [each.Options for each in library().values()]
    models: list[Any] = [(each, "validation") for each in (EntitiesFile, SystemFile, *lenses)]
    _, top = models_json_schema(models, ref_template="#/$defs/{model}")
    return top
