"""What a changed lens, value map or column means for records that are linked already.

The mapping of each field is remembered feed by feed. Where it changed, every linked record is translated again from
what its system was last seen to hold, which asks nothing of the system. What people put into a system is never
overwritten because a mapping changed: it is read anew. What Sidefeed wrote there was a translation: it is written anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from sidefeed.calendars.redact import told
from sidefeed.connector import Stream, chunked
from sidefeed.mapping import UNKNOWN, FieldMap, LensError, ObjectMap, Unresolved
from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync import refs
from sidefeed.sync.authors import last_sent, said_in
from sidefeed.sync.due import REMAPPED, catch_up, in_sync, known_there, remapped
from sidefeed.sync.guard import Limits, Trip
from sidefeed.sync.policy import decide
from sidefeed.sync.report import Report
from sidefeed.workspace import Draft, Link, RecordState, Store, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.report import label

What = Literal["write", "read", "unread", "same"]
_BATCH = 500
_BLANK: tuple[Any, ...] = (None, "", [])


@dataclass(frozen=True, slots=True)
class Again:
    """One field of one linked record under a changed mapping.

    write    the system does not hold what the workspace says, and nobody there chose what it holds
    read     somebody there chose what it holds, and it means ``value`` now; ``seen`` are the revisions it replaces
    unread   somebody there chose it, and the mapping does not know it any more: left alone on both sides
    same     it means what the workspace says
    """

    what: What
    link: Link
    state: RecordState
    spec: FieldMap
    value: Any = None
    seen: tuple[int, ...] = ()
    code: str = ""
    message: str = ""


def changed_fields(tx: Transaction, om: ObjectMap, stream: Stream) -> set[str]:
    """The fields of a feed whose mapping is another one than when the feed was last translated. None at first."""
    if om.entity == "meeting" and om.readonly and stream.partition:
        return set()  # what may leave a calendar is decided meeting by meeting, as each is read
    before = tx.cursor(om.system, stream.name).fingerprint
    if before is None or before == _told(om):
        return set()
    known = orjson.loads(before)
    return {spec.name for spec in om.fields if known.get(spec.name) != spec.fingerprint}


def noted_fields(tx: Transaction, om: ObjectMap, stream: Stream) -> bool:
    """Whether the mapping of a feed's fields is remembered as it is now."""
    return tx.cursor(om.system, stream.name).fingerprint == _told(om)


def note_fields(tx: Transaction, om: ObjectMap, stream: Stream) -> None:
    """Remember the mapping of each field as the one by which the linked records of a feed are translated."""
    tx.move_cursor(om.system, stream.name, fingerprint=_told(om))


def _told(om: ObjectMap) -> str:
    return orjson.dumps({spec.name: spec.fingerprint for spec in om.fields}, option=orjson.OPT_SORT_KEYS).decode()


def translated_again(
    tx: Transaction, om: ObjectMap, stream: Stream, names: Collection[str], source: str,
    records: Collection[str] | None = None,
) -> Iterator[Again]:
    """Each of these fields of each linked record (or of ``records``) under the present mapping. Nothing is written."""
    for ids in chunked(tx.linked(om.system, stream.name) if records is None else list(records), _BATCH):
        yield from _Translator(tx, om, stream, source, ids).fields(names)


def expected(tx: Transaction, old: Mappings, new: Mappings) -> Iterator[tuple[ObjectMap, str, Counter[str]]]:
    """For each field that is mapped otherwise, how many linked records it would write anew, read anew, bring into
    conflict, or leave as people chose it, by what their systems were last seen to hold. Asks no system."""
    before = {(om.system, om.object): om for om in old.objects}
    for om in new.objects:
        was = before.get((om.system, om.object))
        if was is None or (om.entity == "meeting" and om.readonly):
            continue
        names = {spec.name for spec in om.fields if spec.name in was
                 and was.field(spec.name).fingerprint != spec.fingerprint}
        counts: dict[str, Counter[str]] = {}
        for stream in feeds_read(tx, om.system, om.object) if names else ():
            for one in translated_again(tx, om, stream, names, om.system):
                counts.setdefault(one.spec.name, Counter())[_expected(one)] += 1
        for name, found in sorted(counts.items()):
            if found := Counter({what: number for what, number in found.items() if what}):
                yield om, name, found


