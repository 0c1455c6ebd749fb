"""Time travel: every deal as it stood at any moment, rebuilt from the change log.

Two questions look alike and are not. *What did we know then?* (``known``) replays the changes that had arrived by the
moment, and gives what was reported that day, to the byte. *What was true then, as far as we know today?* (``happened``)
replays the changes that people had made by the moment, also those that arrived later. Reports are compared by the
first; causes are looked for by the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast.frames import DEALS, Deal, frame
from sidefeed.forecast.snapshots import at_revision
from sidefeed.workspace import Change, RecordState, Store, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant, utc_text
from sidefeed.workspace.merge import replay

Axis = Literal["known", "happened"]

MERGED = "merged into "
"""How the reason of the change begins that takes a record away because it is another one."""

CATEGORY_OF_STAGE = {"won": "closed", "lost": "omitted"}


def end_of(day: date, zone: str = "UTC") -> datetime:
    """The last millisecond of a day in a time zone: "as of Monday" means when Monday was over there."""
    return datetime.combine(day, time(23, 59, 59, 999000), ZoneInfo(zone)).astimezone(UTC)


def first_reading(tx: Transaction) -> datetime | None:
    """When the first run that brought deals had ended, the first deal's own time where no run did; None without deals.
    Before it nothing was known, so that a comparison with an earlier day says nothing."""
    change = t.change.c
    row = tx.connection.execute(sa.select(change.run, change.hlc).where(change.entity == "opportunity")
                                .order_by(change.rev).limit(1)).first()
    if row is None:
        return None
    ended = None if row.run is None else tx.connection.execute(
        sa.select(t.run.c.ended).where(t.run.c.id == row.run)).scalar()
    return utc_instant(ended or utc_text(datetime.fromtimestamp(int(row.hlc[:13]) / 1000, UTC)))


def deals_as_of(store: Store, moment: datetime | None = None, *, axis: Axis = "known") -> pd.DataFrame:
    """Every live deal as of a moment (None: now), with the columns of `frames.DEALS`, sorted by record."""
    with store.read() as tx:
        return deals(tx, moment, axis=axis)


def deals(tx: Transaction, moment: datetime | None = None, *, axis: Axis = "known") -> pd.DataFrame:
    """As `deals_as_of`, inside a transaction."""
    if moment is not None and axis == "known":
        cached = at_revision(tx, revision_at(tx, moment))
        if cached is not None:
            return cached
    names = Names(tx, moment, axis=axis)
    spans = _spans(tx, "opportunity", moment, axis)
    rows = [deal_row(state, names, *spans.get(state.id, (None, None)))
            for state in states(tx, "opportunity", moment, axis=axis) if not state.deleted]
    rows.sort(key=lambda row: row[0])
    return frame(rows, DEALS)


def states(
    tx: Transaction, entity: str, moment: datetime | None = None, *, axis: Axis = "known"
) -> Iterator[RecordState]:
    """Every record of an entity as of a moment, deleted ones included, merged ones left out.

    What has not changed since is taken as it is stored; only the rest is replayed.
    """
    if moment is None:
        yield from (state for state in tx.each_record(entity) if state.merged_into is None)
        return
    cutoff = revision_at(tx, moment) if axis == "known" else None
    seen: set[str] = set()
    for record, changes in _changes_by_record(tx, entity, moment, axis, cutoff):
        seen.add(record)
        state = replayed(changes, record, entity)
        if state.merged_into is None:
            yield state
    if cutoff is not None:
        for state in tx.each_record(entity):
            if state.rev <= cutoff and state.id not in seen and state.merged_into is None:
                yield state


def revision_at(tx: Transaction, moment: datetime) -> int:
    """The last revision that had been stored in this workspace by a moment; 0 where there was none.

    This site's own stamps never go back, so its sequence is searched by halving; what arrived from other sites between
    two of its own changes counts with the later one.
    """
    site = tx.store.site
    low, high = 0, tx.connection.execute(
        sa.select(sa.func.max(t.change.c.seq)).where(t.change.c.site == site)).scalar() or 0
    stamp = f"{int(moment.timestamp() * 1000):013d}-99999"
    while low < high:
        middle = (low + high + 1) // 2
        found = tx.connection.execute(sa.select(t.change.c.hlc).where(
            t.change.c.site == site, t.change.c.seq == middle)).scalar()
        if found is not None and found <= stamp:
            low = middle
        else:
            high = middle - 1
    return tx.connection.execute(sa.select(t.change.c.rev).where(
        t.change.c.site == site, t.change.c.seq == low)).scalar() or 0


def _changes_by_record(
    tx: Transaction, entity: str, moment: datetime, axis: Axis, cutoff: int | None
) -> Iterator[tuple[str, list[Change]]]:
    """The changes to be replayed: of records that changed after the moment, those up to it, oldest first."""
    change = t.change.c
    wanted = sa.select(t.change).where(change.entity == entity)
    if axis == "known":
        later = sa.select(t.record.c.id).where(t.record.c.entity == entity, t.record.c.rev > cutoff)
        wanted = wanted.where(change.rev <= cutoff, change.record.in_(later))
    else:
        wanted = wanted.where(change.at <= utc_text(moment))
    current: list[Change] = []
    rows = tx.connection.execution_options(yield_per=5000).execute(wanted.order_by(change.record, change.rev))
    for row in rows.mappings():
        if current and current[0].record != row["record"]:
            yield current[0].record, current
            current = []
        current.append(change_of(row))
    if current:
        yield current[0].record, current


def change_of(row: Any) -> Change:
    """A change from its row in the log."""
    return Change(row["rev"], row["hlc"], row["at"], row["actor"], row["source"], row["entity"], row["record"],
                  row["fields"], {name: tuple(revs) for name, revs in row["base"].items()}, row["reason"])


def _spans(tx: Transaction, entity: str, moment: datetime | None, axis: Axis) -> dict[str, tuple[str, str]]:
    """Record -> when its earliest and latest change were made, of those that count at the moment."""
    change = t.change.c
    query = sa.select(change.record, sa.func.min(change.at), sa.func.max(change.at)).where(change.entity == entity)
    if moment is not None:
        query = query.where(change.rev <= revision_at(tx, moment) if axis == "known" else
                            change.at <= utc_text(moment))
    return {record: (first, last) for record, first, last in
            tx.connection.execute(query.group_by(change.record))}


class Names:
    """The names of users and accounts as of a moment; each is read when it is first asked for."""

    def __init__(self, tx: Transaction, moment: datetime | None = None, *, axis: Axis = "known") -> None:
        self._states = partial(states, tx, moment=moment, axis=axis)

    @cached_property
    def users(self) -> dict[str, str]:
        return {state.id: str(state.values.get("name") or state.values.get("email") or state.id)
                for state in self._states("user")}

    @cached_property
    def accounts(self) -> dict[str, str]:
        return {state.id: str(state.values.get("name") or state.id) for state in self._states("account")}


def deal_row(state: RecordState, names: Names, created: str | None, changed: str | None) -> list[Any]:
    """One row of `frames.DEALS`."""
    return [*values_row(state.id, state.values, names), state.values.get("next_step"), created, changed,
            ",".join(sorted(name for name in state.conflicts if not name.startswith("_"))),
            "money" in state.conflicts]


def values_row(record: str, values: Mapping[str, Any], names: Names) -> list[Any]:
    """The columns of `frames.DEALS` that follow from the values alone: ``record`` to ``amount``."""
    deal = deal_of(record, values, names.users)
    return [record, deal.name, names.accounts.get(values.get("account") or ""), *deal[2:7],
            values.get("forecast_category"), *deal[7:]]


def deal_of(record: str, values: Mapping[str, Any], users: Mapping[str, str]) -> Deal:
    """A record's values as the plain values that decide where it counts; ``users``: id -> name, for the owner."""
    money = values.get("money") or {}
    stage, owner, amount = values.get("stage"), values.get("owner"), money.get("amount")
    status = stage if stage in CATEGORY_OF_STAGE else "open"
    return Deal(record, values.get("name"), owner, users.get(owner, owner) if owner else "nobody", stage, status,
                CATEGORY_OF_STAGE.get(status, values.get("forecast_category") or "pipeline"),
                _day(values.get("close_date")), money.get("currency"), None if amount is None else Decimal(str(amount)))


