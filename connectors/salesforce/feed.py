"""Reading: rows to records, and the cursor that says how far the reading has come.

A change window reaches from the end of the last one, less an overlap, to the present by the server's clock. The end is
never the newest stamp seen: a row is stamped when it is saved and becomes visible when its transaction commits, so rows
appear below stamps already read (airbytehq/airbyte#27146; estuary/connectors#2678 measured 1 to 3 s). Pages go on from
(SystemModstamp, Id), because a bulk edit gives thousands of rows one stamp (airbytehq/airbyte#17148).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from sidefeed.connector import CursorExpired, OddAnswer, Remote, State

from .junctions import Junction, listed_in
from .soql import Query, field_name, full_id, instant, literal, object_name, own_id, quoted

MERGING = frozenset({"Account", "Contact", "Lead", "Case"})
WITHOUT_DELETION = frozenset({"User", "Organization", "RecordType", "Profile", "UserRole", "Group", "CurrencyType"})
"""Objects without IsDeleted: their rows are switched off, never deleted."""
SKEW = timedelta(minutes=1)
"""How far the clocks of an organisation's servers may be apart without one of them being wrong."""
ARCHIVED = frozenset({"Event", "Task"})
"""Activities older than a year answer only to queryAll."""


class Position(msgspec.Struct, frozen=True):
    """The cursor. Times are SOQL literals by the server's clock.

    ``mark``  everything before it has been read; none during the first read
    ``end``   where the window (or first read) under way will set the mark
    ``after`` the last row read in the window under way: its stamp (empty in the first read) and its id
    """

    mark: str | None = None
    end: str | None = None
    after: tuple[str, str] | None = None
    format: str = "salesforce-1"

    @classmethod
    def read(cls, cursor: str | None) -> Position:
        """Raises CursorExpired for text that is not a cursor of this connector."""
        if cursor is None:
            return cls()
        try:
            position = msgspec.json.decode(cursor, type=cls)
            for text in (position.mark, position.end, position.after and position.after[0]):
                if text:
                    instant(text)
            if position.after:
                full_id(position.after[1])
            known = position.format == cls().format and (position.mark or position.end) is not None
        except (msgspec.MsgspecError, ValueError):
            known = False
        if not known:
            raise CursorExpired("The stored Salesforce cursor is not one of this version: everything is read again")
        return position

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True)
class Reading:
    """One object and the fields wanted of it: the queries to send, and the records that the rows become."""

    object: str
    wanted: tuple[str, ...]
    junction: Junction | None
    selected: tuple[str, ...]
    decode: Callable[[bytes], Rows]

    @classmethod
    def of(cls, object: str, fields: Sequence[str]) -> Reading:
        """Raises Invalid for names that are no names."""
        junction = listed_in(object_name(object), fields)
        wanted = tuple(field_name(name) for name in fields if junction is None or name != junction.field)
        system = ["Id", "SystemModstamp", "LastModifiedById"]
        if object not in WITHOUT_DELETION:
            system.append("IsDeleted")
        if object in MERGING:
            system.append("MasterRecordId")
        if junction is not None and junction.first is not None:
            system.append(junction.first)
        selected = tuple(dict.fromkeys([*system, *wanted]))
        return cls(object, wanted, junction, selected, decoder(selected))

    def from_the_start(self, after: tuple[str, str] | None, scope: str | None) -> Query:
        """Live rows by id. Rows deleted meanwhile are the business of the first window."""
        query = living(self.object, self.selected)
        where = [*query.where]
        if scope:
            where.append(f"({scope})")
        if after:
            where.append(f"Id > {quoted(after[1])}")
        return replace(query, where=tuple(where), order=("Id",))

    def since(self, mark: str, overlap: timedelta, after: tuple[str, str] | None, scope: str | None) -> Query:
        """Rows changed in the window, deleted ones with them.

        The scope cannot be asked of deleted rows (their parents may be gone), and rows that left it are not in the
        answer: ``ids_since`` finds those.
        """
        where = once(self.object)
        if after:
            stamp, last = after
            where.append(f"((SystemModstamp = {stamp} AND Id > {quoted(last)}) OR SystemModstamp > {stamp})")
        else:
            where.append(f"SystemModstamp >= {literal(instant(mark) - overlap)}")
        if scope:
            where.append(f"(IsDeleted = true OR ({scope}))" if self._deletes else f"({scope})")
        return Query(self.object, self.selected, tuple(where), ("SystemModstamp", "Id"), everything=self._deletes)

    def ids_since(self, mark: str, overlap: timedelta) -> Query:
        """Ids of live rows changed in the window, whatever the scope."""
        where = (*once(self.object), f"SystemModstamp >= {literal(instant(mark) - overlap)}")
        return Query(self.object, ("Id",), where, ("SystemModstamp", "Id"))

    def by_id(self, scope: str | None = None) -> Query:
        """Whatever the id names, deleted rows too; with a scope, only what belongs in the feed."""
        where = [*once(self.object), f"({scope})"] if scope else []
        return Query(self.object, self.selected, tuple(where), everything=self._deletes)

    def census(self) -> Query:
        query = self.from_the_start(None, None)
        return Query(self.object, ("Id", "SystemModstamp"), query.where, query.order, query.everything)

    @property
    def _deletes(self) -> bool:
        return self.object not in WITHOUT_DELETION

    def records(self, rows: Sequence[dict[str, Any]]) -> list[Remote]:
        """Records with the fields wanted; a junction's own field of the parent stays until its list is complete.

        Raises OddAnswer, before any of them is used, where one has an id or a stamp that Salesforce never gives.
        """
        _check_ids(rows)
        try:
            return self._records(rows)
        except (TypeError, ValueError) as error:
            raise OddAnswer(f"Salesforce's answer about {self.object} has a row that cannot be read: {error}") from None

    def _records(self, rows: Iterable[dict[str, Any]]) -> list[Remote]:
        kept = tuple(name for name in _SYSTEM if name in self.wanted)
        dotted = tuple(name for name in self.wanted if "." in name)
        parsed = datetime.fromisoformat
        records = []
        for row in rows:
            take = row.pop
            external_id, stamp, actor = take("Id"), take("SystemModstamp"), take("LastModifiedById", None)
            deleted, master = take("IsDeleted", False), take("MasterRecordId", None)
            if kept:
                system = dict(zip(_SYSTEM, (external_id, stamp, actor, deleted, master), strict=True))
                row.update((name, system[name]) for name in kept)
            if dotted:
                _flatten(row, dotted)
            state: State = "deleted" if deleted else "live"
            records.append(Remote(external_id, row, stamp, parsed(stamp), state, master, actor))
        return records


