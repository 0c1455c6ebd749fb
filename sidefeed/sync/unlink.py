"""A wrongly made link undone without loss: the object gets a record of its own again, with what it said itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap
from sidefeed.mapping.values import referred
from sidefeed.sync import refs
from sidefeed.sync.authors import first_written_over
from sidefeed.workspace import DELETED, Change, Draft, Link, StoreError, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.merge import replay
from sidefeed.workspace.report import label


@dataclass(frozen=True, slots=True)
class Apart:
    """What taking an object apart comes to: its ``record`` of its own with ``own`` values, what the ``old`` record gets
    back, and the records that hang on the old one: (entity, name, field)."""

    record: str
    own: Mapping[str, Any]
    old: str
    old_label: str
    given_back: Mapping[str, Any]
    hanging: tuple[tuple[str, str, str], ...]

    def as_json(self) -> dict[str, Any]:
        return {"record": self.record, "own": self.own, "old": self.old, "old_label": self.old_label,
                "given_back": self.given_back,
                "hanging": [dict(zip(("entity", "label", "field"), one, strict=True)) for one in self.hanging]}


def take_apart(
    tx: Transaction, mappings: Mappings, system: str, object: str, external_id: str, *, actor: str
) -> Apart:
    """`unlink`, and what it came to. Raises StoreError as that does."""
    known = tx.known_as(system, object, [external_id]).get(external_id)
    before = dict(tx.records([known[0]])[known[0]].values) if known else {}
    record = unlink(tx, mappings, system, object, external_id, actor=actor)
    assert known is not None
    after = tx.records([record, known[0]])
    back = {name: value for name, value in after[known[0]].values.items() if value != before.get(name)}
    return Apart(record, after[record].values, known[0], label(after[known[0]]), back,
                 tuple(_hanging(tx, mappings, known[0])))


def _hanging(tx: Transaction, mappings: Mappings, record: str) -> Iterator[tuple[str, str, str]]:
    found = tx.connection.execute(sa.select(t.record.c.id).where(
        sa.cast(t.record.c["values"], sa.Text).contains(record, autoescape=True), t.record.c.id != record)).scalars()
    for state in tx.records(list(found)).values():
        for name, spec in mappings.entities[state.entity].fields.items():
            if (spec.entity or spec.entities) and record in referred(state.values.get(name)) and not state.deleted:
                yield state.entity, label(state), name


def unlink(tx: Transaction, mappings: Mappings, system: str, object: str, external_id: str, *, actor: str) -> str:
    """Take an object apart from the record it was linked with; returns the id of its new record.

    The new record holds what the object said itself, also where a value of the other had been written over it; the old
    one gets back what it held where the object's value had won. Nothing is written yet: the next sync brings both sides
    into line, each with its own. Raises StoreError where the object is not linked, or is what the record was made from.
    """
    om = next((om for om in mappings.for_system(system) if om.object == object.partition("/")[0]), None)
    known = tx.known_as(system, object, [external_id]).get(external_id)
    if om is None or known is None or known[1] != "primary":
        raise StoreError(f"{system} {object} {external_id} is not linked with any record. "
                         f"`sidefeed blame {external_id}` shows what is known of it.")
    record = known[0]
    link = tx.links(system, object, [record]).get(record)
    history = tx.changes_of(record)
    if link is None or link.external_id != external_id or link.state != "live":
        raise StoreError(f"{system} {object} {external_id} has no live link.")
    if history[0].source == system:
        raise StoreError(f"the record was made from {system} {object} {external_id}: unlink the object of the other "
                         f"system that does not belong to it.")
    new = _own_record(tx, om, link, history, actor)
    _give_back(tx, om, record, history, system, actor)
    tx.note("unlink", actor=actor, system=system, object=object, record=record, external_id=external_id, new=new)
    return new


def _own_record(tx: Transaction, om: ObjectMap, link: Link, history: list[Change], actor: str) -> str:
    new = tx.new_id()
    image = tx.bases(link.system, link.object, [link.record]).get(link.record, {})
    held = _read(tx, om, image)
    (seen,) = tx.append([Draft(om.entity, new, held or {DELETED: False}, link.system, link.system,
                               reason=f"taken apart from {link.record}")])
    own = {} if _made_by_us(tx, link) else {
        name: value for name, value in _said(tx, om, link, history, held, image).items() if value != held.get(name)}
    if own:
        tx.append([Draft(om.entity, new, own, actor, "workspace", reason=(
            f"what {link.system} said itself before it was linked with {link.record}"))])
    tx.save_base(link.system, link.object, new, image)
    tx.remember(link.system, link.object, link.external_id or "", om.entity, new, "primary")
    tx.save_link(Link(link.system, link.object, new, om.entity, link.external_id, "live", link.version,
                      synced_rev=seen.rev, generation=link.generation, due=True))
    # The object keeps the key of this generation, so the copy that the record gets in its place has the next one.
    tx.save_link(Link(link.system, link.object, link.record, om.entity, state="wanted", due=True,
                      generation=link.generation))
    return new


def _said(
    tx: Transaction, om: ObjectMap, link: Link, history: list[Change], held: Mapping[str, Any], image: Mapping[str, Any]
) -> dict[str, Any]:
    """What the object said of each field by itself: last in the history; else what it held before we first wrote to it,
    for what was equal when the two were linked was no change; else what it holds."""
    logged = {name: change.fields[name] for change in history if change.source == link.system
              for name in change.fields if name != DELETED}
    found = first_written_over(tx, link.system, link.object, link.record, link.external_id or "")
    return {**held, **_read(tx, om, {**image, **found}), **{name: logged[name] for name in held if name in logged}}


def _read(tx: Transaction, om: ObjectMap, image: Mapping[str, Any]) -> dict[str, Any]:
    return dict(om.read(image, refs.inward(tx, om, [image]))[0])


def _made_by_us(tx: Transaction, link: Link) -> bool:
    """An object that a sync created never said anything by itself: it keeps what it holds."""
    return tx.was_created(link.system, link.object, link.record)


def _give_back(
    tx: Transaction, om: ObjectMap, record: str, history: list[Change], system: str, actor: str
) -> None:
    state = tx.records([record])[record]
    others = [change for change in history if change.source not in (system, "policy")]
    without = replay(others, record, state.entity)
    back = {}
    for name in om.fields:
        heads = [change for change in history if change.rev in state.heads_of(name.name)]
        if any(change.source in (system, "policy") for change in heads) and state.values.get(name.name) != \
                without.values.get(name.name):
            back[name.name] = without.values.get(name.name)
    if back:
        tx.append([Draft(state.entity, record, back, actor, "workspace", reason="a wrong link was taken apart")])
