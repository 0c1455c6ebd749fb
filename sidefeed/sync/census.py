"""The census: every linked object of each system held against what the workspace believes it holds.

A full read finds what no feed tells: late commits and cursor ties, values that changed without a new version
(associations, formulas), objects that were deleted, merged or hidden, and objects that nobody ever saw. Whatever looks
wrong is read again by id and held against the links as they are then, so that work under way is not taken for drift.
The series of a calendar, which no listing shows, are all asked for by id, and held against the rule, zone, exceptions
and deletions that were last read.
Nothing is written to a system. A repair puts ids into the inbox, and the next sync absorbs them as it always does.

A deletion is never inferred from absence: an object is gone where the system itself says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sidefeed.calendars.recurrence import SERIES
from sidefeed.calendars.series import differing as series_differing
from sidefeed.connector import Connector, ConnectorError, NoConnection, Remote, Stream, chunked
from sidefeed.mapping import ObjectMap
from sidefeed.sync.capture import Progress, digest, raw_fields
from sidefeed.sync.guard import Limit
from sidefeed.workspace import Link, Store, Transaction

SMALL = Limit(500, 0.05)
"""More drift than this in one feed is not repaired by itself: something else is wrong, and a person looks first."""
BATCH = 500

WHY = {
    "unnoticed": "changed there, and its feed did not tell: a late commit, or changes under one time stamp",
    "silent": "changed there without a new version: an association, a formula or a roll-up",
    "missed": "is there and was never seen: committed late, or shown to us only now",
    "returned": "was deleted and is there again",
    "deleted": "was deleted there, and its feed did not tell",
    "merged": "was merged away there, and its feed did not tell",
    "hidden": "is not shown to us any more: deleted for good, out of scope, or access was lost. Nothing is inferred",
}
REPAIRABLE = frozenset(WHY) - {"hidden"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One object about which the system and the workspace disagree."""

    system: str
    object: str
    external_id: str
    record: str | None
    kind: str
    fields: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        return WHY[self.kind]


@dataclass(slots=True)
class FeedCensus:
    """What one feed's census found. ``repaired`` counts what was put into the inbox, ``calls`` the requests used;
    ``out`` says that the system's address answers nobody, so that its other feeds were not tried."""

    system: str
    object: str
    linked: int = 0
    equal: int = 0
    underway: int = 0
    differences: list[Difference] = field(default_factory=list)
    repaired: int = 0
    calls: int = 0
    minimum: int = 0
    failed: str = ""
    out: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.system} {self.object}"

    def sentence(self) -> str:
        told = f"{self.name}: {self.equal:,} equal, {len(self.differences):,} differ"
        if self.underway:
            told += f", {self.underway:,} under way"
        if self.repaired:
            told += f"; {self.repaired:,} put into the inbox for the next sync"
        return f"{self.name}: {self.failed}" if self.failed else told + (f". {self.note}" if self.note else "")

    def as_json(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in (
            "system", "object", "linked", "equal", "underway", "repaired", "calls", "minimum", "failed", "note")},
            "differences": [{**asdict(one), "why": one.why} for one in self.differences]}


def census(
    store: Store, connector: Connector, om: ObjectMap, stream: Stream, *, repair: bool = False,
    progress: Progress | None = None,
) -> FeedCensus:
    """Take the census of one feed. What the connector raises is told in ``failed``, and nothing is inferred then."""
    found = FeedCensus(om.system, stream.name)
    used, minimum = connector.calls.used, connector.calls.minimum
    try:
        _take(store, connector, om, stream, found, progress)
    except ConnectorError as error:
        found.failed = f"{error.message} [{error.code}]"
        found.out = isinstance(error, NoConnection)
        found.differences.clear()
    found.calls, found.minimum = connector.calls.used - used, connector.calls.minimum - minimum
    if repair and not found.failed:
        _repair(store, found)
    return found


def _take(
    store: Store, connector: Connector, om: ObjectMap, stream: Stream, found: FeedCensus, progress: Progress | None
) -> None:
    with store.read() as tx:
        believed = tx.link_versions(om.system, stream.name)
    found.linked = len(believed)
    suspects: set[str] = set()
    seen: set[str] = set()
    for page in connector.changes(stream, om.raw_fields, None, scope=om.scope):
        live = [one for one in page.records if one.state == "live" and one.merged_into is None]
        seen |= {one.id for one in live}
        suspects |= _suspects(store, om, stream, live, believed)
        if progress is not None:
            progress(f"counting {om.system} {stream.name}", len(page.records))
    with store.read() as tx:
        series = frozenset(tx.ids_of(om.system, stream.name, SERIES))  # no link holds one, and no listing shows it
    suspects |= believed.keys() - seen | series
    for chunk in chunked(sorted(suspects), BATCH):
        states = {one.id: one for one in connector.fetch(stream, raw_fields(om, stream), chunk)}
        with store.read() as tx:
            _look(tx, om, stream, chunk, states, found, series)
    found.equal = len(believed) - len({one.external_id for one in found.differences} & believed.keys())
    found.equal -= found.underway


