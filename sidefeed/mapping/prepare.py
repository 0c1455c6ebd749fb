"""What a system must have before a mapping writes to it: the key fields, and the roles that people are given there."""

from __future__ import annotations

from ..connector import AddsRoles, Connector
from .lenses import References
from .model import Mapping


def keyed(mapping: Mapping, system: str) -> list[str]:
    """The objects that records are created of under a key."""
    return [om.object for om in mapping.for_system(system) if om.key_field and om.creates]


def prepare(mapping: Mapping, system: str, connector: Connector, *, apply: bool) -> list[str]:
    """Make what is missing, or say without ``apply`` what that is. Each sentence says what was done, or what an
    administrator must do. Raises ConnectorError."""
    said = list(connector.prepare(keyed(mapping, system), apply=apply))
    for om in mapping.for_system(system):
        for each in om.fields:
            if each.writes and isinstance(each.lens, References) and isinstance(connector, AddsRoles):
                said += connector.add_roles(om.object, each.lens.field, list(each.lens.outward.values()), apply=apply)
    return said
