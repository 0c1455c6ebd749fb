"""A contact that its owner made private in an address book: let go, and what only it told is taken back.

From then on nothing is read from that item and nothing is written to it. A value that the workspace has from it alone
goes back to what it was before; a person whom it alone introduced, and whom nobody else touched or mentions, is
deleted. What anybody else said or holds too is theirs and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidefeed.calendars import forget
from sidefeed.mapping import ObjectMap
from sidefeed.mapping.values import referred
from sidefeed.sync import refs
from sidefeed.sync.authors import last_sent
from sidefeed.sync.batch import Batch
from sidefeed.sync.observation import Observation
from sidefeed.sync.scope import OUT
from sidefeed.workspace import DELETED, Change, Draft, Link, RecordState
from sidefeed.workspace.merge import replay

_MENTIONS = (("opportunity", "contacts"), ("meeting", "contacts"))


def absorb_private(batch: Batch, one: Observation) -> None:
    """Let go of an item that is private now. One that was never linked was never read."""
    batch.done.append(one.id)
    known = batch.tx.known_as(batch.system, batch.stream.name, [one.id]).get(one.id)
    link = batch.tx.links(batch.system, batch.stream.name, [known[0]]).get(known[0]) if known else None
    if link is None or link.external_id != one.id or link.state != "live":
        return
    (state,) = batch.tx.records([link.record]).values()
    told = _read(batch, batch.om, batch.tx.bases(batch.system, batch.stream.name, [link.record]).get(link.record, {}))
    _let_go(batch, link)
    batch.report.count("contacts_private")
    if state.deleted or state.merged_into is not None:
        return
    history = batch.tx.changes_of(state.id)
    if history[0].source == batch.source:
        _take_back_whole(batch, state, history, told)
    else:
        _take_back_values(batch, state, history, told)


def _let_go(batch: Batch, link: Link) -> None:
    """As an object that left the scope: it is known by its id, should it be public again."""
    link.state, link.due, link.digest, link.sent = OUT, False, None, None
    batch.tx.save_link(link)
    batch.tx.save_base(link.system, link.object, link.record, {})


def _take_back_whole(batch: Batch, state: RecordState, history: list[Change], told: Mapping[str, Any]) -> None:
    """A person whom this item introduced is deleted, unless somebody else wrote of, holds or mentions that person."""
    others = {change.source for change in history} - {batch.source, "policy"}
    known = any(link.state == "live" and not batch.tx.was_created(link.system, link.object, state.id)
                for link in batch.tx.links_of(state.id))
    if others or known or _mentioned(batch, state.id):
        batch.report.count("contacts_private_kept")
        return
    _append(batch, state, {DELETED: True}, {})
    forget.begin_values(batch.tx, state.id, _secrets(batch, told))


def _take_back_values(batch: Batch, state: RecordState, history: list[Change], told: Mapping[str, Any]) -> None:
    books = _other_books(batch, state.id)
    fields: dict[str, Any] = {}
    base: dict[str, tuple[int, ...]] = {}
    for name, value in told.items():
        heads = state.heads_of(name)
        own = tuple(change.rev for change in history if change.rev in heads and change.source == batch.source
                    and change.fields.get(name) == value)
        if value in (None, "", []) or not own or any(book.get(name) == value for book in books):
            continue
        others = [change for change in history if change.source not in (batch.source, "policy")
                  or change.fields.get(name) != value]
        before = replay(others, state.id, state.entity).values.get(name)
        if before != value:
            fields[name], base[name] = before, own
    if fields:
        _append(batch, state, fields, base)
        forget.begin_values(batch.tx, state.id, _secrets(batch, {name: told[name] for name in fields}))


def _append(batch: Batch, state: RecordState, fields: dict[str, Any], base: dict[str, tuple[int, ...]]) -> None:
    whose = batch.stream.partition
    batch.tx.append([Draft(state.entity, state.id, fields, "policy:private", "policy", base=base,
                           reason=f"it was known from a contact that is private now in the address book of {whose}")])
    batch.touched[state.id] = batch.tx.records([state.id])[state.id]


def _other_books(batch: Batch, record: str) -> list[dict[str, Any]]:
    """What other address books hold of the same person, without what they have from us."""
    maps = {(om.system, om.object): om for om in batch.mappings.objects}
    found = []
    for link in batch.tx.links_of(record):
        om = maps.get((link.system, link.object.partition("/")[0]))
        if om is not None and "/" in link.object and link.state == "live":
            image = batch.tx.bases(link.system, link.object, [record]).get(record, {})
            ours = last_sent(batch.tx, link.system, link.object, [record]).get(record, {})
            found.append(_read(batch, om, {
                name: value for name, value in image.items() if name not in ours or ours[name] != value}))
    return found


def _mentioned(batch: Batch, record: str) -> bool:
    return any(record in referred(state.values.get(name)) for entity, name in _MENTIONS
               for state in batch.tx.each_record(entity) if not state.deleted)


def _read(batch: Batch, om: ObjectMap, image: Mapping[str, Any]) -> dict[str, Any]:
    return dict(om.read(image, refs.inward(batch.tx, om, [image]))[0])


def _secrets(batch: Batch, values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Each value in every spelling that is kept here: as the workspace has it, and as each system writes it."""
    found: dict[str, list[Any]] = {f"{name}": [value] for name, value in values.items()}
    for om in batch.mappings.objects:
        if om.entity == batch.om.entity:
            names = [name for name in values if name in om and om.field(name).writes]
            raw, _problems = om.write(values, names, refs.outward(batch.tx, om, [values]))
            for name, value in raw.items():
                found.setdefault(f"{om.system} {om.object} {name}", []).append(value)
    return found