def _suspects(
    store: Store, om: ObjectMap, stream: Stream, live: Sequence[Remote], believed: Mapping[str, bytes | None]
) -> set[str]:
    """Objects of one page that are not what was last absorbed, and objects in scope that are not known at all: what
    never took part is no drift, and a connector may list it all the same."""
    odd = [one for one in live if one.id not in believed or one.values is None
           or believed[one.id] != digest(one.values)]
    if not odd:
        return set()
    with store.read() as tx:
        known = tx.known_as(om.system, stream.name, [one.id for one in odd])
        records = {one.id: known[one.id][0] for one in odd if one.id in known}
        bases = tx.bases(om.system, stream.name, list(records.values()))
    strangers = {one.id for one in odd if one.id not in known and om.within_scope(one.values or {})} if (
        om.entity != "meeting") else set()
    return strangers | {one.id for one in odd if one.id in known and known[one.id][1] in ("primary", "gone") and (
        one.values is None or one.id not in believed or differing(bases.get(records[one.id], {}), one.values))}


def differing(base: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Raw fields that the system returned and that the workspace believes to be otherwise."""
    return tuple(name for name, value in values.items() if name not in base or base[name] != value)


def _look(
    tx: Transaction, om: ObjectMap, stream: Stream, ids: Sequence[str], states: Mapping[str, Remote],
    found: FeedCensus, series: Collection[str],
) -> None:
    """Judge suspects by what the system says of each id now, against the links as they are now."""
    known = tx.known_as(om.system, stream.name, ids)
    links = tx.links(om.system, stream.name, [record for record, _role in known.values()])
    bases = tx.bases(om.system, stream.name, list(links))
    waiting = {item.external_id for item in tx.inbox_items(om.system, stream.name, ids)}
    for id in ids:
        record, role = known.get(id, (None, ""))
        link = links.get(record or "")
        if id in waiting:
            found.underway += link is not None and link.external_id == id and link.state == "live"
            continue
        state = states.get(id)
        if id in series:
            if state is None or state.state == "deleted":
                found.differences.append(Difference(om.system, stream.name, id, record, "hidden"))
            elif record and (parts := series_differing(tx, om.system, stream.name, record, state.values or {})):
                found.differences.append(Difference(om.system, stream.name, id, record, "unnoticed", parts))
            continue
        kind, fields = _judge(state, role, link, bases.get(record or "", {}), id)
        if kind == "underway":
            found.underway += 1
        elif kind:
            found.differences.append(Difference(om.system, stream.name, id, record, kind, fields))


def _judge(
    state: Remote | None, role: str, link: Link | None, base: Mapping[str, Any], id: str
) -> tuple[str, tuple[str, ...]]:
    linked = link is not None and link.state == "live" and link.external_id == id
    if state is None or (state.state == "deleted" and state.merged_into is None and not _says_so(state)):
        return ("hidden" if linked else "", ())
    if state.merged_into is not None:
        return ("merged" if linked else "", ())
    if state.state == "deleted":
        return ("deleted" if linked else "", ())
    if state.state == "private":
        return ("unnoticed" if linked else "", ())
    if not role:
        return "missed", ()
    if not linked:
        return ("returned" if role == "gone" else "", ())
    fields = differing(base, state.values or {})
    if not fields:
        return "", ()
    if link is not None and link.sent:
        return "underway", ()
    return ("silent" if state.version and link is not None and state.version == link.version else "unnoticed"), fields


def _says_so(state: Remote) -> bool:
    """Whether the system itself told of a deletion, rather than not finding the id."""
    return bool(state.version or state.modified or state.values)


def _repair(store: Store, found: FeedCensus) -> None:
    """Put the ids of small drift into the inbox: read by id, and absorbed, planned and guarded like any other."""
    chosen = [one for one in found.differences if one.kind in REPAIRABLE]
    limit = SMALL.of(found.linked)
    if len(chosen) > limit:
        found.note = (f"That is more than {limit}, so nothing was repaired: look for a cause first (a changed mapping, "
                      f"rights, an import), mend it, and take the census again.")
        return
    with store.write() as tx:
        tx.put_inbox(found.system, found.object, {one.external_id: None for one in chosen})
    found.repaired = len(chosen)


def take(
    store: Store, feeds: Iterable[tuple[ObjectMap, Stream, Connector]], *, repair: bool = False,
    progress: Progress | None = None,
) -> Iterator[FeedCensus]:
    """The census of several feeds, as one run of the workspace."""
    with store.write() as tx:
        run = tx.begin_run("census")
    done: list[FeedCensus] = []
    state = "failed"
    try:
        out: dict[str, str] = {}
        for om, stream, connector in feeds:
            if om.system in out:
                done.append(FeedCensus(om.system, stream.name, failed=out[om.system], out=True))
            else:
                done.append(census(store, connector, om, stream, repair=repair, progress=progress))
                if done[-1].out:
                    out[om.system] = done[-1].failed
            yield done[-1]
        state = "incomplete" if any(one.failed for one in done) else "done"
    finally:
        with store.write() as tx:
            tx.end_run(run, state, {"equal": sum(one.equal for one in done),
                                    "differ": sum(len(one.differences) for one in done)},
                       {"feeds": [one.as_json() for one in done]})
