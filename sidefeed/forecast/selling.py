"""What selling costs, whom it fits, and whether stages are left for a reason (definitions: ``docs/forecast.md``).

Each measure rests on facts that people or systems wrote down; where there are none it says `not known` or gives counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import groupby
from typing import Any

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast.frames import Schema, frame
from sidefeed.forecast.history import change_of, states
from sidefeed.forecast.lives import Life
from sidefeed.forecast.scope import ScopeError
from sidefeed.forecast.trust import FEW, percent
from sidefeed.mapping import Mapping as Mappings
from sidefeed.workspace import RecordState, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant
from sidefeed.workspace.merge import apply

NOT_KNOWN = "not known"

FIT: Schema = {
    "field": ("text", "a field of the account, or of the deal where accounts have none of that name"),
    "value": ("text", "what it says; `not known` where it is blank"),
    "open": ("count", "open deals"),
    "won": ("count", "deals that were won"),
    "lost": ("count", "deals that were lost"),
    "percent": ("decimal", "won of those decided, whole percent; None below ten"),
}

COST: Schema = {
    "outcome": ("text", "`won`, `lost`, or `open` so far"),
    "deals": ("count", "how many"),
    "met": ("count", "how many have a meeting filed with them; of the others nothing is known"),
    "meetings": ("count", "meetings filed with them that were not cancelled and have begun"),
    "hours": ("decimal", "how long these lasted in all; days without hours count as meetings only"),
    "median_hours": ("decimal", "of the deals that were met; None below ten"),
    "tasks": ("count", "tasks done about them"),
}

EXITS: Schema = {
    "stage": ("text", "the stage that was left"),
    "criterion": ("text", "the field that should be filled by then"),
    "left": ("count", "how often a deal went on from it, to another open stage or won"),
    "met": ("count", "how often the field was filled at that moment"),
    "percent": ("decimal", "met of left, whole percent; None below ten"),
    "missing": ("count", "open deals that have gone on from it and lack the field today"),
}


def fit(
    tx: Transaction, mappings: Mappings, lives: Sequence[Life], fields: Sequence[str],
    owners: frozenset[str] | None = None,
) -> pd.DataFrame:
    """How deals of each kind of customer ended, with the columns of `FIT`. Raises ScopeError for an unknown field."""
    accounts, cells = {state.id: state for state in states(tx, "account")}, dict[tuple[str, str], list[int]]()
    check(mappings, fields, ("account", "opportunity"), "fit")
    of_account = mappings.entities["account"].fields if "account" in mappings.entities else {}
    for status, state in _deals(tx, lives, owners):
        account = accounts.get(str(state.values.get("account") or ""))
        for name in fields:
            holder = account if name in of_account else state
            cell = cells.setdefault((name, _word(holder.values.get(name) if holder else None)), [0, 0, 0])
            cell[("open", "won", "lost").index(status)] += 1
    order = sorted(cells, key=lambda key: (fields.index(key[0]), key[1] == NOT_KNOWN, -sum(cells[key]), key[1]))
    return frame(([*key, *cells[key], percent(cells[key][1], cells[key][1] + cells[key][2])] for key in order), FIT)


def cost_of_sale(
    tx: Transaction, lives: Sequence[Life], now: datetime, owners: frozenset[str] | None = None
) -> pd.DataFrame:
    """The time that deals took in meetings, by how they ended, with the columns of `COST`."""
    met: dict[str, list[Decimal]] = {}
    for state in states(tx, "meeting"):
        deal = _about(state)
        begins = (state.values.get("when") or {}).get("start")
        if deal and begins and state.values.get("status") != "cancelled" and str(begins)[:10] <= now.date().isoformat():
            met.setdefault(deal, []).append(_hours(state.values["when"]))
    tasks: dict[str, int] = {}
    for state in states(tx, "task"):
        if (deal := _about(state)) and state.values.get("status") == "done":
            tasks[deal] = tasks.get(deal, 0) + 1
    groups: dict[str, list[str]] = {"won": [], "lost": [], "open": []}
    for status, state in _deals(tx, lives, owners):
        groups[status].append(state.id)
    rows = []
    for outcome, ids in groups.items():
        spent = [sum(met[id], Decimal(0)) for id in ids if id in met]
        rows.append([outcome, len(ids), len(spent), sum(len(met.get(id, ())) for id in ids), sum(spent, Decimal(0)),
                     _median(spent), sum(tasks.get(id, 0) for id in ids)])
    return frame(rows, COST)


def exits(
    tx: Transaction, mappings: Mappings, criteria: Mapping[str, Sequence[str]], owners: frozenset[str] | None = None
) -> pd.DataFrame:
    """Whether what should be known by the end of a stage was known when it was left, with the columns of `EXITS`.

    Raises ScopeError for a field or a stage that does not exist.
    """
    check(mappings, [name for names in criteria.values() for name in names], ("opportunity",), "exit_criteria")
    stages = mappings.entities["opportunity"].fields["stage"].choices
    unknown = sorted(set(criteria) - set(stages))
    if unknown:
        raise ScopeError(f"[forecast.exit_criteria]: no stage is called {', '.join(unknown)}; choose from "
                         f"{', '.join(stages)}.")
    cells = {(stage, name): [0, 0, 0] for stage, names in criteria.items() for name in names}
    for state, left in _exits(tx):
        if owners is not None and (state.values.get("owner") or "") not in owners:
            continue
        is_open = not state.deleted and state.values.get("stage") not in ("won", "lost", None)
        for stage, values in left:
            for name in criteria.get(stage, ()):
                cells[stage, name][0] += 1
                cells[stage, name][1] += filled(values.get(name))
        for stage in {stage for stage, _values in left} if is_open else ():
            for name in criteria.get(stage, ()):
                cells[stage, name][2] += not filled(state.values.get(name))
    return frame(([*key, cell[0], cell[1], percent(cell[1], cell[0]), cell[2]] for key, cell in cells.items()), EXITS)


def _exits(tx: Transaction) -> Iterator[tuple[RecordState, list[tuple[str, dict[str, Any]]]]]:
    """Each deal as it stands, with (stage, values at that moment) for each time that it went on from an open stage."""
    change = t.change.c
    rows = tx.connection.execution_options(yield_per=5000).execute(
        sa.select(t.change).where(change.entity == "opportunity").order_by(change.record, change.rev))
    for record, group in groupby(rows.mappings(), key=lambda row: str(row["record"])):
        state, left = RecordState(record, "opportunity"), list[tuple[str, dict[str, Any]]]()
        for row in group:
            before = state.values.get("stage")
            apply(state, change_of(row))
            after = state.values.get("stage")
            if before and after != before and before not in ("won", "lost") and after not in (None, "lost"):
                left.append((before, dict(state.values)))
        yield state, left


def filled(value: Any) -> bool:
    """Whether a value says anything; money does where it has an amount."""
    return value.get("amount") is not None if isinstance(value, dict) and "amount" in value else value not in (
        None, "", [], {})


def check(mappings: Mappings, fields: Sequence[str], entities: Sequence[str], setting: str) -> None:
    """Raise ScopeError, with the names there are, for a field in the settings that no entity has."""
    known = {name for entity in entities if entity in mappings.entities for name in mappings.entities[entity].fields}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise ScopeError(f"[forecast] {setting}: no field of {' or '.join(entities)} is called {', '.join(unknown)}; "
                         f"choose from {', '.join(sorted(known))}.")


def _deals(
    tx: Transaction, lives: Sequence[Life], owners: frozenset[str] | None
) -> Iterator[tuple[str, RecordState]]:
    """(status, record) of each deal that is there."""
    now = {life.record: life.steps[-1].deal for life in lives}
    mine = {id: deal.status for id, deal in now.items()
            if deal is not None and (owners is None or (deal.owner_id or "") in owners)}
    known = tx.records(sorted(mine))
    return ((mine[id], state) for id, state in known.items())


def _about(state: RecordState) -> str:
    entity, _, record = str(state.values.get("about") or "").partition(":")
    return record if entity == "opportunity" and not state.deleted else ""


def _hours(when: Mapping[str, Any]) -> Decimal:
    start, end = str(when.get("start") or ""), str(when.get("end") or "")
    if len(start) <= 10 or len(end) <= 10:
        return Decimal(0)
    seconds = max(0, int((utc_instant(end) - utc_instant(start)).total_seconds()))
    return Context(prec=30).divide(Decimal(seconds), Decimal(3600)).quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def _median(values: Sequence[Decimal]) -> Decimal | None:
    if len(values) < FEW:
        return None
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else Context(prec=30).divide(
        ordered[middle - 1] + ordered[middle], Decimal(2))


def _word(value: Any) -> str:
    return str(value) if filled(value) else NOT_KNOWN