def living(object: str, fields: Sequence[str]) -> Query:
    """Every live row, archived ones too, each meeting once."""
    archives = object in ARCHIVED
    where = [*once(object), *(["IsDeleted = false"] if archives else [])]
    return Query(object, tuple(fields), tuple(where), everything=archives)


def once(object: str) -> list[str]:
    """The condition under which each record is one row."""
    # Inviting a user to an event makes a child event in his calendar: the parent is the meeting (Object Reference).
    return ["IsChild = false"] if object == "Event" else []


def _check_ids(rows: Sequence[dict[str, Any]]) -> None:
    """At once for the whole page, as nearly always all of them are whole; 15 characters are made 18."""
    ids = [row.get("Id") for row in rows]
    if ids and not (all(isinstance(each, str) and len(each) == 18 for each in ids)
                    and (text := "".join(ids)).isascii() and text.isalnum()):  # type: ignore[arg-type]
        for row in rows:
            row["Id"] = own_id(row.get("Id"))


_SYSTEM = ("Id", "SystemModstamp", "LastModifiedById", "IsDeleted", "MasterRecordId")


def _flatten(row: dict[str, Any], dotted: Sequence[str]) -> None:
    """Parent fields come nested (an empty parent as null) and are wanted under the name that was asked for."""
    for name in dotted:
        value: Any = row
        for step in name.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        row[name] = value
    for parent in {name.split(".")[0] for name in dotted}:
        if isinstance(row.get(parent), dict | None):
            row.pop(parent, None)


class Rows(msgspec.Struct):
    """One page of a query's answer."""

    records: list[Any]
    nextRecordsUrl: str | None = None  # noqa: N815 - as on the wire, so that derived structs need no renaming
    done: bool = True

    def rows(self) -> list[dict[str, Any]]:
        if self.records and isinstance(self.records[0], msgspec.Struct):
            return [msgspec.structs.asdict(row) for row in self.records]
        for row in self.records:
            row.pop("attributes", None)
        return self.records


@lru_cache(maxsize=128)
def decoder(fields: tuple[str, ...]) -> Callable[[bytes], Rows]:
    """Decodes pages whose rows have exactly these fields.

    A struct per field list skips the ``attributes`` of every row, which cost a third of decoding into dictionaries.
    Fractions stay text, exact to the last digit. A row without one of the fields (not seen from Salesforce, which
    answers null) makes its page take the slow way, so that the field is missing and not blank.
    """
    names = tuple(dict.fromkeys(name.split(".")[0] for name in fields))
    row = msgspec.defstruct("Row", [(name, Any) for name in names], gc=False)
    page = msgspec.defstruct("Page", [("records", list[row])], bases=(Rows,))  # type: ignore[valid-type]
    fast: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page, float_hook=str)
    slow = msgspec.json.Decoder(Rows, float_hook=str)

    def decode(body: bytes) -> Rows:
        try:
            return fast.decode(body)  # type: ignore[no-any-return]
        except msgspec.ValidationError:
            return slow.decode(body)

    return decode
