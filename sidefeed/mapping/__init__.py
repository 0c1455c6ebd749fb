"""Mapping files -> checked, compiled readers and writers.

`load` reads a folder of YAML and gives a `Mapping` of `ObjectMap`; `sidefeed.mapping.schema` is the JSON Schema that
editors use; `sidefeed.mapping.check` holds a mapping against a live system.
"""

from .compile import load
from .files import MappingError, MappingErrors
from .lenses import Lens, Refs
from .model import Entity, FieldMap, FieldSpec, Mapping, ObjectMap, Policy, Problem
from .values import UNKNOWN, LensError, Unknown, Unresolved, Value

__all__ = [
    "UNKNOWN", "Entity", "FieldMap", "FieldSpec", "Lens", "LensError", "Mapping", "MappingError", "MappingErrors",
    "ObjectMap", "Policy", "Problem", "Refs", "Unknown", "Unresolved", "Value", "load",
]  # fmt: skip