def feeds_read(tx: Transaction, system: str, object: str) -> list[Stream]:
    """The feeds of an object that were ever read."""
    names = tx.connection.execute(sa.select(t.cursor.c.object).where(t.cursor.c.system == system)).scalars()
    return [Stream(one, part) for one, _, part in (name.partition("/") for name in names) if one == object]


def _expected(one: Again) -> str:
    if one.what == "read":
        return "read" if set(one.seen) == set(one.state.heads_of(one.spec.name)) else "disputed"
    return {"write": "written", "unread": "left", "same": ""}[one.what]


def check_reading(
    tx: Transaction, om: ObjectMap, stream: Stream, names: Collection[str], source: str, limits: Limits
) -> list[Trip]:
    """A field that would be read anew nearly everywhere stops the run before the workspace changes."""
    found: dict[str, list[Again]] = {}
    for one in translated_again(tx, om, stream, names, source):
        if one.what == "read" and one.state.values.get(one.spec.name) not in _BLANK:
            found.setdefault(one.spec.name, []).append(one)
    linked = tx.count_links(om.system, stream.name)
    return [Trip("read-anew", om.system, stream.name, (
        f"{om.system} {stream.name}: the changed mapping would read {name} anew on {len(mine)} of {linked} records. "
        f"Nothing was changed. Look at the list; approve the run if it is meant, or mend the mapping and run again."),
        tuple(_listed(one) for one in mine))
        for name, mine in found.items()
        if len(mine) > max(limits.one_field_count, int(linked * limits.one_field))]


def _listed(one: Again) -> dict[str, Any]:
    name = one.spec.name
    return {"record": one.state.id, "label": label(one.state), "external_id": one.link.external_id, "op": "read",
            "fields": {name: {"before": one.state.values.get(name), "after": one.value}}, "mails": [], "contents": {}}


def retranslate(
    store: Store, mappings: Mappings, om: ObjectMap, stream: Stream, source: str, report: Report, names: Collection[str]
) -> None:
    """Bring the linked records of a feed under the changed mapping of these fields.

    What is read anew is a change by ``mapping``, based on what it reads again. What is to be written anew is due, and
    planned, guarded and budgeted as everything else. May be stopped and started again.
    """
    with store.read() as tx:
        linked = tx.linked(om.system, stream.name)
    for ids in chunked(linked, _BATCH):
        with store.write() as tx:
            found = list(translated_again(tx, om, stream, names, source, ids))
            _read(tx, mappings, om, source, [one for one in found if one.what == "read"], report)
            _write(tx, stream, [one for one in found if one.what in ("write", "same")], report)
        for one in found:
            if one.what == "unread":
                said = told(om, one.spec.name, one.code, one.message)
                report.problem(om.system, stream.name, one.link.external_id or "", one.spec.name, one.code, (
                    f"{said}; it was chosen there, so it stays, and the workspace keeps what it has"))
    with store.write() as tx:
        note_fields(tx, om, stream)


def _read(
    tx: Transaction, mappings: Mappings, om: ObjectMap, source: str, found: Sequence[Again], report: Report
) -> None:
    by_seen: dict[str, list[Again]] = {}
    for one in found:
        by_seen.setdefault(one.state.id, []).append(one)
    changes = tx.append([Draft(
        om.entity, record, {one.spec.name: one.value for one in mine}, "mapping", source,
        base={one.spec.name: one.seen for one in mine}, reason=f"mapping changed: read anew from {om.system}")
        for record, mine in by_seen.items()])
    for change, mine in zip(changes, by_seen.values(), strict=True):
        link, state = mine[0].link, tx.records([change.record])[change.record]
        link.exceptions.update({one.spec.name: [change.rev] for one in mine})
        catch_up(om, link, state)
        tx.save_link(link)
        report.absorbed(om, change)
    report.count("read_anew", len(changes))
    report.count("decided", decide(tx, mappings, tx.records([change.record for change in changes]).values()))


