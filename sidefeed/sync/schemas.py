"""The copy of each live schema that the workspace keeps, against which drift is told."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import orjson
import zstandard

from sidefeed.connector import ObjectSchema
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping.drift import Drift, compact, drift, expanded, without_notes
from sidefeed.workspace import Transaction

Schemas = Mapping[tuple[str, str], ObjectSchema]


def look(tx: Transaction, mapping: Mappings, schemas: Schemas, *, accept: bool = False) -> list[Drift]:
    """What changed since the copy of each object was kept; an object seen first is kept and has not changed.

    A change is told until it is accepted: with ``accept`` the copies become what is there now. An object that is not
    among ``schemas`` is passed over.
    """
    found: list[Drift] = []
    for om in mapping.objects:
        now = schemas.get((om.system, om.object))
        if now is None:
            continue
        before = kept(tx, om.system, om.object)
        changes = drift(om, before, now) if before is not None else []
        found += changes
        if before is None or accept or not without_notes(changes):
            keep(tx, om.system, now)
    return found


def kept(tx: Transaction, system: str, object: str) -> ObjectSchema | None:
    text = tx.setting(_name(system, object))
    if text is None:
        return None
    return expanded(object, orjson.loads(zstandard.decompress(base64.b85decode(text))))


def keep(tx: Transaction, system: str, schema: ObjectSchema) -> None:
    """Some kilobytes for each object: fields without what is as usual, compressed."""
    packed = zstandard.compress(orjson.dumps(compact(schema), option=orjson.OPT_SORT_KEYS))
    tx.save_setting(_name(system, schema.name), base64.b85encode(packed).decode())


def _name(system: str, object: str) -> str:
    return f"schema:{system}:{object}"
