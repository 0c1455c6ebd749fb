"""Which record is each remote object? A known id, our key, an answer, a natural key that is unique on both sides; else
it is new, or a person is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sidefeed.connector import Stream
from sidefeed.mapping import ObjectMap
from sidefeed.sync import refs
from sidefeed.sync.adopt import adopt, open_creates
from sidefeed.sync.awaited import needs
from sidefeed.sync.batch import Batch
from sidefeed.sync.match import keys_of, stamped_record
from sidefeed.sync.observation import Observation
from sidefeed.workspace import Link, Transaction

AT_ONCE = 500
"""Objects of the inbox read together."""


def fresh_keys(tx: Transaction, om: ObjectMap, stream: Stream, ids: list[str]) -> dict[str, int]:
    """How often each natural key occurs among the remote objects not linked yet: a key proves something only where it
    is unique on both sides. Where no record of the entity is known yet, there is no other side to ask for."""
    counts: dict[str, int] = {}
    if not tx.any_record(om.entity):
        return counts
    known = tx.known_as(om.system, stream.name, ids)
    unknown = [id for id in ids if id not in known]
    for start in range(0, len(unknown), AT_ONCE):
        items = tx.inbox_items(om.system, stream.name, unknown[start:start + AT_ONCE])
        images = [item.payload["values"] for item in items
                  if item.payload and item.payload["values"] and item.payload["state"] == "live"]
        batch_refs = refs.inward(tx, om, images)
        for image in images:
            values, _problems = om.read(image, batch_refs, matching=True)
            for key in keys_of(om.match, values):
                counts[key] = counts.get(key, 0) + 1
    return counts


def identify(batch: Batch, live: list[Observation], fresh_keys: Mapping[str, int]) -> None:
    """Give each observation its record; one that has to wait for an answer gets none."""
    known = batch.tx.known_as(batch.system, batch.stream.name, [one.id for one in live])
    stamps = {one.id: stamp for one in live if one.id not in known and (stamp := _stamp(batch, one))}
    stamped = [record for record, _generation in stamps.values()]
    batch.tx.records([*(record for record, _role in known.values()), *stamped])
    links = batch.tx.links(batch.system, batch.stream.name, stamped)
    unknown = []
    for one in live:
        if one.id in known:
            one.record = batch.survivor(known[one.id][0])
            if known[one.id][1] == "gone":  # it was deleted and restored: its next deletion counts again
                batch.remember(one, "primary")
        elif one.id in stamps and (record := _by_stamp(batch, one, *stamps[one.id], links)) is not None:
            one.record = record
            batch.remember(one, "primary")
            batch.tx.answer(batch.system, batch.stream.name, one.id, record)
        else:
            unknown.append(one)
    _match(batch, unknown, fresh_keys)


def _stamp(batch: Batch, one: Observation) -> tuple[str, str] | None:
    """Record and generation of our key on a remote object."""
    stamp = (one.image or {}).get(batch.om.key_field) if batch.om.key_field else None
    if not isinstance(stamp, str) or ":" not in stamp:
        return None
    record, _, generation = stamp.rpartition(":")
    return record, generation


def _by_stamp(
    batch: Batch, one: Observation, record: str, generation: str, links: Mapping[str, Link]
) -> str | None:
    """Our key proves identity, unless the object is a copy of one that is linked already."""
    state = batch.tx.record(record)
    if state is None or state.entity != batch.om.entity:
        return None
    link = links.get(record)
    if link is None:  # we made it, and the workspace was restored from before that
        return batch.survivor(record)
    if not generation.isdigit() or int(generation) < link.generation:
        return None
    if link.state not in ("creating", "wanted") and int(generation) == link.generation:
        return None
    if link.state == "live" and link.external_id:  # made once more since, so what we knew is gone there
        batch.tx.remember(batch.system, batch.stream.name, link.external_id, batch.om.entity, record, "gone")
        link.state, link.external_id = "wanted", None
    if link.state == "creating" and (intent := open_creates(
            batch.tx, batch.system, batch.stream.name).get(f"{record}:{generation}")) is not None:
        _arrived(batch, link, intent, one.id)  # it was made after recovery had looked for it
        return batch.survivor(record)
    link.generation = int(generation)  # higher: a later state of this workspace made it, before it was restored
    batch.tx.save_link(link)
    return batch.survivor(record)


def _arrived(batch: Batch, link: Link, intent: Mapping[str, Any], id: str) -> None:
    """A create that was not heard of took effect after all."""
    adopt(batch.tx, batch.om, batch.stream.name, link, intent, id, False)
    batch.tx.settle_intents(intent["run"], batch.system, batch.stream.name, {
        intent["key"]: ("recovered", {"external_id": id})})
    batch.report.count("recovered")


def _match(batch: Batch, unknown: list[Observation], fresh_keys: Mapping[str, int]) -> None:
    keys = {one.id: keys_of(batch.om.match, one.values) for one in unknown}
    found = batch.tx.by_natural_keys(batch.om.entity, {key for own in keys.values() for key in own})
    taken = batch.tx.links(batch.system, batch.stream.name,
                           list({record for records in found.values() for record in records}))
    free = {key: [record for record in records if record not in taken or taken[record].state == "wanted"]
            for key, records in found.items()}
    batch.tx.records({record for records in free.values() for record in records})
    claimed: set[str] = set()
    answers = batch.tx.answers(batch.system, batch.stream.name, [one.id for one in unknown])
    strangers = _strangers(batch, unknown)
    asked = batch.tx.open_questions(batch.system, batch.stream.name) if unknown else {}
    for one in unknown:
        if one.id in answers:
            one.record = batch.survivor(answers[one.id]) if answers[one.id] != "new" else _create(batch, one)
            batch.remember(one, "primary")
            continue
        candidates, key = next(((records, key) for key in keys[one.id]
                                if (records := [r for r in free.get(key, ()) if r not in claimed])), ([], ""))
        if len(candidates) == 1 and fresh_keys.get(key, 0) <= 1 and not _gainsaid(batch, one, candidates[0], key):
            one.record = candidates[0]
            claimed.add(candidates[0])
            batch.report.count("matched")
            batch.report.matches.append({
                "feed": f"{batch.system} {batch.stream.name}", "external_id": one.id, "record": candidates[0],
                "key": key})
            batch.remember(one, "primary")
        elif candidates or one.id in asked or one.id in strangers:
            _ask(batch, one, key, candidates or asked.get(one.id, []), strangers.get(one.id), fresh_keys.get(key, 0))
        elif batch.om.introduces:
            one.record = _create(batch, one)
            batch.report.count("new_here")
            feed = f"{batch.system} {batch.stream.name}"
            batch.report.introduced[feed] = batch.report.introduced.get(feed, 0) + 1
            batch.remember(one, "primary")
        else:
            batch.tx.postpone(batch.system, batch.stream.name, one.id, until=batch.now + timedelta(hours=24),
                              waiting_for=f"a {batch.om.entity} it can be matched with", needs=needs(keys[one.id]))
            batch.report.count("unmatched")


def _gainsaid(batch: Batch, one: Observation, record: str, key: str) -> bool:
    """Whether a stronger key of one field, known on both sides, says that they are two: companies of one name with two
    domains are one only if a person says so."""
    state = batch.tx.record(record)
    for names in batch.om.match if state is not None else ():
        if key.startswith("+".join(names) + "="):
            return False
        if len(names) == 1:
            here, there = keys_of([names], state.values if state else {}), keys_of([names], one.values)
            if here and there and here != there:
                return True
    return False


def _strangers(batch: Batch, unknown: list[Observation]) -> dict[str, str]:
    """The record that each key names, of objects that a later state of this workspace made, or another workspace:
    never taken for new ones."""
    stamps = {one.id: record for one in unknown if (record := stamped_record(batch.om, one.image)) is not None}
    known = batch.tx.records(set(stamps.values()))
    return {id: record for id, record in stamps.items() if record not in known}


def _create(batch: Batch, one: Observation) -> str:
    one.fresh = True
    return batch.tx.new_id()


def _ask(
    batch: Batch, one: Observation, key: str, candidates: list[str], stranger: str | None, same_key: int,
) -> None:
    names = {record: state.values.get("name") or state.values.get("email") or state.values.get("subject")
             for record, state in batch.tx.records(candidates).items()}
    batch.tx.ask(batch.system, batch.stream.name, one.id, "match", {
        "entity": batch.om.entity, "key": key, "candidates": names, "same_key_there": same_key,
        "values": {name: value for name, value in one.values.items() if value is not None},
        **({"stranger": stranger} if stranger else {})})
    batch.tx.postpone(batch.system, batch.stream.name, one.id, until=None, waiting_for="a person to match it")
    batch.report.count("ambiguous")
