"""A wrongly made link undone without loss: the object gets a record of its own again, with what it said itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap
from sidefeed.sync import refs
from sidefeed.sync.authors import first_written_over
from sidefeed.workspace import DELETED, Change, Draft, Link, StoreError, Transaction
from sidefeed.workspace.merge import replay


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
