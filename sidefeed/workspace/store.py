"""The workspace: an append-only log of field changes, and everything derived from it, in one database.

SQLite is the default (one file, WAL, one writer); PostgreSQL by giving a URL. A `Transaction` is a unit of work: it
loads records once, applies changes in memory by the rule of `merge`, and writes everything at its end, so that a batch
of a thousand changes costs a handful of statements. No transaction may be open across a network call.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sidefeed.calendars.policy import CalendarPolicy
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import HybridClock, Now, system_now
from sidefeed.workspace.database import configure_sqlite, database_url, dialect_module, make_private, sync_to_disk
from sidefeed.workspace.journal import OPS
from sidefeed.workspace.leases import HELD, lease_owner
from sidefeed.workspace.transaction import Transaction

NaturalKeys = Callable[[str, Mapping[str, Any]], Iterable[str]]


class Store:
    """One workspace. ``now`` is the wall clock; ``natural_keys`` names the keys a record can be matched by;
    ``calendars`` is what may leave the calendars; ``actor`` is for whom it was opened, as the journal says it."""

    def __init__(self, engine: Engine, *, now: Now = system_now) -> None:
        self.engine = engine
        self.now = now
        self.natural_keys: NaturalKeys = lambda _entity, _values: ()
        self.calendars = CalendarPolicy()
        self.run: str | None = None
        self.actor = OPS
        self._leased: dict[str, tuple[str, datetime]] = {}
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
            make_private(url)
            engine = sa.create_engine(url, connect_args={"timeout": 30, "check_same_thread": False},
                                      hide_parameters=True)
            configure_sqlite(engine)
        else:
            engine = sa.create_engine(url, hide_parameters=True)  # an error tells no customer's data
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
                insert: Any = dialect_module(connection).insert(t.setting)
                # Two processes may open a new workspace at once; the first name stays.
                connection.execute(insert.values(name="site", value=secrets.token_hex(4)).on_conflict_do_nothing())
                self._site = connection.execute(sa.select(t.setting.c.value).where(name)).scalar_one()
        return self._site

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self.engine.connect() as connection:
            yield Transaction(self, connection)

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Transaction]:
        """A unit of work: everything is stored at the end, or nothing. Where the power fails, the latest ones may be
        missing in an SQLite file, which is whole all the same; not so a ``durable`` one and all that was stored before.
        """
        self.site  # noqa: B018  made outside the transaction, once
        with self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                sync_to_disk(connection, durable)
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
        HELD.add((name, owner))
        try:
            with self.write() as tx:
                self._leased[name] = run, tx.take_lease(name, owner, seconds)
            try:
                yield
            finally:
                self._leased.pop(name, None)
                with self.write() as tx:
                    tx.drop_lease(name, owner)
        finally:
            HELD.discard((name, owner))

    @contextmanager
    def share_lease(self, name: str, run: str) -> Iterator[None]:
        """Keep a lease that ``run`` holds for all parts of its work, as long as this part lasts."""
        self._leased[name] = run, self.now()
        try:
            yield
        finally:
            self._leased.pop(name, None)

    def keep_leases(self, *, seconds: int = 900) -> None:
        """Extend the leases held here, once less than two thirds of their time are left; called between two steps of
        a run, none of which may last longer than that. Raises LeaseHeld where one ran out and another run has taken it:
        two must never write at once. Nobody takes one that has not run out, so until then no database is asked."""
        soon = self.now() + timedelta(seconds=seconds * 2 / 3)
        if all(ends > soon for _run, ends in self._leased.values()):
            return
        with self.write() as tx:
            for name, (run, _ends) in self._leased.items():
                self._leased[name] = run, tx.take_lease(name, lease_owner(run), seconds)
