"""What each system says: its deals as it was last seen to hold them, and why a value there differs from ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from sidefeed.forecast.frames import Schema, frame
from sidefeed.forecast.history import Names, values_row
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap
from sidefeed.sync import refs
from sidefeed.sync.due import duplicate_key, in_sync
from sidefeed.workspace import Link, RecordState, Transaction
from sidefeed.workspace import tables as t

FIELDS = {"stage": "stage", "category": "forecast_category", "close_date": "close_date", "currency": "money",
          "amount": "money", "owner_id": "owner"}
"""Column of a frame -> the workspace field it comes from, for everything that decides where a deal counts."""

COLUMNS = {"stage": ("stage", "status"), "category": ("category",), "close_date": ("close_date",),
           "currency": ("currency",), "amount": ("amount",), "owner_id": ("owner_id",)}
"""Column of `FIELDS` -> the columns that tell whether it differs."""

SYSTEM_DEALS: Schema = {
    "external_id": ("text", "the deal's id in the system"),
    "role": ("text", "`primary`; `duplicate` (a second copy of a deal that has its primary); `unmatched` (not yet "
                     "known to be any deal of the workspace)"),
    "record": ("text", "the deal of the workspace it is; missing for unmatched ones"),
    "name": ("text", "what the deal is called there"),
    "account": ("text", "the customer's name"),
    "owner_id": ("text", "the owner's id in the workspace"),
    "owner": ("text", "the owner's name"),
    "stage": ("text", "the stage there, by the workspace's word; the system's own where the mapping has none"),
    "status": ("text", "`open`, `won` or `lost`; a stage that the mapping does not know is open"),
    "category": ("text", "the forecast category"),
    "said_category": ("text", "the category the system holds"),
    "close_date": ("date", "the close date there"),
    "currency": ("text", "ISO 4217"),
    "amount": ("decimal", "the amount there; None where blank or never seen"),
    "said": ("text", "the columns about which the system says something, by comma: one that is not mapped says "
                     "nothing, and cannot differ"),
    **{f"why_{name}": ("text", f"why `{name}` may differ from ours: `conflict`, `pending write`, `stale copy`, or "
                               "empty where the difference is the system's own") for name in FIELDS},
    "note": ("text", "what stops a write, or what is not known"),
}
"""One row for each live object of a system that holds deals."""

_NEVER_KEPT = {"note": "its values were never kept; the next reading of the system brings them", "status": "open",
               "category": "pipeline", "owner": "nobody", "said": ""}

VALUES = ("name", "account", "owner_id", "owner", "stage", "status", "category", "said_category", "close_date",
           "currency", "amount")


def system_deals(
    tx: Transaction, mappings: Mappings, system: str, records: Collection[str] | None = None
) -> pd.DataFrame:
    """Every live deal as one system was last seen to hold it, read through its mapping, with `SYSTEM_DEALS`.

    With ``records`` only the primary objects of these deals: what a reader needs who has the rest already.
    """
    names = Names(tx)
    rows: list[dict[str, Any]] = []
    for om in mappings.for_system(system):
        if om.entity == "opportunity":
            reader = _Reader(tx, om, names)
            rows += reader.rows() if records is None else reader.primaries(
                [record for record in tx.linked(om.system, om.object) if record in records])
    rows.sort(key=lambda row: (row["external_id"] or "", row.get("record") or ""))
    return frame(rows, SYSTEM_DEALS)


def deal_systems(mappings: Mappings) -> dict[str, str]:
    """System -> the object in which it holds deals."""
    return {om.system: om.object for om in mappings.objects if om.entity == "opportunity"}


class _Reader:
    def __init__(self, tx: Transaction, om: ObjectMap, names: Names) -> None:
        self.tx, self.om, self.names = tx, om, names

    def rows(self) -> list[dict[str, Any]]:
        return [*self.primaries(self.tx.linked(self.om.system, self.om.object)), *self._duplicates(),
                *self._unmatched()]

    def primaries(self, records: Sequence[str]) -> Iterable[dict[str, Any]]:
        """The objects that these deals, all of them linked, live as."""
        for start in range(0, len(records), 500):
            chunk = records[start:start + 500]
            links = self.tx.links(self.om.system, self.om.object, chunk)
            states = self.tx.records(chunk)
            refused = self.tx.refusals(self.om.system, self.om.object, chunk)
            for record, row in self._read(self.tx.bases(self.om.system, self.om.object, chunk)).items():
                state = states.get(record)
                row |= {"external_id": links[record].external_id, "role": "primary", "record": record}
                if state is not None:
                    row |= self._why(state, links[record], refused.get(record, {}), row["note"])
                yield row

    def _duplicates(self) -> Iterable[dict[str, Any]]:
        """Copies kept under their own key, or under the record that was merged away."""
        found = {row.external_id: row.record for row in self.tx.connection.execute(
            sa.select(t.remote.c.external_id, t.remote.c.record).where(
                t.remote.c.system == self.om.system, t.remote.c.object == self.om.object,
                t.remote.c.role == "duplicate"))}
        if not found:
            return
        keys = {external: duplicate_key(record, external) for external, record in found.items()}
        detached = {row.external_id: row.record for row in self.tx.connection.execute(
            sa.select(t.link.c.external_id, t.link.c.record).where(
                t.link.c.system == self.om.system, t.link.c.object == self.om.object, t.link.c.state == "detached"))}
        images = self.tx.bases(self.om.system, self.om.object, [
            *keys.values(), *(detached[external] for external in found if external in detached)])
        told = {external: images.get(key) or images.get(detached.get(external, "")) for external, key in keys.items()}
        read = self._read({external: image for external, image in told.items() if image is not None})
        for external, record in found.items():
            yield {**read.get(external, _NEVER_KEPT), "external_id": external, "role": "duplicate", "record": record}

    def _unmatched(self) -> Iterable[dict[str, Any]]:
        """Objects that wait in the inbox and are no deal of the workspace yet."""
        ids = list(self.tx.connection.execute(sa.select(t.inbox.c.external_id).where(
            t.inbox.c.system == self.om.system, t.inbox.c.object == self.om.object)).scalars())
        known = self.tx.known_as(self.om.system, self.om.object, ids)
        waiting = {item.external_id: item for item in self.tx.inbox_items(
            self.om.system, self.om.object, [id for id in ids if id not in known])}
        images = {id: item.payload["values"] for id, item in waiting.items()
                  if item.payload and item.payload.get("values") and item.payload.get("state", "live") == "live"}
        for id, row in self._read(images).items():
            why = waiting[id].waiting_for
            yield {**row, "external_id": id, "role": "unmatched",
                   "note": f"waits for {why}" if why else "captured, not absorbed yet"}

    def _read(self, images: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        batch_refs = refs.inward(self.tx, self.om, images.values())
        found = {}
        for key, image in images.items():
            values, problems = self.om.read(image, batch_refs)
            row: dict[str, Any] = dict(zip(("record", *VALUES), values_row(key, values, self.names), strict=True))
            del row["record"]
            unread = {problem.field: problem.message for problem in problems}
            if "stage" in unread:
                row["stage"] = self._raw("stage", image)
            said = [column for column, name in FIELDS.items() if name in values or name in unread]
            found[key] = {**row, "said": ",".join(said), "note": "; ".join(unread.values()) or None}
        return found

    def _raw(self, name: str, image: Mapping[str, Any]) -> str:
        return " ".join(str(image[key]) for key in self.om.field(name).lens.raw if image.get(key) is not None)

    def _why(
        self, state: RecordState, link: Link, refused: Mapping[str, str], note: str | None
    ) -> dict[str, Any]:
        """For each column, why the system may hold another value than the workspace."""
        why: dict[str, Any] = {}
        notes = [note] if note else []
        for column, name in FIELDS.items():
            if name in state.conflicts:
                why[f"why_{column}"] = "conflict"
            elif name in self.om and not in_sync(link, state, name):
                spec = self.om.field(name)
                stopped = "" in refused or any(key in refused for key in spec.lens.raw)
                beyond = f"={name}" in refused
                if spec.writes and not self.om.readonly and not stopped and not beyond:
                    why[f"why_{column}"] = "pending write"
                elif self._decided(state, name):
                    notes.append(f"{name} was decided against this system's value")
                else:
                    why[f"why_{column}"] = "stale copy"
                    notes.append(f"{self.om.system} refused {name}" if stopped else
                                 f"the mapping cannot express {name} in {self.om.system}" if beyond else
                                 f"{name} is not written to {self.om.system}")
        return {**why, "note": "; ".join(dict.fromkeys(notes)) or None}

    def _decided(self, state: RecordState, name: str) -> bool:
        """Whether a rule or a person chose the value between several, rather than writing a newer one."""
        head = self.tx.head_details(state.heads_of(name)[-1:])
        return any(change.source == "policy" or len(change.base.get(name, ())) > 1 for change in head.values())