def as_deal(state: RecordState, names: Names) -> Deal:
    """A record as the plain values that decide where it counts."""
    return deal_of(state.id, state.values, names.users)


def _day(text: str | None) -> date | None:
    """A date; None where it is none, so that a mistyped date is a deal without one and never a crash."""
    try:
        return date.fromisoformat(str(text)[:10]) if text else None
    except ValueError:
        return None


def each_state(
    tx: Transaction, entity: str, start: datetime, end: datetime
) -> Iterator[tuple[str, list[tuple[Change | None, RecordState]]]]:
    """Every record that changed between two moments, with its state at the start and after each change since.

    Yields (record, [(None, state at start), (change, state after it), ...]); the states are separate objects.
    """
    first, last = revision_at(tx, start), revision_at(tx, end)
    change = t.change.c
    touched = sa.select(change.record).where(change.entity == entity, change.rev > first, change.rev <= last)
    rows = tx.connection.execute(sa.select(t.change).where(
        change.entity == entity, change.rev <= last, change.record.in_(touched)).order_by(change.record, change.rev))
    grouped: dict[str, list[Change]] = {}
    for row in rows.mappings():
        grouped.setdefault(row["record"], []).append(change_of(row))
    for record, changes in grouped.items():
        known = sum(one.rev <= first for one in changes)
        yield record, [(None, replayed(changes[:known], record, entity)), *(
            (one, replayed(changes[:number], record, entity)) for number, one in enumerate(changes, 1)
            if number > known)]


def replayed(changes: Sequence[Change], record: str, entity: str) -> RecordState:
    """A record as these changes make it; ``merged_into`` is set where one of them took it away as another's copy."""
    state = replay(changes, record, entity)
    for change in changes:
        if (change.reason or "").startswith(MERGED):
            state.merged_into = (change.reason or "").removeprefix(MERGED)
    return state


def rebuild(
    store: Store, days: Iterable[date], make: Callable[[pd.DataFrame], Any] | None = None
) -> dict[date, Any]:
    """The deals at the end of each of several days, or what ``make`` makes of each."""
    with store.read() as tx:
        return {day: frame_ if make is None else make(frame_)
                for day in days for frame_ in [deals(tx, end_of(day))]}
