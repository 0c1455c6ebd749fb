"""A workspace that things happen to, and that somebody then writes into past Sidefeed."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sidefeed.audit import Head, seal
from sidefeed.audit.redact import redact
from sidefeed.workspace import Draft, Store

PEOPLE = ("ann@example.com", "bob@example.com")


class Ledger:
    """What happens in a workspace, one step a second."""

    def __init__(self, place: str | Path) -> None:
        self.place = place
        self.tick = 0
        self.store = Store.open(place, now=self.now)
        self.records: list[str] = []
        self.changes: list[int] = []
        self.intents = 0
        self.redacted: set[int] = set()

    def now(self) -> datetime:
        return datetime(2026, 11, 2, tzinfo=UTC) + timedelta(seconds=self.tick)

    def run(self) -> None:
        self.tick += 1
        with self.store.write() as tx:
            self.store.run = tx.begin_run("sync a")

    def edits(self, number: int, value: str, actor: str = PEOPLE[0]) -> None:
        self.tick += 1
        with self.store.write() as tx:
            if number >= len(self.records):
                self.records.append(tx.new_id())
            record = self.records[min(number, len(self.records) - 1)]
            (change,) = tx.append([Draft("opportunity", record, {"name": value, "amount": "10"}, actor, "a")])
            self.changes.append(change.rev)

    def writes(self, value: str, *, settled: bool = True) -> None:
        """A write to a system; where it is not settled, its answer is still to come."""
        self.intents += 1
        key = f"key {self.intents}"
        with self.store.write() as tx:
            tx.open_intents([{
                "run": self.store.run or "run", "system": "b", "object": "Deal", "record": "r", "op": "update",
                "key": key, "external_id": "7", "rev": 1, "payload": {"values": {"Name": value}, "known": {}},
                "before": {"Name": "before"}}])
        if settled:
            self.answered(self.intents)

    def answered(self, number: int) -> None:
        with self.store.write() as tx:
            tx.settle_intents(self.store.run or "run", "b", "Deal", {f"key {number}": ("done", {"version": "2"})})

    def decides(self, what: str, actor: str = PEOPLE[1]) -> None:
        self.tick += 1
        with self.store.write() as tx:
            tx.note(what, actor=actor, via="page", run="run", shown=3)

    def redacts(self, rev: int) -> None:
        with self.store.write() as tx:
            redact(tx, "r", {("change", rev): {"fields": {"name": "sha256:00", "amount": "10"}}}, why="asked to",
                   actor="policy:private")
        self.redacted.add(rev)

    def seal(self) -> Head:
        return seal(self.store)

    def tamper(self, statement: str, *values: Any) -> int:
        """What somebody does who opened the file (SQLite) itself; returns how many rows it changed."""
        with sqlite3.connect(self.place) as connection:
            done = connection.execute(statement, values).rowcount
        connection.close()
        return done

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.place)
        found = connection.execute(query).fetchall()
        connection.close()
        return found
