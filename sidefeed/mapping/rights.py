"""The rights a mapping needs, read off the mapping itself: which objects and fields it reads and writes.

A connector that names its system's rights (`NamesRights`) turns them into what an administrator grants, and says which
are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..connector import ConnectorError, Rights
from .finding import Finding
from .model import Mapping, ObjectMap

Ask = Callable[["Need"], Rights | None]


@dataclass(frozen=True, slots=True)
class Need:
    """What one object of the mapping needs: the raw fields read, those written, and whether records are created or
    deleted."""

    system: str
    object: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    creates: bool
    deletes: bool


def needs(mapping: Mapping) -> list[Need]:
    return [_need(om) for om in mapping.objects]


def _need(om: ObjectMap) -> Need:
    written = [raw for each in om.fields if each.writes for raw in each.lens.raw]
    written += [writer.field for writer in om.writers] if om.creates else []
    written += [om.key_field] if om.key_field and om.creates else []
    writes = () if om.readonly else tuple(dict.fromkeys(written))
    return Need(om.system, om.object, om.raw_fields, writes, om.creates, om.deletes == "propagate" and not om.readonly)


def findings(mapping: Mapping, ask: Ask) -> Iterator[Finding]:
    """A finding for each object that lacks rights, or is not prepared. ``ask`` gives None for a system that cannot name
    them."""
    for om in mapping.objects:
        try:
            rights = ask(_need(om))
        except ConnectorError:
            continue  # `object-unreadable` has told of it
        if rights is not None and rights.missing:
            yield Finding(
                "error", "permission-missing", om.system, om.object, "", *om.place(()),
                f"{om.system} {om.object} needs {', '.join(rights.missing)}, which this user or token has not.",
                "Grant it; `sidefeed map rights` lists everything that the mapping needs.")
        for sentence in rights.unready if rights is not None else ():
            yield Finding(
                "error", "not-prepared", om.system, om.object, "", *om.place(()),
                f"{om.system} {om.object}: {sentence}.",
                f"`sidefeed prepare {om.system}` makes what it may, and says what an administrator must do.")
