"""Taking back what should not have been told: the words of a meeting that became private, and what only a contact told
that became private, everywhere they are kept.

The log is append-only but for this: of a value that must not be known any more only a hash stays, so that the history
still tells that something was said, by whom and when. What people wrote themselves in a CRM is theirs and stays. The
audit trail has an entry for it (`sidefeed.audit.redact`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from sidefeed.calendars.policy import SECRET
from sidefeed.calendars.recurrence import SERIES
from sidefeed.workspace import Link, RecordState, Store, Transaction
from sidefeed.workspace import tables as t

ACTOR = "policy:private"
"""Who takes the words back, as the history and the audit trail say it."""

DUE = "forget:"
"""Settings of this name hold the records whose words are still to be removed, one each."""
VALUES = "forget-values:"
"""Settings of this name hold single values of records that are still to be removed: where each stands, by its hash."""

SecretFields = Mapping[tuple[str, str], Mapping[str, tuple[str, ...]]]
"""(system, object) -> workspace field -> the raw fields that hold its words there."""


def hashed(record: str, value: Any) -> Any:
    """What stays of a value: enough to see that it is the same one, not what it was."""
    if value in (None, "", []) or (isinstance(value, str) and value.startswith("sha256:")):
        return value
    told = orjson.dumps([record, value], option=orjson.OPT_SORT_KEYS)
    return "sha256:" + hashlib.sha256(told).hexdigest()[:32]


def begin(tx: Transaction, record: str) -> None:
    """Have the blank fields of a meeting forgotten, as soon as no system is to be written from what it held."""
    tx.save_setting(DUE + record, "due")


def begin_values(tx: Transaction, record: str, told: Mapping[str, Sequence[Any]]) -> None:
    """Have single values of a record forgotten, as soon as no CRM holds them any more. ``told`` names where each
    stands: a field of the record, or ``<system> <object> <raw field>``."""
    known = tx.setting(VALUES + record)
    due: dict[str, list[str]] = orjson.loads(known) if known else {}
    for where, values in told.items():
        due[where] = sorted({*due.get(where, ()), *(hashed(record, value) for value in values if _says(value))})
    tx.save_setting(VALUES + record, orjson.dumps(due).decode())


def forget(store: Store, secrets: SecretFields) -> int:
    """Forget what is due; returns how many records were looked at. One that a CRM still shows stays due."""
    with store.read() as tx:
        due = _due(tx, DUE)
        values = _due(tx, VALUES)
    if not due and not values:
        return 0
    with store.write() as tx:
        for state in tx.records(list(due)).values():
            if _Forgotten(tx, state, secrets).clear():
                tx.connection.execute(t.setting.delete().where(t.setting.c.name == DUE + state.id))
        for record, told in values.items():
            if _ForgottenValues(tx, record, orjson.loads(told)).clear():
                tx.connection.execute(t.setting.delete().where(t.setting.c.name == VALUES + record))
    if store.engine.dialect.name == "sqlite":
        # SQLite keeps what was overwritten in its free pages until the file is written anew.
        with store.engine.connect() as connection:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(due) + len(values)


def _due(tx: Transaction, kind: str) -> dict[str, str]:
    """Record -> what is noted of it."""
    rows = tx.connection.execute(sa.select(t.setting.c.name, t.setting.c.value).where(
        t.setting.c.name.startswith(kind, autoescape=True)))
    return {row.name.removeprefix(kind): row.value for row in rows}


class _Forgotten:
    """One record whose blank fields must not be found anywhere any more."""

    def __init__(self, tx: Transaction, state: RecordState, secrets: SecretFields) -> None:
        self.tx = tx
        self.record = state.id
        self.of_calendars = state.entity == SERIES
        self.secrets = secrets
        self.names = {name for name in SECRET if state.values.get(name) in (None, "", [])}
        self.links = tx.links_of(state.id)

    def clear(self) -> bool:
        """Whether everything is done: no system holds a word any more that is still to be taken back."""
        calendars = {link.system for link in self.links if _is_calendar(link.object)}
        cleared = {**self._log({*calendars, "policy", "workspace", "import"}), **self._intents()}
        from sidefeed.audit.redact import redact

        redact(self.tx, self.record, cleared, actor=ACTOR, why="the meeting was made private")
        self.tx.connection.execute(t.refusal.update().where(t.refusal.c.record == self.record).values(
            message="(withheld: the meeting was made private)"))
        done = [self._image(link) for link in self.links]  # every one of them, whatever the others say
        return all(done)

    def _log(self, ours: set[str]) -> dict[tuple[str, int], dict[str, Any]]:
        rows = self.tx.connection.execute(sa.select(t.change.c.rev, t.change.c.fields, t.change.c.source).where(
            t.change.c.record == self.record)).all()
        return {("change", rev): {"fields": cleared} for rev, fields, source in rows
                if source in ours or self.of_calendars
                if (cleared := self._hashed(fields, self.names)) != fields}

    def _image(self, link: Link) -> bool:
        raws = self._raws(link.system, link.object)
        image = self.tx.bases(link.system, link.object, [self.record]).get(self.record, {})
        held = {name for name in raws if image.get(name) not in (None, "", [])}
        if not held:
            return True
        if link.state == "live" and not _is_calendar(link.object):
            return False  # the CRM is still to be written from it
        self.tx.save_base(link.system, link.object, self.record,
                          {name: value for name, value in image.items() if name not in raws})
        link.digest, link.sent = None, None
        self.tx.save_link(link)
        return True

    def _intents(self) -> dict[tuple[str, int], dict[str, Any]]:
        found = {}
        rows = self.tx.connection.execute(sa.select(t.intent).where(
            t.intent.c.record == self.record, t.intent.c.state != "open")).mappings().all()
        for row in rows:
            raws, payload = self._raws(row["system"], row["object"]), row["payload"] or {}
            cleared = {"payload": {**payload, "values": self._hashed(payload.get("values", {}), raws)},
                       "before": self._hashed(row["before"] or {}, raws)}
            if cleared != {"payload": row["payload"], "before": row["before"]}:
                found["intent", row["id"]] = cleared
        return found

    def _raws(self, system: str, object: str) -> set[str]:
        fields = self.secrets.get((system, object.partition("/")[0]), {})
        return {raw for name, raws in fields.items() if name in self.names for raw in raws}

    def _hashed(self, values: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
        return {name: hashed(self.record, value) if name in names else value for name, value in values.items()}


class _ForgottenValues:
    """Single values of one record, known by their hashes, that must not be found anywhere any more."""

    def __init__(self, tx: Transaction, record: str, told: Mapping[str, Sequence[str]]) -> None:
        self.tx = tx
        self.record = record
        self.told = told
        self.links = tx.links_of(record)

    def clear(self) -> bool:
        """Whether everything is done: no CRM holds one any more that is still to be taken back."""
        ours = {*(link.system for link in self.links if _is_calendar(link.object)), "policy", "import"}
        rows = self.tx.connection.execute(sa.select(t.change.c.rev, t.change.c.fields, t.change.c.source).where(
            t.change.c.record == self.record)).all()
        for rev, fields, source in rows:
            if source in ours and (cleared := self._hashed(fields, "")) != fields:
                self.tx.connection.execute(t.change.update().where(t.change.c.rev == rev).values(fields=cleared))
        self._intents()
        self.tx.connection.execute(t.refusal.update().where(t.refusal.c.record == self.record).values(
            message="(withheld: the contact was made private)"))
        done = [self._image(link) for link in self.links]
        return all(done)

    def _intents(self) -> None:
        rows = self.tx.connection.execute(sa.select(t.intent).where(
            t.intent.c.record == self.record, t.intent.c.state != "open")).mappings().all()
        for row in rows:
            place, payload = _place(row["system"], row["object"]), row["payload"] or {}
            self.tx.connection.execute(t.intent.update().where(t.intent.c.id == row["id"]).values(
                payload={**payload, "values": self._hashed(payload.get("values", {}), place)},
                before=self._hashed(row["before"] or {}, place)))

    def _image(self, link: Link) -> bool:
        place = _place(link.system, link.object)
        image = self.tx.bases(link.system, link.object, [self.record]).get(self.record, {})
        sent: Mapping[str, Any] = (link.sent or {}).get("values", {})
        kept = self._hashed(image, place)
        if kept == image and self._hashed(sent, place) == sent:
            return True
        if link.state == "live":
            return False  # it is still to be written from it
        self.tx.save_base(link.system, link.object, self.record, {
            name: value for name, value in image.items() if kept[name] == value})
        link.digest, link.sent = None, None
        self.tx.save_link(link)
        return True

    def _hashed(self, values: Mapping[str, Any], place: str) -> dict[str, Any]:
        return {name: told if _says(value) and (told := hashed(self.record, value)) in self.told.get(place + name, ())
                else value for name, value in values.items()}


def _place(system: str, object: str) -> str:
    return f"{system} {object.partition('/')[0]} "


def _says(value: Any) -> bool:
    return value not in (None, "", [])


def _is_calendar(object: str) -> bool:
    return "/" in object
