"""The workspace: an append-only log of field changes, and everything derived from it, in one database.

SQLite is the default (one file, WAL, one writer); PostgreSQL by giving a URL. A `Transaction` is a unit of work: it
loads records once, applies changes in memory by the rule of `merge`, and writes everything at its end, so that a batch
of a thousand changes costs a handful of statements. No transaction may be open across a network call.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sidefeed.calendars.policy import CalendarPolicy
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import HybridClock, Now, new_record_id, system_now, utc_instant, utc_text
from sidefeed.workspace.merge import DELETED, Change, Head, RecordState, apply, replay

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A clock further ahead than this is refused: one wrong laptop must not win every `latest` for years."""

RELEASED = ""
"""The digest of a refusal that is to be asked again: no content has it."""

_IN = 500
"""Ids per IN list: below every database's limit on bound parameters."""

_DUE: sa.ColumnElement[bool] = sa.literal_column("link.due")
_OPEN = sa.literal_column("intent.state") == sa.literal_column("'open'")
"""Written as the partial indexes are: a bound parameter would make the database read the whole table."""

NaturalKeys = Callable[[str, Mapping[str, Any]], Iterable[str]]


class StoreError(Exception):
    """The workspace cannot do what was asked; the message says why and what to do."""


class ClockAhead(StoreError):
    """A change is stamped further in the future than clocks may differ."""


class LeaseHeld(StoreError):
    """Another run holds the lease."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A change before it is appended. ``base`` maps each field to the revisions it was based on; a field that is
    missing from ``base`` is based on the current heads."""

    entity: str
    record: str
    fields: Mapping[str, Any]
    actor: str
    source: str
    at: datetime | None = None
    base: Mapping[str, Sequence[int]] = field(default_factory=dict)
    reason: str | None = None


@dataclass(slots=True)
class Link:
    """This record is that object in that system, and what the system was last known to hold of it.

    The system's value of a field corresponds to the record's heads as of ``synced_rev``, except for the fields in
    ``exceptions``, which name the revisions the system has seen. ``sent`` holds raw values written and not yet seen
    again: ``{"rev", "sure", "values"}``. States: wanted, creating, live, gone, detached.
    """

    system: str
    object: str
    record: str
    entity: str
    external_id: str | None = None
    state: str = "live"
    version: str = ""
    synced_rev: int = 0
    exceptions: dict[str, list[int]] = field(default_factory=dict)
    sent: dict[str, Any] | None = None
    digest: bytes | None = None
    generation: int = 0
    due: bool = False

    @property
    def key(self) -> str:
        """The idempotency key of the create that made, or will make, the remote object."""
        return f"{self.record}:{self.generation}"


@dataclass(frozen=True, slots=True)
class InboxItem:
    system: str
    object: str
    external_id: str
    payload: dict[str, Any] | None
    attempts: int = 0
    waiting_for: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    position: str | None = None
    planned_rev: int = 0
    complete_to: str | None = None
    fingerprint: str | None = None


def _chunks(items: Collection[Any]) -> Iterator[list[Any]]:
    listed = list(items)
    for start in range(0, len(listed), _IN):
        yield listed[start:start + _IN]


def _dialect(connection: Connection) -> Any:
    """The dialect's own insert, which knows ON CONFLICT. Imported where used: each costs a tenth of a start."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}")


def database_url(place: str | Path) -> str:
    """A database URL from a URL or from the path of an SQLite file."""
    text = str(place)
    if "://" in text:
        return text.replace("postgresql://", "postgresql+psycopg://", 1)
    return f"sqlite:///{text}"


class Store:
    """One workspace. ``now`` is the wall clock; ``natural_keys`` names the keys a record can be matched by;
    ``calendars`` is what may leave the calendars."""

    def __init__(self, engine: Engine, *, now: Now = system_now) -> None:
        self.engine = engine
        self.now = now
        self.natural_keys: NaturalKeys = lambda _entity, _values: ()
        self.calendars = CalendarPolicy()
        self.run: str | None = None
        self._leased: dict[str, datetime] = {}
        self._site = ""
        self._clock: HybridClock | None = None

    @classmethod
    def open(cls, place: str | Path, *, now: Now = system_now) -> Store:
        """Open or create a workspace, migrating it to this version's tables.

        Raises StoreError when the database was written by a newer Sidefeed.
        """
        from sidefeed.workspace.migrate import migrate

        url = database_url(place)
        if url.startswith("sqlite"):
            engine = sa.create_engine(url, connect_args={"timeout": 30, "check_same_thread": False})
            _configure_sqlite(engine)
        else:
            engine = sa.create_engine(url)
        try:
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, now=now)

    def close(self) -> None:
        self.engine.dispose()

    @property
    def site(self) -> str:
        """The name of this replica, made once."""
        if not self._site:
            name = t.setting.c.name == "site"
            with self.engine.begin() as connection:
                insert: Any = _dialect(connection).insert(t.setting)
                # Two processes may open a new workspace at once; the first name stays.
                connection.execute(insert.values(name="site", value=secrets.token_hex(4)).on_conflict_do_nothing())
                self._site = connection.execute(sa.select(t.setting.c.value).where(name)).scalar_one()
        return self._site

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self.engine.connect() as connection:
            yield Transaction(self, connection)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A unit of work: everything is stored at the end, or nothing."""
        self.site  # noqa: B018  made outside the transaction, once
        with self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                # Revisions are given out in Python: one appender at a time, and no late commit below a known revision.
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7310)"))
            transaction = Transaction(self, connection)
            try:
                yield transaction
                transaction.flush()
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    def hybrid_clock(self, connection: Connection) -> HybridClock:
        if self._clock is None:
            last = connection.execute(sa.select(sa.func.max(t.change.c.hlc)).where(
                t.change.c.rev > sa.select(sa.func.coalesce(sa.func.max(t.change.c.rev), 0) - 100).scalar_subquery()
            )).scalar() or ""
            self._clock = HybridClock(self.now, self.site, last)
        return self._clock

    @contextmanager
    def lease(self, name: str, run: str, *, seconds: int = 900) -> Iterator[None]:
        """Hold a name that only one run may hold. Raises LeaseHeld, naming the holder and when it ends."""
        owner = lease_owner(run)
        with self.write() as tx:
            self._leased[name] = tx.take_lease(name, owner, seconds)
        try:
            yield
        finally:
            self._leased.pop(name, None)
            with self.write() as tx:
                tx.drop_lease(name, owner)

    def keep_leases(self, names: Sequence[str], run: str, *, seconds: int = 900) -> None:
        """Extend leases that this run holds, once less than two thirds of their time are left. Raises LeaseHeld where
        one ran out and another run has taken it: two must never write at once. Nobody takes one that has not run out,
        so until then the database need not be asked."""
        soon = self.now() + timedelta(seconds=seconds * 2 / 3)
        if all(name in self._leased and self._leased[name] > soon for name in names):
            return
        owner = lease_owner(run)
        with self.write() as tx:
            for name in names:
                self._leased[name] = tx.take_lease(name, owner, seconds)