def _write(tx: Transaction, stream: Stream, found: Sequence[Again], report: Report) -> None:
    """Mark what is to be written anew; take the mark of an earlier change of mapping away where it is so no longer."""
    records = set()
    planned_rev = tx.cursor(found[0].link.system, stream.name).planned_rev if found else 0
    for one in found:
        link, name = one.link, one.spec.name
        known = known_there(tx, link, one.state, name)
        if one.what == "write":
            # What was not in sync before is behind, and comes up in its turn where the plan has not passed it.
            link.due |= in_sync(link, one.state, name) or one.state.rev <= planned_rev
            link.exceptions[name] = [REMAPPED, *known]
            records.add(link.record)
        elif remapped(link, name):
            link.exceptions[name] = list(known)
        else:
            continue
        tx.save_link(link)
    report.count("to_write_anew", len(records))


class _Translator:
    """The linked records of one batch, with what their system was last seen to hold."""

    def __init__(self, tx: Transaction, om: ObjectMap, stream: Stream, source: str, ids: Sequence[str]) -> None:
        self.tx = tx
        self.om = om
        self.stream = stream
        self.here = {source, om.system}
        self.links = {id: link for id, link in tx.links(om.system, stream.name, ids).items() if link.state == "live"}
        self.states = {id: state for id, state in tx.records(list(self.links)).items()
                       if not state.deleted and state.merged_into is None}
        self.images = tx.bases(om.system, stream.name, list(self.states))
        self.inward = refs.inward(tx, om, self.images.values())
        self.outward = refs.outward(tx, om, [state.values for state in self.states.values()])

    def fields(self, names: Collection[str]) -> list[Again]:
        specs = [spec for spec in self.om.fields if spec.name in names]
        same: list[Again] = []
        different: list[Again] = []
        for state in self.states.values():
            image = self.images.get(state.id, {})
            for spec in specs:
                if spec.name not in state.conflicts and all(key in image for key in spec.lens.raw):
                    one = self._field(spec, state, image)
                    (same if one.what == "same" else different).append(one)
        return same + self._weighed(different)

    def _field(self, spec: FieldMap, state: RecordState, image: Mapping[str, Any]) -> Again:
        """One field, as if somebody there had chosen what the system holds."""
        value, link = state.values.get(spec.name), self.links[state.id]
        if not spec.reads:
            raw, _problems = self.om.write(state.values, [spec.name], self.outward)
            return Again("same" if spec.lens.settled(raw, image) else "unread", link, state, spec)
        try:
            read = spec.lens.read(image, self.inward)
        except LensError as error:
            return Again("unread", link, state, spec, code=error.code, message=error.message)
        except Unresolved:
            return Again("same", link, state, spec)
        if read is UNKNOWN or read == value or read == spec.lens.image(value):
            return Again("same", link, state, spec)
        return Again("read", link, state, spec, spec.lens.put(read, value))

    def _weighed(self, different: list[Again]) -> list[Again]:
        """Who chose what the system holds: people there, or Sidefeed, which translated what was said elsewhere."""
        said = said_in(self.tx, [one.state for one in different], {one.spec.name for one in different})
        sent = last_sent(self.tx, self.om.system, self.stream.name, [one.state.id for one in different])
        found = []
        for one in different:
            name, image = one.spec.name, self.images[one.state.id]
            said_here = tuple(rev for rev in one.state.heads_of(name) if said.get((rev, name)) in self.here)
            pending = set(known_there(self.tx, one.link, one.state, name)) != set(one.state.heads_of(name))
            blank = all(image[key] in _BLANK for key in one.spec.lens.raw)
            if blank or (not said_here and not pending and self._ours(one, sent.get(one.state.id, {}), image)):
                if name in one.state.values and one.spec.applies(one.state.values) and not one.spec.leaves_alone(
                        one.state.values[name], image):
                    found.append(replace(one, what="write"))
            elif one.spec.reads and not pending and not (one.what == "read" and _keeps(one)):
                found.append(replace(one, seen=said_here))
        return found

    def _ours(self, one: Again, sent: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
        """Whether what the system holds is what Sidefeed last sent it, or the system's own form of it."""
        mine = {key: sent[key] for key in one.spec.lens.raw if key in sent}
        return bool(mine) and (all(image[key] == value for key, value in mine.items())
                               or one.spec.lens.settled(mine, image))


def _keeps(one: Again) -> bool:
    """Whether the field's policy keeps a value here from being blanked."""
    return one.value is None and one.spec.lens.spec.policy.never_blank
