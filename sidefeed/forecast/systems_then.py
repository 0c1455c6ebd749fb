"""What each system said on a past day, from the change log and the record of what was written to it.

A system's value of a field is the last that it told, or that was written to it, by then. A field that it never told and
was never given was the same on both sides when the two first met.

What the log cannot know: copies that waited for a person then are left out; a stage that the mapping did not know is
the one before it; a value that people typed alike on both sides counts as pending until the next; and an object whose
deletion was only unlinked (`deletes: unlink`) is taken to be there still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast.frames import frame
from sidefeed.forecast.history import MERGED, Names, change_of, replayed, revision_at, values_row
from sidefeed.forecast.systems import COLUMNS, FIELDS, SYSTEM_DEALS, VALUES
from sidefeed.mapping import FieldMap, LensError, ObjectMap, Unresolved
from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync import refs
from sidefeed.workspace import DELETED, Change, RecordState, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text


def system_deals_then(tx: Transaction, mappings: Mappings, system: str, moment: datetime) -> pd.DataFrame:
    """Every live deal as one system was known to hold it at a moment, with the columns of `SYSTEM_DEALS`.

    The same for ever: what arrives later changes nothing of it.
    """
    rows: list[dict[str, Any]] = []
    for om in mappings.for_system(system):
        if om.entity == "opportunity":
            rows += _Then(tx, om, moment).rows()
    rows.sort(key=lambda row: (row["external_id"] or "", row.get("record") or ""))
    return frame(rows, SYSTEM_DEALS)


@dataclass(slots=True)
class _Written:
    """What was written to one object: ``given`` (the record's revision, the revisions written by field, the raw values
    as the workspace reads them), and for each field the revisions that were refused."""

    created: bool = False
    deleted: bool = False
    given: list[tuple[int, dict[str, list[int]], dict[str, Any]]] = field(default_factory=list)
    refused: dict[str, tuple[int, ...]] = field(default_factory=dict)


class _Then:
    def __init__(self, tx: Transaction, om: ObjectMap, moment: datetime) -> None:
        self.tx, self.om, self.moment = tx, om, moment
        self.cutoff = revision_at(tx, moment)
        self.names = Names(tx, moment)
        self.written = self._written()
        self.ours = {op: set(tx.connection.execute(sa.select(t.intent.c.record).where(
            t.intent.c.system == om.system, t.intent.c.object == om.object, t.intent.c.op == op,
            t.intent.c.state.in_(("done", "recovered")))).scalars()) for op in ("create", "delete")}
        self.duplicates = {row.external_id: row.record for row in tx.connection.execute(
            sa.select(t.remote.c.external_id, t.remote.c.record).where(
                t.remote.c.system == om.system, t.remote.c.object == om.object, t.remote.c.role == "duplicate"))}

    def rows(self) -> Iterator[dict[str, Any]]:
        links = {row.record: row for row in self.tx.connection.execute(
            sa.select(t.link.c.record, t.link.c.external_id, t.link.c.state).where(
                t.link.c.system == self.om.system, t.link.c.object == self.om.object,
                t.link.c.external_id.is_not(None)))}
        for record, changes in self._changes():
            link = links.get(record)
            if link is not None:
                state = replayed(changes, record, "opportunity")
                row = self._row(link, state, changes)
                if row is not None:
                    yield row

    def _row(self, link: Any, state: RecordState, changes: Sequence[Change]) -> dict[str, Any] | None:
        told = [change for change in changes if change.source == self.om.system]
        written = self.written.get(state.id, _Written())
        deletions = [change for change in told if DELETED in change.fields and not (change.reason or "").startswith(
            MERGED)]
        gone = written.deleted or bool(deletions and deletions[-1].fields[DELETED])
        gone |= state.deleted and link.state == "gone" and state.id not in self.ours["delete"]  # deleted on both sides
        if gone or self._not_yet(link, told, written):
            return None
        if state.merged_into is not None:
            record = self.duplicates.get(link.external_id)
            if record is None:
                return None
            return {**self._values(state, changes, written), "external_id": link.external_id, "role": "duplicate",
                    "record": record}
        row = self._values(state, changes, written)
        return {**row, **self._why(state, row, written), "external_id": link.external_id, "role": "primary",
                "record": state.id}

    def _not_yet(self, link: Any, told: Sequence[Change], written: _Written) -> bool:
        """Whether the object was made by us, and later."""
        return not told and not written.created and link.record in self.ours["create"]

    def _values(self, state: RecordState, changes: Sequence[Change], written: _Written) -> dict[str, Any]:
        """The row of what the system held."""
        by_rev = {change.rev: change.fields for change in changes}
        events: list[tuple[int, Mapping[str, Any]]] = [
            (change.rev, change.fields) for change in changes if change.source == self.om.system]
        for rev, heads, read in written.given:  # an undo puts back raw values that no revision holds
            events.append((rev, {name: by_rev[revs[-1]][name] if revs and name in by_rev.get(revs[-1], ())
                                 else read.get(name) for name, revs in heads.items()}))
        events.sort(key=lambda event: event[0])
        first = events[0][0] if events else self.cutoff
        met = replayed([change for change in changes if change.rev <= first], state.id, "opportunity")
        values = dict(met.values)
        for _rev, fields in events:
            values.update(fields)
        row: dict[str, Any] = dict(zip(("record", *VALUES), values_row(state.id, values, self.names), strict=True))
        said = [column for column in FIELDS if FIELDS[column] in self.om and self.om.field(FIELDS[column]).reads]
        return {**row, "said": ",".join(said), "note": None}

    def _why(self, state: RecordState, row: Mapping[str, Any], written: _Written) -> dict[str, Any]:
        ours: dict[str, Any] = dict(zip(("record", *VALUES), values_row(state.id, state.values, self.names),
                                        strict=True))
        why: dict[str, Any] = {}
        notes = []
        for column, name in FIELDS.items():
            if name in state.conflicts:
                why[f"why_{column}"] = "conflict"
            elif name in self.om and any(row[one] != ours[one] for one in COLUMNS[column]):
                spec = self.om.field(name)
                stopped = written.refused.get(name) == state.heads_of(name)
                if spec.writes and not self.om.readonly and not stopped and self._expressible(spec, state):
                    why[f"why_{column}"] = "pending write"
                elif self._decided(state, name):
                    notes.append(f"{name} was decided against this system's value")
                else:
                    why[f"why_{column}"] = "stale copy"
                    notes.append(f"{self.om.system} refused {name}" if stopped else
                                 f"{name} is not written to {self.om.system}")
        return {**why, "note": "; ".join(dict.fromkeys(notes)) or None}

    def _expressible(self, spec: FieldMap, state: RecordState) -> bool:
        try:
            spec.lens.write(state.values.get(spec.name), refs.outward(self.tx, self.om, [state.values]))
        except (LensError, Unresolved):
            return False
        return True

    def _decided(self, state: RecordState, name: str) -> bool:
        head = self.tx.head_details(state.heads_of(name)[-1:])
        return any(change.source == "policy" or len(change.base.get(name, ())) > 1 for change in head.values())

    def _changes(self) -> Iterator[tuple[str, list[Change]]]:
        change = t.change.c
        rows = self.tx.connection.execution_options(yield_per=5000).execute(
            sa.select(t.change).where(change.entity == "opportunity", change.rev <= self.cutoff)
            .order_by(change.record, change.rev))
        for record, group in groupby(rows.mappings(), key=lambda row: str(row["record"])):
            yield record, [change_of(row) for row in group]

    def _written(self) -> dict[str, _Written]:
        intent = t.intent.c
        found: dict[str, _Written] = {}
        rows = self.tx.connection.execute(sa.select(
            intent.record, intent.op, intent.rev, intent.payload, intent.state).where(
            intent.system == self.om.system, intent.object == self.om.object, intent.at <= utc_text(self.moment),
            intent.state.in_(("done", "recovered", "refused"))).order_by(intent.id)).all()
        inward = refs.inward(self.tx, self.om, [(row.payload or {}).get("values", {}) for row in rows])
        for row in rows:
            one = found.setdefault(row.record, _Written())
            known = (row.payload or {}).get("known", {})
            if row.state == "refused":
                one.refused.update({name: tuple(heads) for name, heads in known.items()})
                continue
            one.created |= row.op == "create"
            one.deleted = row.op == "delete"
            for name in known:
                one.refused.pop(name, None)
            values, _problems = self.om.read((row.payload or {}).get("values", {}), inward)
            one.given.append((row.rev, {name: revs for name, revs in known.items() if name in self.om}, values))
        return found
