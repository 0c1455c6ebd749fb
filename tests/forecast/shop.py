"""A workspace with a clock to turn: people, and deals that come, move and go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sidefeed.workspace import DELETED, Draft, Store


class Shop:
    def __init__(self, place: str | Path, start: datetime = datetime(2026, 1, 5, 9, tzinfo=UTC)) -> None:
        self.clock = start
        self.store = Store.open(place, now=lambda: self.clock)

    def later(self, days: int = 0, hours: int = 0) -> datetime:
        self.clock += timedelta(days=days, hours=hours)
        return self.clock

    def person(self, name: str) -> str:
        return self.new("user", name=name, email=f"{name.lower()}@example.com")

    def new(self, entity: str, *, source: str = "workspace", actor: str = "ann", **fields: Any) -> str:
        with self.store.write() as tx:
            record = tx.new_id()
            tx.append([Draft(entity, record, fields, actor, source)])
        return record

    def deal(self, name: str, amount: str | None, close_date: str | None = "2026-03-20", *, owner: str | None = None,
             currency: str | None = "EUR", stage: str = "proposal", category: str | None = None, **more: Any) -> str:
        return self.new("opportunity", name=name, money=money(amount, currency), close_date=close_date, stage=stage,
                        owner=owner, forecast_category=category, **more)

    def edit(self, record: str, *, source: str = "workspace", actor: str = "ann", at: datetime | None = None,
             base: dict[str, Any] | None = None, **fields: Any) -> None:
        with self.store.write() as tx:
            state = tx.record(record)
            assert state is not None
            tx.append([Draft(state.entity, record, fields, actor, source, at=at, base=base or {})])

    def delete(self, record: str) -> None:
        self.edit(record, **{DELETED: True})

    def close(self) -> None:
        self.store.close()


def money(amount: str | None, currency: str | None = "EUR") -> dict[str, Any] | None:
    return None if amount is None else {"amount": amount, "currency": currency}
