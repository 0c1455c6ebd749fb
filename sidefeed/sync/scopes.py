"""How many records each scope matches, before and after a change of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sidefeed.connector import Connector
from sidefeed.mapping import Mapping, ObjectMap


@dataclass(frozen=True, slots=True)
class ScopeCount:
    """One object: how many records the scope matched, matches now, and how many come in and go out by the change."""

    system: str
    object: str
    before: int
    now: int
    enter: int
    leave: int


def preview(
    old: Mapping, new: Mapping, connector: Callable[[str], Connector], *, changed_only: bool = True
) -> Iterator[ScopeCount]:
    """Count live records by reading the feeds, each scope once; nothing is kept. Raises what the connectors raise."""
    before = {(om.system, om.object): om for om in old.objects}
    for om in new.objects:
        was = before.get((om.system, om.object), om)
        if (not om.scope and not was.scope) or (changed_only and om.scope == was.scope):
            continue
        there = connector(om.system)
        now = set(matching(there, om, om.scope))
        then = now if was.scope == om.scope else set(matching(there, om, was.scope))
        yield ScopeCount(om.system, om.object, len(then), len(now), len(now - then), len(then - now))


def matching(connector: Connector, om: ObjectMap, scope: Any) -> Iterator[str]:
    """The ids of live records in scope. A scope of fields and values is held to the values read; a condition in the
    system's own language is the system's to answer."""
    scoped = replace(om, scope=scope)
    fields = list(scope) if isinstance(scope, dict) else list(om.raw_fields[:1])
    for stream in connector.streams(om.object):
        for page in connector.changes(stream, fields, None, scope=scope):
            for remote in page.records:
                if remote.state == "live" and remote.merged_into is None and scoped.within_scope(remote.values or {}):
                    yield f"{stream.name} {remote.id}"
