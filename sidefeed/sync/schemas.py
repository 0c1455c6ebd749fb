"""The copies of each live schema that the workspace keeps: the one that is known, against which drift is told, and the
one that runs see, with the run that saw it first."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson
import zstandard

from sidefeed.connector import ObjectSchema
from sidefeed.mapping import Mapping as Mappings
from sidefeed.workspace import Transaction
from sidefeed.workspace.clock import utc_text

if TYPE_CHECKING:
    from sidefeed.mapping.drift import Drift

Schemas = Mapping[tuple[str, str], ObjectSchema]


def look(tx: Transaction, mapping: Mappings, schemas: Schemas, *, accept: bool = False) -> list[Drift]:
    """What changed since the copy of each object was kept; an object seen first is kept and has not changed.

    A change is told until it is accepted: with ``accept`` the copies become what is there now. An object that is not
    among ``schemas`` is passed over.
    """
    from sidefeed.mapping.drift import drift, without_notes

    found: list[Drift] = []
    for om in mapping.objects:
        now = schemas.get((om.system, om.object))
        if now is None:
            continue
        before = kept(tx, om.system, om.object)
        changes = drift(om, before, now) if before is not None else []
        sight = see(tx, om.system, now)
        found += [_dated(each, sight) for each in changes]
        if before is None or accept or not without_notes(changes):
            keep(tx, om.system, now)
    return found


@dataclass(frozen=True, slots=True)
class Sight:
    """Since when an object looks as it does: when it was first seen so, by which run (empty: by a check), and the day
    on which it was last looked at."""

    since: str
    run: str
    day: str
    packed: str


def _dated(each: Drift, sight: Sight) -> Drift:
    if not sight.run:
        return each
    told = f"{each.finding.message} Run {sight.run} saw it first, {sight.since[:16].replace('T', ' ')} UTC."
    return replace(each, finding=replace(each.finding, message=told))


def see(tx: Transaction, system: str, schema: ObjectSchema, *, run: str = "") -> Sight:
    """Keep a copy of what an object looks like now; where it looks as before, only the day moves on."""
    now = utc_text(tx.store.now())
    before, packed = seen(tx, system, schema.name), _packed(schema)
    sight = Sight(now, run, now[:10], packed) if before is None or before.packed != packed else replace(
        before, day=now[:10])
    tx.save_setting(_seen(system, schema.name), orjson.dumps(sight).decode())
    return sight


def seen(tx: Transaction, system: str, object: str) -> Sight | None:
    """What was last seen of an object; None where nobody looked yet."""
    text = tx.setting(_seen(system, object))
    return Sight(**orjson.loads(text)) if text else None


def unseen_today(tx: Transaction, mapping: Mappings, systems: Collection[str]) -> list[tuple[str, str]]:
    """The objects that nobody has looked at today (UTC): a run describes each at most once a day."""
    today = utc_text(tx.store.now())[:10]
    return [(om.system, om.object) for om in mapping.objects if om.system in systems and (
        (sight := seen(tx, om.system, om.object)) is None or sight.day != today)]


def keep_seen(tx: Transaction, mapping: Mappings, schemas: Schemas, run: str) -> int:
    """Keep what a run saw; an object seen for the first time is known from now on. Gives how many changes there are
    since the known copies."""
    from sidefeed.mapping.drift import drift, without_notes

    changes = 0
    for om in mapping.objects:
        now = schemas.get((om.system, om.object))
        if now is None:
            continue
        see(tx, om.system, now, run=run)
        before = kept(tx, om.system, om.object)
        if before is None:
            keep(tx, om.system, now)
        else:
            changes += len(without_notes(drift(om, before, now)))
    return changes


def kept(tx: Transaction, system: str, object: str) -> ObjectSchema | None:
    """The known copy of an object's schema."""
    text = tx.setting(_name(system, object))
    if text is None:
        return None
    from sidefeed.mapping.drift import expanded

    return expanded(object, orjson.loads(zstandard.decompress(base64.b85decode(text))))


def keep(tx: Transaction, system: str, schema: ObjectSchema) -> None:
    """Some kilobytes for each object: fields without what is as usual, compressed."""
    tx.save_setting(_name(system, schema.name), _packed(schema))


def _packed(schema: ObjectSchema) -> str:
    from sidefeed.mapping.drift import compact

    packed = zstandard.compress(orjson.dumps(compact(schema), option=orjson.OPT_SORT_KEYS))
    return base64.b85encode(packed).decode()


def _name(system: str, object: str) -> str:
    return f"schema:{system}:{object}"


def _seen(system: str, object: str) -> str:
    return f"seen:{system}:{object}"