def _configure_sqlite(engine: Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # transactions are begun explicitly, as IMMEDIATE
        cursor = dbapi_connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-8000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


class Transaction:
    """A unit of work over one connection; see `Store.write` and `Store.read`."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self._records: dict[str, RecordState] = {}
        self._dirty: set[str] = set()
        self._changes: list[dict[str, Any]] = []
        self._links: dict[tuple[str, str, str], Link] = {}
        self._images: dict[tuple[str, str, str], Any] = {}
        self._remotes: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._rev: int | None = None
        self._seq = 0

    # -- the log ------------------------------------------------------------------------------------------------

    def last_rev(self) -> int:
        if self._rev is not None:
            return self._rev
        return self.connection.execute(sa.select(sa.func.max(t.change.c.rev))).scalar() or 0

    def new_id(self) -> str:
        return new_record_id(self.store.now())

    def append(self, drafts: Sequence[Draft]) -> list[Change]:
        """Append changes in order and apply each to its record. Raises ClockAhead and appends none of them when one
        is stamped too far in the future."""
        now = self.store.now()
        for draft in drafts:
            if draft.at is not None and draft.at - now > CLOCK_TOLERANCE:
                raise ClockAhead(
                    f"{draft.entity} {draft.record}: the change from {draft.source} by {draft.actor} is stamped "
                    f"{utc_text(draft.at)}, {int((draft.at - now).total_seconds())} seconds ahead of this machine "
                    f"({utc_text(now)}). Nothing was stored. Set the clock of the machine that made the change, or of "
                    f"this one, and run again.")
        states = self.records([draft.record for draft in drafts])
        full = self._full_heads(drafts, states)
        if self._rev is None:
            self._rev = self.last_rev()
            self._seq = self.connection.execute(
                sa.select(sa.func.max(t.change.c.seq)).where(t.change.c.site == self.store.site)).scalar() or 0
        clock = self.store.hybrid_clock(self.connection)
        appended = []
        times = Counter(draft.record for draft in drafts)
        for draft in drafts:
            state = states.get(draft.record) or self._new_state(draft)
            states[draft.record] = state
            self._rev += 1
            self._seq += 1
            base = {name: tuple(draft.base.get(name, state.heads_of(name))) for name in draft.fields}
            change = Change(self._rev, clock.stamp(), utc_text(draft.at or now), draft.actor, draft.source,
                            draft.entity, draft.record, dict(draft.fields), base, draft.reason)
            apply(state, change, full.get(draft.record))
            if times[draft.record] > 1:
                self._remember_heads(full, state, change)
            self._dirty.add(draft.record)
            self._changes.append({
                "rev": change.rev, "site": self.store.site, "seq": self._seq, "hlc": change.hlc, "at": change.at,
                "actor": change.actor, "source": change.source, "run": self.store.run, "entity": change.entity,
                "record": change.record, "fields": change.fields, "base": change.base, "reason": change.reason,
            })
            appended.append(change)
        return appended

    def _new_state(self, draft: Draft) -> RecordState:
        state = RecordState(draft.record, draft.entity)
        self._records[draft.record] = state
        return state

    def _full_heads(
        self, drafts: Sequence[Draft], states: Mapping[str, RecordState]
    ) -> dict[str, dict[str, list[Head]]]:
        """Who wrote the heads that a draft has not seen: needed only where a conflict begins."""
        wanted: dict[int, list[tuple[str, str]]] = {}
        for draft in drafts:
            state = states.get(draft.record)
            if state is None:
                continue
            for name, seen in draft.base.items():
                if name in draft.fields and name not in state.conflicts:
                    for rev in state.heads.get(name, ()):
                        if rev not in seen:
                            wanted.setdefault(rev, []).append((draft.record, name))
        full: dict[str, dict[str, list[Head]]] = {}
        for rev, change in self._changes_by_rev(wanted).items():
            for record, name in wanted[rev]:
                if name in change["fields"]:
                    head = _head(change, name)
                    heads = full.setdefault(record, {}).setdefault(name, [])
                    if head not in heads:
                        heads.append(head)
        return full

    @staticmethod
    def _remember_heads(
        full: dict[str, dict[str, list[Head]]], state: RecordState, change: Change
    ) -> None:
        for name, value in change.fields.items():
            if name not in state.conflicts and len(state.heads[name]) == 1:
                full.setdefault(state.id, {})[name] = [
                    Head(change.rev, value, change.actor, change.source, change.at, change.hlc)]

    def _changes_by_rev(self, revs: Collection[int]) -> dict[int, Any]:
        found: dict[int, Any] = {row["rev"]: row for row in self._changes if row["rev"] in revs}
        for chunk in _chunks([rev for rev in revs if rev not in found]):
            for row in self.connection.execute(sa.select(t.change).where(t.change.c.rev.in_(chunk))).mappings():
                found[row["rev"]] = row
        return found

    def changes_of(self, record: str, *, upto: int | None = None) -> list[Change]:
        """Every change of one record, oldest first."""
        query = sa.select(t.change).where(t.change.c.record == record).order_by(t.change.c.rev)
        if upto is not None:
            query = query.where(t.change.c.rev <= upto)
        stored = [_change(row) for row in self.connection.execute(query).mappings()]
        pending = [_change(row) for row in self._changes
                   if row["record"] == record and (upto is None or row["rev"] <= upto)]
        return stored + pending

    def histories(self, records: Collection[str]) -> dict[str, list[Change]]:
        """Every change of these records, oldest first."""
        found: dict[str, list[Change]] = {record: [] for record in records}
        for chunk in _chunks(records):
            for row in self.connection.execute(
                    sa.select(t.change).where(t.change.c.record.in_(chunk)).order_by(t.change.c.rev)).mappings():
                found[row["record"]].append(_change(row))
        for pending in self._changes:
            if pending["record"] in found:
                found[pending["record"]].append(_change(pending))
        return found

    def revisions_of_run(self, run: str) -> dict[str, set[int]]:
        """Record -> the revisions that a run appended."""
        found: dict[str, set[int]] = {}
        for rev, record in self.connection.execute(
                sa.select(t.change.c.rev, t.change.c.record).where(t.change.c.run == run)):
            found.setdefault(record, set()).add(rev)
        return found

    def changed_often(self, run: str, *, more_than: int) -> list[str]:
        """Records that a run changed and that have more changes than this in all."""
        mine = sa.select(t.change.c.record).where(t.change.c.run == run)
        return list(self.connection.execute(sa.select(t.change.c.record).where(t.change.c.record.in_(mine)).group_by(
            t.change.c.record).having(sa.func.count() > more_than)).scalars())

    def runs_of_revisions(self, revs: Collection[int]) -> list[str]:
        """The runs that appended these revisions."""
        found: set[str] = set()
        for chunk in _chunks(revs):
            found.update(run for run in self.connection.execute(
                sa.select(t.change.c.run).where(t.change.c.rev.in_(chunk)).distinct()).scalars() if run)
        return sorted(found)

    def changes_since(self, rev: int) -> Iterator[Change]:
        """Every stored change above a revision, oldest first."""
        query = sa.select(t.change).where(t.change.c.rev > rev).order_by(t.change.c.rev)
        for row in self.connection.execute(query.execution_options(yield_per=1000)).mappings():
            yield _change(row)

    def head_details(self, revs: Collection[int]) -> dict[int, Change]:
        return {rev: _change(row) for rev, row in self._changes_by_rev(revs).items()}

    def heads_as_of(self, state: RecordState, name: str, rev: int) -> tuple[int, ...]:
        """The heads of one field as they were at a revision. Free while nothing newer was written."""
        if state.field_rev(name) <= rev:
            return state.heads_of(name)
        return replay(self.changes_of(state.id, upto=rev), state.id, state.entity).heads_of(name)

    # -- records ------------------------------------------------------------------------------------------------

    def records(self, ids: Collection[str]) -> dict[str, RecordState]:
        missing = {id for id in ids if id not in self._records}
        for chunk in _chunks(missing):
            for row in self.connection.execute(sa.select(t.record).where(t.record.c.id.in_(chunk))).mappings():
                self._records[row["id"]] = _state(row)
        return {id: self._records[id] for id in ids if id in self._records}

    def record(self, id: str) -> RecordState | None:
        return self._records.get(id) or self.records([id]).get(id)

    def each_record(self, entity: str, *, since: int = 0) -> Iterator[RecordState]:
        """Every stored record of an entity whose revision is above ``since``."""
        query = sa.select(t.record).where(t.record.c.entity == entity, t.record.c.rev > since).order_by(t.record.c.rev)
        for row in self.connection.execute(query.execution_options(yield_per=1000)).mappings():
            yield self._records.get(row["id"]) or _state(row)

    def any_record(self, entity: str) -> bool:
        """Whether there is any record of an entity."""
        return self.connection.execute(
            sa.select(t.record.c.id).where(t.record.c.entity == entity).limit(1)).first() is not None

    def changed_ids(self, entity: str, *, since: int) -> list[str]:
        """Ids of records of an entity whose revision is above ``since``, oldest first."""
        return list(self.connection.execute(
            sa.select(t.record.c.id).where(t.record.c.entity == entity, t.record.c.rev > since)
            .order_by(t.record.c.rev)).scalars())

    def behind(self, system: str, object: str, entity: str, *, since: int) -> list[str]:
        """Records of an entity that changed after ``since`` and that one feed does not link, or links at an older
        revision; oldest first."""
        linked = sa.and_(t.link.c.system == system, t.link.c.object == object, t.link.c.record == t.record.c.id)
        return list(self.connection.execute(
            sa.select(t.record.c.id).select_from(t.record.outerjoin(t.link, linked))
            .where(t.record.c.entity == entity, t.record.c.rev > since,
                   sa.or_(t.link.c.record.is_(None), t.link.c.synced_rev < t.record.c.rev))
            .order_by(t.record.c.rev)).scalars())

    def conflicted(self, entity: str | None = None) -> list[RecordState]:
        query = sa.select(t.record).where(t.record.c.conflicts.is_not(None)).order_by(t.record.c.id)
        if entity:
            query = query.where(t.record.c.entity == entity)
        return [_state(row) for row in self.connection.execute(query).mappings()]

    def by_natural_keys(self, entity: str, keys: Collection[str]) -> dict[str, list[str]]:
        """Ids of live records by natural key. Sees what this transaction has appended."""
        self._flush_records()
        found: dict[str, list[str]] = {}
        for chunk in _chunks(set(keys)):
            for key, record in self.connection.execute(
                sa.select(t.natural_key.c.key, t.natural_key.c.record)
                .where(t.natural_key.c.entity == entity, t.natural_key.c.key.in_(chunk))
                .order_by(t.natural_key.c.record)
            ):
                found.setdefault(key, []).append(record)
        return found

    def index_again(self, entity: str) -> None:
        """Make the natural keys of an entity anew, after another way of matching came in."""
        for state in self.each_record(entity):
            self._records[state.id] = state
            self._dirty.add(state.id)

    def mark_merged(self, loser: str, winner: str) -> None:
        self.records([loser])[loser].merged_into = winner
        self._dirty.add(loser)

    # -- identity -----------------------------------------------------------------------------------------------

    def known_as(self, system: str, object: str, external_ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """External id -> (record, role), for every id ever seen: identity is append-only."""
        found = {id: (row["record"], row["role"]) for id in external_ids
                 if (row := self._remotes.get((system, object, id)))}
        for chunk in _chunks([id for id in set(external_ids) if id not in found]):
            rows = self.connection.execute(
                sa.select(t.remote.c.external_id, t.remote.c.record, t.remote.c.role)
                .where(t.remote.c.system == system, t.remote.c.object == object, t.remote.c.external_id.in_(chunk)))
            found.update({id: (record, role) for id, record, role in rows})
        return found

    def records_below(self, system: str, object: str, prefix: str) -> list[str]:
        """Records whose ids in one feed begin with a text, those that are gone there too."""
        self._flush_links()
        rows = self.connection.execute(
            sa.select(t.remote.c.external_id, t.remote.c.record)
            .where(t.remote.c.system == system, t.remote.c.object == object,
                   t.remote.c.external_id.startswith(prefix, autoescape=True)))
        return sorted({record for id, record in rows if id.startswith(prefix)})

    def records_known_as(self, system: str, entity: str, external_ids: Collection[str]) -> dict[str, str]:
        """External id -> record, over every object of a system that holds this entity: how references travel in."""
        found = {key[2]: row["record"] for key, row in self._remotes.items()
                 if key[0] == system and row["entity"] == entity and key[2] in external_ids and row["role"] != "gone"}
        missing = [id for id in set(external_ids) if id not in found]
        objects = self._objects_of(system) if missing else []
        for chunk in _chunks(missing):
            # Naming the objects lets the primary key answer; without them every id of the system would be looked at.
            rows = self.connection.execute(
                sa.select(t.remote.c.external_id, t.remote.c.record).where(
                    t.remote.c.system == system, t.remote.c.object.in_(objects), t.remote.c.external_id.in_(chunk),
                    t.remote.c.entity == entity))
            for row in rows:
                found[row.external_id] = row.record
        return found

    def _objects_of(self, system: str) -> list[str]:
        """Every object of a system that ids are known of: one index probe each, however many ids there are."""
        found: list[str] = []
        while (following := self.connection.execute(sa.select(sa.func.min(t.remote.c.object)).where(
                t.remote.c.system == system, t.remote.c.object > (found[-1] if found else ""))).scalar()) is not None:
            found.append(following)
        return found

    def external_ids(self, system: str, records: Collection[str]) -> dict[str, str]:
        """Record -> the id of its live primary object in a system: how references travel out."""
        found = {link.record: link.external_id for link in self._links.values()
                 if link.system == system and link.state == "live" and link.external_id and link.record in records}
        for chunk in _chunks([id for id in set(records) if id not in found]):
            rows = self.connection.execute(
                sa.select(t.link.c.record, t.link.c.external_id)
                .where(t.link.c.system == system, t.link.c.state == "live", t.link.c.record.in_(chunk)))
            found.update({record: external for record, external in rows if external})
        return found

    def remember(self, system: str, object: str, external_id: str, entity: str, record: str, role: str) -> None:
        """Identity is append-only: a role may change, an id is never forgotten."""
        self._remotes[(system, object, external_id)] = {
            "system": system, "object": object, "external_id": external_id, "entity": entity, "record": record,
            "role": role}

    def roles_of(self, record: str) -> list[tuple[str, str, str, str]]:
        """(system, object, external id, role) of everything this record was ever known as."""
        self._flush_links()
        return [tuple(row) for row in self.connection.execute(
            sa.select(t.remote.c.system, t.remote.c.object, t.remote.c.external_id, t.remote.c.role)
            .where(t.remote.c.record == record).order_by(t.remote.c.system, t.remote.c.object))]

    def origins(self, records: Collection[str]) -> dict[str, str]:
        """Record -> ``system object id`` of one object it lives as: a name for it that outlives a scratch copy."""
        self._flush_links()
        found: dict[str, str] = {}
        for chunk in _chunks(records):
            for row in self.connection.execute(
                sa.select(t.remote.c.record, t.remote.c.system, t.remote.c.object, t.remote.c.external_id)
                .where(t.remote.c.record.in_(chunk), t.remote.c.role == "primary")
                .order_by(t.remote.c.system, t.remote.c.object, t.remote.c.external_id)
            ):
                found.setdefault(row.record, f"{row.system} {row.object} {row.external_id}")
        return found

    # -- links --------------------------------------------------------------------------------------------------

    def links(self, system: str, object: str, records: Collection[str]) -> dict[str, Link]:
        """Links of one feed by record."""
        found = {record: self._links[(system, object, record)] for record in records
                 if (system, object, record) in self._links}
        for chunk in _chunks([record for record in set(records) if record not in found]):
            for row in self.connection.execute(sa.select(t.link).where(
                    t.link.c.system == system, t.link.c.object == object, t.link.c.record.in_(chunk))).mappings():
                found[row["record"]] = _link(row)
        return found

    def links_of(self, record: str) -> list[Link]:
        self._flush_links()
        return [_link(row) for row in self.connection.execute(
            sa.select(t.link).where(t.link.c.record == record).order_by(t.link.c.system, t.link.c.object)).mappings()]

    def digests(self, system: str, object: str, external_ids: Collection[str]) -> dict[str, bytes]:
        """External id -> digest of the image last absorbed: what lets an unchanged record be dropped at capture."""
        found: dict[str, bytes] = {}
        for chunk in _chunks(external_ids):
            for row in self.connection.execute(sa.select(t.link.c.external_id, t.link.c.digest).where(
                    t.link.c.system == system, t.link.c.object == object, t.link.c.external_id.in_(chunk),
                    t.link.c.state == "live", t.link.c.digest.is_not(None), t.link.c.sent.is_(None))):
                found[row.external_id] = row.digest
        return found

    def link_versions(self, system: str, object: str) -> dict[str, bytes | None]:
        """External id -> digest of the image last absorbed (None: not seen since our own write) of every live link."""
        return {row.external_id: row.digest for row in self.connection.execute(
            sa.select(t.link.c.external_id, t.link.c.digest).where(
                t.link.c.system == system, t.link.c.object == object, t.link.c.state == "live",
                t.link.c.external_id.is_not(None)))}

    def due(self, system: str, object: str) -> list[str]:
        """Records whose link has work left from an earlier run."""
        return list(self.connection.execute(sa.select(t.link.c.record).where(
            t.link.c.system == system, t.link.c.object == object, _DUE)).scalars())

    def linked(self, system: str, object: str) -> list[str]:
        """Records with a live link in one feed."""
        return list(self.connection.execute(sa.select(t.link.c.record).where(
            t.link.c.system == system, t.link.c.object == object, t.link.c.state == "live")).scalars())

    def linked_ids(self, system: str, object: str) -> list[str]:
        """External ids with a live link in one feed."""
        return [id for id in self.connection.execute(sa.select(t.link.c.external_id).where(
            t.link.c.system == system, t.link.c.object == object, t.link.c.state == "live")).scalars() if id]

    def count_links(self, system: str, object: str, *, state: str = "live") -> int:
        return self.connection.execute(sa.select(sa.func.count()).select_from(t.link).where(
            t.link.c.system == system, t.link.c.object == object, t.link.c.state == state)).scalar_one()

    def links_of_all(self, records: Collection[str]) -> list[Link]:
        """Every link of these records, in every system."""
        self._flush_links()
        return [_link(row) for chunk in _chunks(records) for row in self.connection.execute(
            sa.select(t.link).where(t.link.c.record.in_(chunk))).mappings()]

    def save_link(self, link: Link) -> None:
        self._links[(link.system, link.object, link.record)] = link

    def bases(self, system: str, object: str, records: Collection[str]) -> dict[str, dict[str, Any]]:
        """The raw image each linked object was last seen to hold."""
        found = {record: self._images[(system, object, record)] for record in records
                 if (system, object, record) in self._images}
        for chunk in _chunks([record for record in set(records) if record not in found]):
            for row in self.connection.execute(sa.select(t.base.c.record, t.base.c.image).where(
                    t.base.c.system == system, t.base.c.object == object, t.base.c.record.in_(chunk))):
                found[row.record] = row.image
        return found

    def save_base(self, system: str, object: str, record: str, image: Mapping[str, Any]) -> None:
        self._images[(system, object, record)] = dict(image)

    # -- inbox and cursors --------------------------------------------------------------------------------------

    def put_inbox(
        self, system: str, object: str, items: Mapping[str, dict[str, Any] | None], *, key_field: str | None = None,
    ) -> None:
        """Ids known to have changed, with what was told of them. What guards ask of all that waits stands beside the
        payload: its state, and the key of ours that it carries in ``key_field``."""
        now = utc_text(self.store.now())
        self.upsert(t.inbox, [
            {"system": system, "object": object, "external_id": id, "payload": payload, "state": _state_of(payload),
             "stamp": _stamp_of(payload, key_field), "first_seen": now, "attempts": 0, "not_before": None,
             "waiting_for": None, "needs": None}
            for id, payload in items.items()
        ], keep=("first_seen",))

    def inbox_ids(self, system: str, object: str) -> list[str]:
        """Everything to be absorbed now, oldest first."""
        return list(self.connection.execute(self._waiting(system, object, t.inbox.c.external_id)).scalars())

    def inbox_bare(self, system: str, object: str) -> list[str]:
        """What is to be absorbed now and of which only the id is known."""
        return list(self.connection.execute(self._waiting(system, object, t.inbox.c.external_id).where(
            t.inbox.c.payload.is_(None))).scalars())

    def inbox_deleted(self, system: str, object: str) -> list[str]:
        """What is to be absorbed now and was told to be deleted, not merged."""
        return list(self.connection.execute(self._waiting(system, object, t.inbox.c.external_id).where(
            t.inbox.c.state == "deleted")).scalars())

    def inbox_stamps(self, system: str, object: str) -> dict[str, str]:
        """External id -> our key on it, of what is to be absorbed now."""
        rows = self.connection.execute(self._waiting(system, object, t.inbox.c.external_id, t.inbox.c.stamp).where(
            t.inbox.c.stamp.is_not(None)))
        return {row.external_id: row.stamp for row in rows}

    def _waiting(self, system: str, object: str, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        now = utc_text(self.store.now())
        return sa.select(*columns).where(
            t.inbox.c.system == system, t.inbox.c.object == object,
            sa.or_(t.inbox.c.not_before.is_(None), t.inbox.c.not_before <= now),
        ).order_by(t.inbox.c.first_seen, t.inbox.c.external_id)

    def inbox_now(self, system: str, object: str) -> bool:
        """Whether anything in the inbox was put there to be read by id at once."""
        return self.connection.execute(sa.select(t.inbox.c.external_id).where(
            t.inbox.c.system == system, t.inbox.c.object == object, t.inbox.c.payload.is_(None),
            t.inbox.c.not_before.is_(None)).limit(1)).first() is not None

    def inbox_items(self, system: str, object: str, ids: Collection[str]) -> list[InboxItem]:
        rows = {}
        for chunk in _chunks(ids):
            for row in self.connection.execute(sa.select(t.inbox).where(
                    t.inbox.c.system == system, t.inbox.c.object == object,
                    t.inbox.c.external_id.in_(chunk))).mappings():
                rows[row["external_id"]] = InboxItem(system, object, row["external_id"], row["payload"],
                                                     row["attempts"], row["waiting_for"])
        return [rows[id] for id in ids if id in rows]

    def inbox_size(self, system: str, object: str | None = None) -> int:
        query = sa.select(sa.func.count()).select_from(t.inbox).where(t.inbox.c.system == system)
        if object is not None:
            query = query.where(t.inbox.c.object == object)
        return self.connection.execute(query).scalar_one()

    def drop_inbox(self, system: str, object: str, ids: Collection[str]) -> None:
        for chunk in _chunks(ids):
            self.connection.execute(t.inbox.delete().where(
                t.inbox.c.system == system, t.inbox.c.object == object, t.inbox.c.external_id.in_(chunk)))

    def postpone(
        self, system: str, object: str, external_id: str, *, until: datetime | None, waiting_for: str,
        needs: str | None = None,
    ) -> None:
        """Look at an inbox item again at ``until`` (None: when a person answers), or as soon as the system's object
        that it ``needs`` (``<entity> <external id>``) is known."""
        self.connection.execute(t.inbox.update().where(
            t.inbox.c.system == system, t.inbox.c.object == object, t.inbox.c.external_id == external_id,
        ).values(attempts=t.inbox.c.attempts + 1, not_before=utc_text(until) if until else "9999",
                 waiting_for=waiting_for, needs=needs))

    def wake(self, system: str, object: str, external_ids: Collection[str]) -> None:
        """Let parked inbox items be tried again at once."""
        for chunk in _chunks(external_ids):
            self.connection.execute(t.inbox.update().where(
                t.inbox.c.system == system, t.inbox.c.object == object, t.inbox.c.external_id.in_(chunk),
            ).values(not_before=None))

    def needed(self, system: str, object: str) -> dict[str, list[str]]:
        """``<entity> <external id>`` -> the parked inbox items of one feed that wait for it."""
        found: dict[str, list[str]] = {}
        for row in self.connection.execute(sa.select(t.inbox.c.external_id, t.inbox.c.needs).where(
                t.inbox.c.system == system, t.inbox.c.object == object, t.inbox.c.needs.is_not(None),
                t.inbox.c.not_before.is_not(None))):
            found.setdefault(row.needs, []).append(row.external_id)
        return found

    def forget_payloads(self, system: str, object: str, external_ids: Collection[str]) -> None:
        """What the inbox told of these objects is older than a write of ours: they must be read by id."""
        for chunk in _chunks(external_ids):
            self.connection.execute(t.inbox.update().where(
                t.inbox.c.system == system, t.inbox.c.object == object, t.inbox.c.external_id.in_(chunk),
            ).values(payload=None, state=None, stamp=None))

    def ask(self, system: str, object: str, external_id: str, kind: str, evidence: Mapping[str, Any]) -> None:
        """Put a question into the queue; asked again, it keeps its answer and takes the newer evidence."""
        self.upsert(t.question, [{"system": system, "object": object, "external_id": external_id, "kind": kind,
                                  "evidence": dict(evidence), "asked_at": utc_text(self.store.now()), "answer": None}],
                    keep=("asked_at", "answer"))

    def answers(self, system: str, object: str, external_ids: Collection[str]) -> dict[str, str]:
        """External id -> the record a person said it is, or ``new``."""
        found: dict[str, str] = {}
        for chunk in _chunks(external_ids):
            for row in self.connection.execute(sa.select(t.question.c.external_id, t.question.c.answer).where(
                    t.question.c.system == system, t.question.c.object == object,
                    t.question.c.external_id.in_(chunk), t.question.c.answer.is_not(None))):
                found[row.external_id] = row.answer
        return found

    def open_questions(self, system: str, object: str) -> dict[str, list[str]]:
        """External id -> candidate records, for every match of this feed that a person has not decided yet."""
        return {row.external_id: list(row.evidence.get("candidates", ())) for row in self.connection.execute(
            sa.select(t.question.c.external_id, t.question.c.evidence).where(
                t.question.c.system == system, t.question.c.object == object, t.question.c.kind == "match",
                t.question.c.answer.is_(None)))}

    def questions(self) -> list[dict[str, Any]]:
        """Every question without an answer, oldest first."""
        return [dict(row) for row in self.connection.execute(
            sa.select(t.question).where(t.question.c.answer.is_(None)).order_by(t.question.c.asked_at)).mappings()]

    def drop_question(self, system: str, object: str, external_id: str) -> None:
        """Forget a question that nobody needs to answer any more."""
        self.connection.execute(t.question.delete().where(
            t.question.c.system == system, t.question.c.object == object, t.question.c.external_id == external_id))

    def drop_moot_questions(self, system: str, object: str) -> None:
        """Forget open matches of objects that wait no longer: deleted, out of scope, or known by now."""
        self.connection.execute(t.question.delete().where(
            t.question.c.system == system, t.question.c.object == object, t.question.c.kind == "match",
            t.question.c.answer.is_(None), ~sa.exists().where(
                t.inbox.c.system == system, t.inbox.c.object == object,
                t.inbox.c.external_id == t.question.c.external_id)))

    def answer(self, system: str, object: str, external_id: str, answer: str) -> None:
        """Remember a person's answer, and let the object that waited for it be looked at again."""
        self.connection.execute(t.question.update().where(
            t.question.c.system == system, t.question.c.object == object,
            t.question.c.external_id == external_id).values(answer=answer))
        self.connection.execute(t.inbox.update().where(
            t.inbox.c.system == system, t.inbox.c.object == object,
            t.inbox.c.external_id == external_id).values(not_before=None))

    def cursor(self, system: str, object: str) -> Cursor:
        row = self.connection.execute(sa.select(t.cursor).where(
            t.cursor.c.system == system, t.cursor.c.object == object)).mappings().one_or_none()
        return Cursor() if row is None else Cursor(
            row["position"], row["planned_rev"], row["complete_to"], row["fingerprint"])

    def move_cursor(self, system: str, object: str, **values: Any) -> None:
        current = self.cursor(system, object)
        row = {"position": current.position, "planned_rev": current.planned_rev,
               "complete_to": current.complete_to, "fingerprint": current.fingerprint, **values}
        self.upsert(t.cursor, [{"system": system, "object": object, **row}])

    # -- runs, intents, refusals --------------------------------------------------------------------------------

    def begin_run(self, what: str) -> str:
        run = new_record_id(self.store.now())
        self.connection.execute(t.run.insert(), {
            "id": run, "what": what, "started": utc_text(self.store.now()), "state": "running"})
        return run

    def end_run(self, run: str, state: str, counts: Mapping[str, Any], detail: Any = None) -> None:
        self.connection.execute(t.run.update().where(t.run.c.id == run).values(
            ended=utc_text(self.store.now()), state=state, counts=dict(counts), detail=detail))

    def set_run_state(self, run: str, state: str) -> None:
        """A person decided about a run that waited."""
        self.connection.execute(t.run.update().where(t.run.c.id == run).values(state=state))

    def run(self, id: str) -> dict[str, Any]:
        """One run by its id or the start of it. Raises StoreError where there is none or more than one."""
        begins = t.run.c.id.startswith(id, autoescape=True)
        found = [dict(row) for row in self.connection.execute(
            sa.select(t.run).where(begins).order_by(t.run.c.id).limit(2)).mappings()]
        if len(found) != 1 or not id:
            latest = ", ".join(f"{run['id']} ({run['what']}, {run['started'][:16]})" for run in self.runs(3))
            raise StoreError(f"{'several runs begin' if found and id else 'no run begins'} with {id!r}; the latest are "
                             f"{latest or 'none'}. `sidefeed status` lists them.")
        return found[0]

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """The latest runs, newest first."""
        return [dict(row) for row in self.connection.execute(
            sa.select(t.run).order_by(t.run.c.id.desc()).limit(limit)).mappings()]

    def open_intents(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record writes before their calls are made."""
        now = utc_text(self.store.now())
        self.connection.execute(t.intent.insert(), [{**row, "state": "open", "at": now} for row in rows])

    def note_done(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record writes that were made already and can be repeated without harm."""
        now = utc_text(self.store.now())
        if rows:
            self.connection.execute(t.intent.insert(), [{**row, "state": "done", "at": now} for row in rows])

    def settle_intents(
        self, run: str, system: str, object: str, outcomes: Mapping[str, tuple[str, Any]]
    ) -> None:
        """Key -> (state, outcome) of open intents that one run has in one feed."""
        open_now = self.connection.execute(sa.select(t.intent.c.id, t.intent.c.key, t.intent.c.run).where(
            t.intent.c.system == system, t.intent.c.object == object, _OPEN))
        rows = [{"of_id": row.id, "new_state": outcomes[row.key][0], "new_outcome": outcomes[row.key][1]}
                for row in open_now if row.run == run and row.key in outcomes]
        if rows:
            self.connection.execute(
                t.intent.update().where(t.intent.c.id == sa.bindparam("of_id"))
                .values(state=sa.bindparam("new_state"), outcome=sa.bindparam("new_outcome", type_=t.Json)), rows)

    def intents_of_run(self, run: str) -> list[dict[str, Any]]:
        """What a run wrote to the systems, as far as its effect is known."""
        return [dict(row) for row in self.connection.execute(sa.select(t.intent).where(
            t.intent.c.run == run, t.intent.c.state.in_(("done", "recovered"))).order_by(t.intent.c.id)).mappings()]

    def was_created(self, system: str, object: str, record: str) -> bool:
        """Whether a sync of ours made the object that a record is linked with."""
        return self.connection.execute(sa.select(t.intent.c.id).where(
            t.intent.c.record == record, t.intent.c.system == system, t.intent.c.object == object,
            t.intent.c.op == "create", t.intent.c.state.in_(("done", "recovered"))).limit(1)).first() is not None

    def unsettled(self, system: str, object: str) -> list[dict[str, Any]]:
        """Writes whose outcome was never learnt: the process died, or the answer was lost."""
        return [dict(row) for row in self.connection.execute(sa.select(t.intent).where(
            t.intent.c.system == system, t.intent.c.object == object, _OPEN,
        ).order_by(t.intent.c.id)).mappings()]

    def refusals(self, system: str, object: str, records: Collection[str]) -> dict[str, dict[str, str]]:
        """Record -> raw field (empty for the whole record) -> digest of the content that the system refused."""
        found: dict[str, dict[str, str]] = {}
        for chunk in _chunks(records):
            for row in self.connection.execute(
                sa.select(t.refusal.c.record, t.refusal.c.field, t.refusal.c.digest).where(
                    t.refusal.c.system == system, t.refusal.c.object == object, t.refusal.c.record.in_(chunk))):
                found.setdefault(row.record, {})[row.field] = row.digest
        return found

    def refuse(
        self, system: str, object: str, record: str, field: str, *, digest: str, code: str, message: str, owner: str,
        kind: str = "", count: int = 1, not_before: datetime | None = None, needs: str | None = None,
    ) -> None:
        """Remember by content what a system refused, so that it is not asked again until something changes, the record
        that it ``needs`` is there, or ``not_before`` has come."""
        now = utc_text(self.store.now())
        self.upsert(t.refusal, [{
            "system": system, "object": object, "record": record, "field": field, "digest": digest, "code": code,
            "message": message, "owner": owner, "count": count, "first_seen": now, "last_seen": now,
            "direction": "write", "kind": kind, "not_before": utc_text(not_before) if not_before else None,
            "needs": needs,
        }], keep=("first_seen",))

    def times_refused(self, system: str, object: str, record: str, field: str, code: str) -> int:
        """How often this field (or record) was refused for this reason in a row."""
        return self.connection.execute(sa.select(t.refusal.c.count).where(
            t.refusal.c.system == system, t.refusal.c.object == object, t.refusal.c.record == record,
            t.refusal.c.field == field, t.refusal.c.code == code)).scalar_one_or_none() or 0

    def refused(self, system: str | None = None, object: str | None = None) -> list[dict[str, Any]]:
        """Refusals of one feed, one system, or all, newest first."""
        query = sa.select(t.refusal).order_by(t.refusal.c.last_seen.desc(), t.refusal.c.record, t.refusal.c.field)
        for column, value in ((t.refusal.c.system, system), (t.refusal.c.object, object)):
            if value is not None:
                query = query.where(column == value)
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def release(self, system: str, object: str, refusals: Collection[tuple[str, str]]) -> None:
        """Let refused (record, field) pairs be asked again at the next plan; how often they were refused is kept."""
        for record, name in refusals:
            self.connection.execute(t.refusal.update().where(
                t.refusal.c.system == system, t.refusal.c.object == object, t.refusal.c.record == record,
                t.refusal.c.field == name).values(digest=RELEASED, not_before=None, needs=None))
        for link in self.links(system, object, {record for record, _name in refusals}).values():
            link.due = True
            self.save_link(link)

    def forgive_released(self, system: str, object: str, records: Collection[str]) -> None:
        """Forget released refusals of records that turned out to have nothing left to write."""
        for chunk in _chunks(records):
            self.connection.execute(t.refusal.delete().where(
                t.refusal.c.system == system, t.refusal.c.object == object, t.refusal.c.record.in_(chunk),
                t.refusal.c.digest == RELEASED))

    # -- API calls ----------------------------------------------------------------------------------------------

    def count_calls(self, system: str, calls: int) -> None:
        """Add to the calls that this workspace sent to a system today (UTC)."""
        if calls:
            day = utc_text(self.store.now())[:10]
            insert: Any = _dialect(self.connection).insert(t.usage)
            self.connection.execute(insert.values(system=system, day=day, calls=calls).on_conflict_do_update(
                index_elements=["system", "day"], set_={"calls": t.usage.c.calls + calls}))

    def calls_today(self, system: str) -> int:
        """Calls that this workspace sent to a system today (UTC)."""
        return self.connection.execute(sa.select(t.usage.c.calls).where(
            t.usage.c.system == system, t.usage.c.day == utc_text(self.store.now())[:10])).scalar_one_or_none() or 0

    def forgive(self, system: str, object: str, record: str, fields: Collection[str] | None = None) -> None:
        """Forget refusals of one record: these raw fields were written, or (None) a person asked to try again."""
        delete = t.refusal.delete().where(
            t.refusal.c.system == system, t.refusal.c.object == object, t.refusal.c.record == record)
        self.connection.execute(delete if fields is None else delete.where(t.refusal.c.field.in_(list(fields))))

    def marker(self, system: str) -> str | None:
        return self.connection.execute(
            sa.select(t.system.c.marker).where(t.system.c.name == system)).scalar_one_or_none()

    def save_marker(self, system: str, marker: str) -> None:
        self.upsert(t.system, [{"name": system, "marker": marker, "endpoint": None,
                                "seen_at": utc_text(self.store.now())}])

    def setting(self, name: str) -> str | None:
        return self.connection.execute(
            sa.select(t.setting.c.value).where(t.setting.c.name == name)).scalar_one_or_none()

    def save_setting(self, name: str, value: str) -> None:
        self.upsert(t.setting, [{"name": name, "value": value}])

    # -- leases -------------------------------------------------------------------------------------------------

    def take_lease(self, name: str, owner: str, seconds: int) -> datetime:
        """Take or extend a lease; returns when it ends. Raises LeaseHeld."""
        now = self.store.now()
        expires = now + timedelta(seconds=seconds)
        row = self.connection.execute(sa.select(t.lease).where(t.lease.c.name == name)).mappings().one_or_none()
        if row is not None and row["owner"] != owner and utc_instant(row["expires"]) > now and not _died(row["owner"]):
            raise LeaseHeld(
                f"another run ({row['owner']}) is at work on {name!r} until {row['expires']} at the latest. Wait for "
                f"it to end; if it died, its lease ends by itself at that time.")
        self.upsert(t.lease, [{"name": name, "owner": owner, "expires": utc_text(expires)}])
        return expires

    def lease_ends(self, name: str) -> datetime | None:
        ends = self.connection.execute(sa.select(t.lease.c.expires).where(t.lease.c.name == name)).scalar_one_or_none()
        return utc_instant(ends) if ends else None

    def drop_lease(self, name: str, owner: str) -> None:
        self.connection.execute(t.lease.delete().where(t.lease.c.name == name, t.lease.c.owner == owner))

    # -- writing ------------------------------------------------------------------------------------------------

    def upsert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: Collection[str] = ()) -> None:
        """Insert rows or replace those with the same key, except the columns to ``keep``."""
        if not rows:
            return
        insert: Any = _dialect(self.connection).insert(table)
        key = [column.name for column in table.primary_key]
        update = {name: insert.excluded[name] for name in rows[0] if name not in key and name not in keep}
        statement = insert.on_conflict_do_update(index_elements=key, set_=update) if update \
            else insert.on_conflict_do_nothing(index_elements=key)
        _execute_many(self.connection, statement, rows)

    def flush(self) -> None:
        self._flush_records()
        self._flush_links()

    def _flush_records(self) -> None:
        if self._changes:
            _execute_many(self.connection, t.change.insert(), self._changes)
            self._changes = []
        if not self._dirty:
            return
        states = [self._records[id] for id in self._dirty]
        self.upsert(t.record, [{
            "id": state.id, "entity": state.entity, "rev": state.rev, "values": state.values, "heads": state.heads,
            "conflicts": {name: [head.as_json() for head in heads] for name, heads in state.conflicts.items()} or None,
            "deleted": state.deleted, "merged_into": state.merged_into,
        } for state in states])
        for chunk in _chunks(self._dirty):
            self.connection.execute(t.natural_key.delete().where(t.natural_key.c.record.in_(chunk)))
        keys = [{"entity": state.entity, "key": key, "record": state.id} for state in states
                if not state.deleted and state.merged_into is None
                for key in dict.fromkeys(self.store.natural_keys(state.entity, state.values))]
        if keys:
            _execute_many(self.connection, t.natural_key.insert(), keys)
        self._dirty.clear()

    def _flush_links(self) -> None:
        if self._links:
            self.upsert(t.link, [{
                "system": link.system, "object": link.object, "record": link.record, "entity": link.entity,
                "external_id": link.external_id, "state": link.state, "version": link.version,
                "synced_rev": link.synced_rev, "exceptions": link.exceptions or None, "sent": link.sent,
                "digest": link.digest, "generation": link.generation, "due": link.due,
            } for link in self._links.values()])
            self._links = {}
        if self._images:
            self.upsert(t.base, [{"system": system, "object": object, "record": record, "image": image}
                                 for (system, object, record), image in self._images.items()])
            self._images = {}
        if self._remotes:
            self.upsert(t.remote, list(self._remotes.values()))
            self._remotes = {}


def _execute_many(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """One insert for many rows that all name the same columns.

    SQLAlchemy compiles it; the rows then go to the driver directly, because passing each through SQLAlchemy costs
    several times what SQLite itself takes for a row.
    """
    columns = statement.table.c
    if any(column.default is not None and column.name not in rows[0] for column in columns):
        connection.execute(statement, list(rows))
        return
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(rows[0]))
    process = {name: columns[name].type.dialect_impl(dialect).bind_processor(dialect) for name in rows[0]}
    names = compiled.positiontup or list(process)
    values = ([row[name] if (to := process[name]) is None else to(row[name]) for name in names] for row in rows)
    parameters: Any = [tuple(each) if compiled.positional else dict(zip(names, each, strict=True)) for each in values]
    connection.exec_driver_sql(str(compiled), parameters)


def lease_owner(run: str) -> str:
    """Who holds a lease: the run, and the process it lives in, so that a dead one can be told on its own machine."""
    return f"{run} on {socket.gethostname()} pid {os.getpid()}"


def _died(owner: str) -> bool:
    """Whether a lease was left behind by a process of this machine that is no more."""
    _, _, where = owner.partition(" on ")
    host, _, pid = where.partition(" pid ")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _state_of(payload: Mapping[str, Any] | None) -> str | None:
    if payload is None:
        return None
    return "merged" if payload["merged_into"] is not None else str(payload["state"])


def _stamp_of(payload: Mapping[str, Any] | None, key_field: str | None) -> str | None:
    if payload is None or key_field is None or payload["state"] != "live":
        return None
    stamp = (payload["values"] or {}).get(key_field)
    return stamp if isinstance(stamp, str) and stamp else None


def _head(row: Any, name: str) -> Head:
    return Head(row["rev"], row["fields"][name], row["actor"], row["source"], row["at"], row["hlc"])


def _change(row: Any) -> Change:
    return Change(row["rev"], row["hlc"], row["at"], row["actor"], row["source"], row["entity"], row["record"],
                  row["fields"], {name: tuple(revs) for name, revs in row["base"].items()}, row["reason"])


def _state(row: Any) -> RecordState:
    conflicts = {name: [Head(**head) for head in heads] for name, heads in (row["conflicts"] or {}).items()}
    return RecordState(row["id"], row["entity"], row["rev"], row["values"], row["heads"], conflicts,
                       row["merged_into"])


def _link(row: Any) -> Link:
    return Link(row["system"], row["object"], row["record"], row["entity"], row["external_id"], row["state"],
                row["version"], row["synced_rev"], row["exceptions"] or {}, row["sent"], row["digest"],
                row["generation"], row["due"])


__all__ = ["DELETED", "ClockAhead", "Cursor", "Draft", "InboxItem", "LeaseHeld", "Link", "Store", "StoreError",
           "Transaction", "database_url"]
