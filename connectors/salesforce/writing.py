"""Writing: collections of 200, one outcome per write, and never the same create twice.

Creates are plain inserts that carry the key. The key field is unique, so that a create repeated by mistake is refused;
an upsert would overwrite what people have edited since. Rows are sorted by parent, so that one batch takes the lock of
each parent once (Salesforce, "Record-Level Locking").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import format_datetime
from typing import Any

import msgspec

from sidefeed.connector import (
    AuthenticationFailed,
    Calls,
    Conflict,
    ConnectorError,
    Duplicate,
    Gone,
    Invalid,
    Locked,
    OddAnswer,
    Outcome,
    OutcomeStatus,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    UnknownOutcome,
    Write,
    chunked,
)

from .answers import row_error
from .client import Client
from .junctions import Junction, Wanted, listed_in
from .soql import field_name, full_id, instant, is_id

BATCH = 200
"""Records in one collection (REST API Developer Guide, "Use sObject Collections")."""

_COLLECTION = "composite/sobjects"
_METHODS = {"create": "POST", "update": "PATCH", "delete": "DELETE"}
_PARENTS = ("AccountId", "OpportunityId", "WhatId", "WhoId", "ParentId")
_STOPPING = (AuthenticationFailed, QuotaExhausted)

JunctionRows = Callable[[Junction, Sequence[str]], Mapping[str, Mapping[str, str]]]
"""Reads the junction rows of some parents: for each, the row id by member."""


@dataclass(slots=True)
class _Row:
    """One write on its way: the fields of the object itself, and what its list field should hold."""

    write: Write
    values: dict[str, Any]
    members: Wanted | None = None
    id: str | None = None
    problem: ConnectorError | None = field(default=None)

    @property
    def references(self) -> list[str]:
        """The fields written that hold ids of other records."""
        return [name for name, value in self.values.items() if is_id(value) and name.endswith(("Id", "__c"))]

    @property
    def parent(self) -> str:
        """What to sort by: rows under one parent stand together."""
        held = {**self.write.expected, **self.values}
        return next((str(held[name]) for name in _PARENTS if held.get(name)), "") + (self.id or "")


class Writer:
    """Writes to one object. ``rows_of`` reads junction rows."""

    def __init__(self, client: Client, calls: Calls, object: str, key_field: str, rows_of: JunctionRows) -> None:
        self._client = client
        self._calls = calls
        self._object = object
        self._key_field = key_field
        self._rows_of = rows_of
        self._junction: Junction | None = None

    def run(self, writes: Sequence[Write]) -> Iterator[Outcome]:
        """An outcome for every write. An error that stops the whole system is raised after the last of them."""
        self._junction = listed_in(self._object, {name for write in writes for name in write.values})
        rows: dict[str, list[_Row]] = {"create": [], "update": [], "delete": []}
        for write in writes:
            try:
                rows[write.op].append(self._row(write))
            except Invalid as error:
                yield Outcome(write.key, "refused", write.external_id, error=error)
        stop: ConnectorError | None = None
        lone = len(writes) == 1
        for op, of_op in rows.items():
            of_op.sort(key=lambda row: row.parent)
            for chunk in chunked(of_op, BATCH):
                if stop is not None:
                    yield from (_outcome(row, stop) for row in chunk)
                    continue
                for outcome in self._chunk(op, chunk, lone):
                    if isinstance(outcome.error, _STOPPING):
                        stop = outcome.error
                    yield outcome
        if stop is not None:
            raise stop

    def _row(self, write: Write) -> _Row:
        for name, value in write.values.items():
            field_name(name)
            _check_plain(name, value)
        row = _Row(write, dict(write.values))
        if write.op == "create":
            if not write.external_key:
                raise Invalid(f"A new {self._object} needs its key", code="no-key", owner="ops")
            row.values[self._key_field] = write.external_key
        else:
            row.id = full_id(write.external_id or "")
        if self._junction is not None and self._junction.field in row.values:
            row.members = self._junction.split(row.values, write.expected.get(self._junction.field))
        return row

    def _chunk(self, op: str, chunk: list[_Row], lone: bool) -> Iterator[Outcome]:
        own = [row for row in chunk if row.values or op == "delete"]
        if own:
            self._calls.minimum += 1
            if lone and op == "update" and (version := own[0].write.version):
                self._conditional(own[0], version)
            else:
                self._collection(op, own)
        lists = [row for row in chunk if row.members is not None and row.problem is None]
        failed = self._write_lists(op, lists) if lists else {}
        for row in chunk:
            error = row.problem or failed.get(row.write.key)
            outcome = _outcome(row, error)
            if row.problem is None and error is not None and (op == "create" or row.values):
                # The record is written and its list is not: it is looked at, and the next plan completes it.
                outcome = replace(outcome, status="unknown")
            yield outcome

    # The records themselves

    def _conditional(self, row: _Row, version: str) -> None:
        """One row may carry a condition. It is as coarse as its HTTP date: an edit within the same second passes.

        REST API Developer Guide, "Conditional Request Headers"; collections have none.
        """
        since = format_datetime(instant(version).astimezone(UTC), usegmt=True)
        try:
            self._client.send(
                "PATCH", f"sobjects/{self._object}/{row.id}", row.values, about=self._about(row),
                headers={"If-Unmodified-Since": since}, references=row.references,
            )  # fmt: skip
        except ConnectorError as error:
            row.problem = error

    def _collection(self, op: str, rows: list[_Row]) -> None:
        try:
            answers = self._sent(op, rows)
        except (Invalid, Gone, Duplicate) as error:
            self._isolated(op, rows, error)
            return
        except ConnectorError as error:
            for row in rows:
                row.problem = error
            return
        for row, answer in zip(rows, answers, strict=True):
            self._settle(op, row, answer)

    def _isolated(self, op: str, rows: list[_Row], error: ConnectorError) -> None:
        """A whole call refused for one row's sake had no effect: halve it until that row stands alone."""
        if len(rows) == 1:
            rows[0].problem = error
            return
        middle = len(rows) // 2
        self._collection(op, rows[:middle])
        self._collection(op, rows[middle:])

    def _sent(self, op: str, rows: list[_Row]) -> list[dict[str, Any]]:
        about = f"{op[:-1]}ing {len(rows)} {self._object} records"
        if op == "delete":
            ids = [row.id or "" for row in rows]
            return _answers(self._client.send("DELETE", _COLLECTION, about=about, params=_deleting(ids)), len(rows))
        named = {"attributes": {"type": self._object}}
        records = [{**named, **({"Id": row.id} if row.id else {}), **row.values} for row in rows]
        body = {"allOrNone": False, "records": records}
        return _answers(self._client.send(_METHODS[op], _COLLECTION, body, about=about), len(rows))

    def _settle(self, op: str, row: _Row, answer: Mapping[str, Any]) -> None:
        """Salesforce answers in the order asked; where a row says its id, that has to agree."""
        answered = answer.get("id")
        if answer.get("success") is True:
            if not is_id(answered) or (row.id is not None and full_id(answered) != row.id):
                row.problem = UnknownOutcome(f"Salesforce answered about another record than {self._about(row)}")
            else:
                row.id = full_id(answered)
            return
        errors = answer.get("errors") or [{}]
        error = row_error(errors[0], about=self._about(row), references=row.references)
        if op == "create" and isinstance(error, Duplicate) and self._key_field in error.message:
            # An earlier create with this key took effect after all.
            row.id = next(iter(error.of), None)
            error = UnknownOutcome(f"{self._about(row)} exists already: {error.message}", code=error.code)
        row.problem = None if op == "delete" and error.code == "ENTITY_IS_DELETED" else error

    def _about(self, row: _Row) -> str:
        if row.id:
            return f"the {row.write.op} of {self._object} {row.id}"
        return f"the new {self._object} with key {row.write.external_key}"

    # Their lists

    def _write_lists(self, op: str, rows: list[_Row]) -> dict[str, ConnectorError]:
        """Add, change and remove junction rows of parents that are written; the first error of each, by write key."""
        assert self._junction is not None
        failed: dict[str, ConnectorError] = {}
        try:
            now = {} if op == "create" else self._rows_of(self._junction, [row.id or "" for row in rows])
        except ConnectorError as error:
            return {row.write.key: error for row in rows}
        adds: list[tuple[_Row, dict[str, Any]]] = []
        changes: list[tuple[_Row, dict[str, Any]]] = []
        removes: list[tuple[_Row, str]] = []
        for row in rows:
            assert row.members is not None and row.id is not None
            parent = row.id
            told = row.members.changes(now.get(parent, {}))
            named = {self._junction.parent_field: parent}
            adds += [(row, named | self._junction.row(member)) for member in told.adds]
            changes += [(row, self._changed_row(row_id, member)) for row_id, member in told.changed.items()]
            removes += [(row, row_id) for row_id in told.removes]
        self._send_rows(adds, self._add_rows, failed, Duplicate)
        self._send_rows(changes, self._change_rows, failed, None)
        self._send_rows(removes, self._remove_rows, failed, Gone)
        return failed

    def _changed_row(self, row_id: str, member: str) -> dict[str, Any]:
        assert self._junction is not None and self._junction.role is not None
        return {"Id": row_id, self._junction.role: self._junction.row(member)[self._junction.role]}

    def _send_rows(
        self, rows: list[tuple[_Row, Any]], send: Callable[[list[Any]], list[dict[str, Any]]],
        failed: dict[str, ConnectorError], harmless: type[ConnectorError] | None,
    ) -> None:
        """``harmless`` is the refusal that means that somebody else has done the same."""
        for chunk in chunked(rows, BATCH):
            self._calls.minimum += 1
            try:
                answers = send([item for _, item in chunk])
            except ConnectorError as error:
                failed.update((row.write.key, error) for row, _ in chunk)
                continue
            for (row, _), answer in zip(chunk, answers, strict=True):
                if answer.get("success") is True:
                    continue
                assert self._junction is not None
                about = f"{self._junction.field} in {self._about(row)}"
                references = (self._junction.field,) if harmless is Duplicate else ()
                refused = row_error((answer.get("errors") or [{}])[0], about=about, references=references)
                if isinstance(refused, Gone) and harmless is Duplicate:
                    refused = Invalid(refused.message, field=self._junction.field, code=refused.code)
                elif isinstance(refused, Gone) and harmless is None:
                    refused = Conflict(refused.message, code=refused.code)
                if harmless is None or not isinstance(refused, harmless):
                    failed.setdefault(row.write.key, refused)

    def _add_rows(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._rows("POST", "adding", items)

    def _change_rows(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._rows("PATCH", "changing", items)

    def _rows(self, method: str, doing: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert self._junction is not None
        records = [{"attributes": {"type": self._junction.object}, **item} for item in items]
        about = f"{doing} {len(items)} {self._junction.object} rows"
        body = {"allOrNone": False, "records": records}
        return _answers(self._client.send(method, _COLLECTION, body, about=about), len(items))

    def _remove_rows(self, ids: list[str]) -> list[dict[str, Any]]:
        assert self._junction is not None
        about = f"removing {len(ids)} {self._junction.object} rows"
        return _answers(self._client.send("DELETE", _COLLECTION, about=about, params=_deleting(ids)), len(ids))


def _deleting(ids: Iterable[str]) -> dict[str, str]:
    return {"ids": ",".join(ids), "allOrNone": "false"}


def _answers(body: bytes, expected: int) -> list[dict[str, Any]]:
    """One answer per record sent. Anything else tells nothing about any of them: raises UnknownOutcome."""
    try:
        answers = msgspec.json.decode(body, type=list[dict[str, Any]])
    except msgspec.MsgspecError:
        raise UnknownOutcome("Salesforce sent an answer that cannot be read, after a write") from None
    if len(answers) != expected:
        raise UnknownOutcome(f"Salesforce gave {len(answers)} answers for {expected} records")
    return answers


def _status(error: ConnectorError) -> OutcomeStatus:
    match error:
        case Conflict():
            return "stale"
        case UnknownOutcome():
            return "unknown"
        case Locked() | Unavailable() | RateLimited() | AuthenticationFailed() | QuotaExhausted() | OddAnswer():
            return "retry"
        case _:
            return "refused"


def _outcome(row: _Row, error: ConnectorError | None) -> Outcome:
    if error is None:
        return Outcome(row.write.key, "done", row.id)
    return Outcome(row.write.key, _status(error), row.id, error=error)


def _check_plain(name: str, value: Any) -> None:
    """No floats (NaN is not JSON, and 0.1 is not a tenth), nothing that would travel as something else."""
    if not (value is None or isinstance(value, str | bool | int | list)):
        kind = type(value).__name__
        raise Invalid(f"{name} holds a {kind}, which is not a raw value", field=name, code="not-raw", owner="ops")
