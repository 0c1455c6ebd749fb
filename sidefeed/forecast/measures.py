"""Measures that help a person or a team to sell better. Definitions stand in ``docs/forecast.md``.

A person sees the own numbers, a team its medians; nobody is ranked. Every measure says how many deals it rests on, and
says nothing where there are too few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast.frames import Schema, frame, plain
from sidefeed.forecast.history import deals as deals_of
from sidefeed.forecast.lives import Life, lives
from sidefeed.forecast.selling import check, cost_of_sale, exits, fit
from sidefeed.forecast.survival import Case, median
from sidefeed.forecast.trust import FEW, percent
from sidefeed.forecast.view import View
from sidefeed.mapping import Mapping as Mappings
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t

if TYPE_CHECKING:
    from sidefeed.project import ForecastSettings

STALE_STEP = timedelta(days=14)
"""A next step that nobody touched for two weeks is no plan any more."""

SECONDS_PER_VALUE = 8
"""Typing saved: seconds to find a field in a form and to fill it; a low figure, so that the sum is not flattering."""

STAGE_AGES: Schema = {
    "stage": ("text", "an open stage"),
    "stays": ("count", "how often a deal came to it"),
    "still": ("count", "how many are in it now"),
    "median_days": ("count", "by when half had left it (Kaplan-Meier); missing where fewer are known to have"),
    "oldest_days": ("count", "how long the oldest that is in it now has been there"),
    "to_won": ("count", "stays of deals that were won in the end"),
    "to_lost": ("count", "of deals that were lost"),
}

PUSHES: Schema = {
    "record": ("text", "the open deal"),
    "name": ("text", "what it is called"),
    "owner": ("text", "who owns it"),
    "pushes": ("count", "how often its closing date was moved back"),
    "pushed_days": ("count", "by how many days in all"),
    "first_close": ("date", "the closing date it had first"),
    "close_date": ("date", "the one it has now"),
}

QUALITY: Schema = {
    "measure": ("text", "what is measured; see docs/forecast.md"),
    "value": ("decimal", "the value; None where there is too little to say"),
    "unit": ("text", "`%`, `days` or `hours`"),
    "deals": ("count", "what it rests on"),
}

REASONS: Schema = {
    "outcome": ("text", "`won` or `lost`"),
    "reason": ("text", "what people gave as the reason; `not given` where they gave none"),
    "deals": ("count", "how many"),
}


def stage_ages(lives: Iterable[Life], today: date, owners: frozenset[str] | None = None) -> pd.DataFrame:
    """How long deals stay in each stage, those that are still there counted for what they have lasted."""
    cases: dict[str, list[Case]] = {}
    ends: dict[str, list[str]] = {}
    still: dict[str, list[int]] = {}
    for life in lives:
        outcome = life.outcome()
        for stage, entered, left, deal in life.stages():
            if owners is not None and (deal.owner_id or "") not in owners:
                continue
            days = max(0, ((left or today) - entered).days)
            cases.setdefault(stage, []).append(Case(days, "left" if left else ""))
            ends.setdefault(stage, []).append(outcome[0] if outcome else "")
            if left is None:
                still.setdefault(stage, []).append(days)
    return frame(([stage, len(some), len(still.get(stage, ())), median(some), max(still.get(stage, ()), default=None),
                   ends[stage].count("won"), ends[stage].count("lost")] for stage, some in sorted(cases.items())),
                 STAGE_AGES)


def pushes(lives: Iterable[Life], owners: frozenset[str] | None = None) -> pd.DataFrame:
    """Open deals whose closing date was moved back, the most often moved first."""
    rows: list[list[Any]] = []
    for life in lives:
        now = life.steps[-1].deal
        if now is None or now.status != "open" or (owners is not None and (now.owner_id or "") not in owners):
            continue
        dates = [step.deal.close_date for step in life.steps if step.deal is not None and step.deal.close_date]
        back = [(other - one).days for one, other in pairwise(dates) if other > one]
        if back:
            rows.append([life.record, now.name, now.owner, len(back), sum(back), dates[0], now.close_date])
    rows.sort(key=lambda row: (-row[3], -row[4], str(row[1])))
    return frame(rows, PUSHES)


def quality(
    tx: Transaction, lives: Sequence[Life], deals: pd.DataFrame, today: date, owners: frozenset[str] | None = None,
    *, qualification: Sequence[str] = (),
) -> pd.DataFrame:
    """Habits that decide deals, with the columns of `QUALITY`.

    ``qualification``: the workspace's fields that make a deal qualified (`[forecast] qualification`); empty: none is
    measured.
    """
    mine = [life for life in lives if _owned(life, owners)]
    rows = _hygiene(tx, deals, today, owners)
    for name in qualification:
        rows.append(_filled(tx, name, mine))
    for what, end in (("days to won", "won"), ("days to no", "lost")):
        rows.append(_median(f"median {what}", [(outcome[1] - life.born).days for life in mine if _seen_open(life)
                                               and (outcome := life.outcome()) and outcome[0] == end]))
    decided = [outcome[0] for life in mine if (outcome := life.outcome())]
    share = percent(decided.count("won"), len(decided))
    rows.append(["decided deals that were won", share, "%", len(decided)])
    return frame(rows, QUALITY)


def _seen_open(life: Life) -> bool:
    """Whether it was ever known as an open deal; one that came decided says nothing about time."""
    return any(step.deal is not None and step.deal.status == "open" for step in life.steps)


def _owned(life: Life, owners: frozenset[str] | None) -> bool:
    last = next((step.deal for step in reversed(life.steps) if step.deal is not None), None)
    return owners is None or (last is not None and (last.owner_id or "") in owners)


def _hygiene(tx: Transaction, deals: pd.DataFrame, today: date, owners: frozenset[str] | None) -> list[list[Any]]:
    """Next steps: there, and touched lately; closing dates: not in the past."""
    touched = _last_change(tx, "next_step")
    there = fresh = future = dated = count = 0
    columns = [plain(deals[name]) for name in ("record", "status", "owner_id", "next_step", "close_date")]
    for record, status, owner, step, close in zip(*columns, strict=True):
        if status != "open" or (owners is not None and (owner or "") not in owners):
            continue
        count += 1
        there += bool(step)
        fresh += bool(step) and (day := touched.get(record)) is not None and today - day <= STALE_STEP
        dated += close is not None
        future += close is not None and close >= today
    return [["open deals with a next step", percent(there, count), "%", count],
            ["open deals whose next step was touched in two weeks", percent(fresh, count), "%", count],
            ["open deals whose closing date is not in the past", percent(future, dated), "%", dated]]


def _last_change(tx: Transaction, field: str) -> dict[str, date]:
    """Record -> the day on which a field was last written."""
    found: dict[str, date] = {}
    change = t.change.c
    for record, at, fields in tx.connection.execute(
            sa.select(change.record, change.at, change.fields).where(change.entity == "opportunity")):
        if field in fields:
            day = date.fromisoformat(at[:10])
            found[record] = max(day, found.get(record, day))
    return found


def _filled(tx: Transaction, field: str, mine: Sequence[Life]) -> list[Any]:
    open_ = [life.record for life in mine if (deal := life.steps[-1].deal) is not None and deal.status == "open"]
    states = tx.records(open_)
    there = sum(bool(state.values.get(field)) for state in states.values())
    return [f"open deals with {field.replace('_', ' ')}", percent(there, len(open_)), "%", len(open_)]


def _median(what: str, days: Sequence[int]) -> list[Any]:
    if len(days) < FEW:
        return [what, None, "days", len(days)]
    ordered = sorted(days)
    middle = len(ordered) // 2
    value = Decimal(ordered[middle]) if len(ordered) % 2 else Context(prec=30).divide(
        Decimal(ordered[middle - 1] + ordered[middle]), Decimal(2))
    return [what, value, "days", len(days)]


def typing_saved(tx: Transaction) -> list[Any]:
    """Hours of typing that syncs took off people: every value that was written to a system where nobody typed it."""
    values = 0
    for payload, op in tx.connection.execute(sa.select(t.intent.c.payload, t.intent.c.op).where(
            t.intent.c.state.in_(("done", "recovered")))):
        if op != "delete" and payload:
            written = payload["values"]
            values += sum(value not in (None, "") and not _is_key(value) for value in written.values())
    hours = Context(prec=30).divide(Decimal(values * SECONDS_PER_VALUE), Decimal(3600))
    return ["typing saved so far", hours.quantize(Decimal("0.1"), ROUND_HALF_EVEN), "hours", values]


def _is_key(value: Any) -> bool:
    """Whether a value is the key that Sidefeed gives a record it creates: nobody would have typed that."""
    record, _, generation = str(value).partition(":")
    return len(record) == 36 and record.count("-") == 4 and generation.isdigit()


def reasons(tx: Transaction, lives: Iterable[Life], field: str, owners: frozenset[str] | None = None) -> pd.DataFrame:
    """Why deals were won and lost, by the words of the field that holds it, the most frequent first."""
    decided = {life.record: outcome[0] for life in lives if _owned(life, owners) and (outcome := life.outcome())}
    counts: dict[tuple[str, str], int] = {}
    for record, state in tx.records(list(decided)).items():
        key = (decided[record], str(state.values.get(field) or "not given"))
        counts[key] = counts.get(key, 0) + 1
    return frame(([*key, count] for key, count in sorted(counts.items(), key=lambda item: (item[0][0], -item[1],
                                                                                         item[0][1]))), REASONS)


def of_people(
    people: Sequence[str], measure: Callable[[frozenset[str]], pd.DataFrame], column: str, key: str
) -> pd.DataFrame:
    """The median over the people of a team of one column, for each value of ``key``, in its ``unit`` where the measure
    has one: never a list of people."""
    found: dict[str, list[Decimal]] = {}
    units: dict[str, str] = {}
    for person in people:
        for row in measure(frozenset({person})).to_dict("records"):
            if row[column] is not None and not pd.isna(row[column]):
                found.setdefault(row[key], []).append(Decimal(str(row[column])))
                units |= {row[key]: row["unit"]} if "unit" in row else {}
    rows = []
    for name, values in sorted(found.items()):
        ordered, middle = sorted(values), len(values) // 2
        value = ordered[middle] if len(ordered) % 2 else Context(prec=30).divide(
            ordered[middle - 1] + ordered[middle], Decimal(2))
        unit = [units[name]] if name in units else []
        rows.append([name, value if len(values) > 2 else None, *unit, len(values)])
    unit_column: Schema = {"unit": QUALITY["unit"]} if units else {}
    return frame(rows, {key: ("text", "what is measured"), "median": ("decimal", "over the people; None below three"),
                        **unit_column, "people": ("count", "how many have a value")})


def measured(tx: Transaction, view: View, mappings: Mappings, own: ForecastSettings) -> dict[str, pd.DataFrame]:
    """Every measure of a person, or of a team as medians over its people where it has some; ``own`` are the project's
    settings. Raises ScopeError for a field there that does not exist."""
    check(mappings, own.qualification, ("opportunity",), "qualification")
    check(mappings, [own.reason_field] if own.reason_field else [], ("opportunity",), "reason_field")
    found, owners = lives(tx, zone=view.zone), view.tree(tx).owners(view.node)
    deals = deals_of(tx)
    people = sorted(owners) if owners is not None else sorted({one for one in plain(deals["owner_id"]) if one})

    def habits(of: frozenset[str] | None) -> pd.DataFrame:
        return quality(tx, found, deals, view.today, of, qualification=own.qualification)

    alone = owners is not None and len(owners) == 1
    tables = {"Habits": habits(owners) if alone else of_people(people, habits, "value", "measure"),
              "Stages": stage_ages(found, view.today, owners), "Pushed": pushes(found, owners),
              "Exit criteria": exits(tx, mappings, own.exit_criteria, owners),
              "Fit": fit(tx, mappings, found, own.fit, owners),
              "Cost of sale": cost_of_sale(tx, found, tx.store.now(), owners)}
    if owners is None:
        tables["Typing"] = frame([typing_saved(tx)], QUALITY)
    if own.reason_field:
        tables["Reasons"] = reasons(tx, found, own.reason_field, owners)
    return tables


def not_known(tables: dict[str, pd.DataFrame]) -> list[str]:
    """What cannot be said yet, and what it would need, in sentences."""
    told = {"Exit criteria": "Stage exit criteria: not known. Name the fields that each stage needs under "
                             "[forecast.exit_criteria] in sidefeed.toml.",
            "Fit": "Fit: not known. Name the fields that tell customers apart, such as fit = [\"industry\"], under "
                   "[forecast] in sidefeed.toml."}
    found = [sentence for name, sentence in told.items() if name in tables and tables[name].empty]
    cost = tables["Cost of sale"]
    if not cost["met"].sum():
        found.append("Cost of sale: not known. No meeting is filed with a deal.")
    return found
