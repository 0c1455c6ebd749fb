"""Writes in batches of 100, each with exactly one outcome, matched by key and never by position.

HubSpot answers batches in any order, answers 207 when some inputs failed, may leave inputs out without a word, and
refuses a batch as a whole for one bad value without saying which input held it. So:

- creates carry ``objectWriteTraceId`` (which alone makes HubSpot answer per input) and the unique key property;
- what is neither among the results nor among the errors is unknown;
- a batch refused as a whole wrote nothing, and is divided until the bad inputs stand alone;
- a create is sent once. When its answer is lost, its outcome is unknown.

Associations travel inside a create; on an update they follow the record, and are written as the difference to what is
there, so that a label or a link that somebody else gave stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.hubspot import associations
from connectors.hubspot.errors import RULES_OF_NAME, InvalidProperties, refusal, said
from connectors.hubspot.portal import BATCH, Portal
from connectors.hubspot.records import MERGEABLE, MERGED, merged_ids, missing_in
from connectors.hubspot.wire import Record, Records, contexts, incoming, is_id, outgoing
from sidefeed.connector import (
    AuthenticationFailed,
    Conflict,
    ConnectorError,
    Duplicate,
    Gone,
    Invalid,
    Locked,
    NoConnection,
    OddAnswer,
    Outcome,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    UnknownOutcome,
    Write,
)

ENDING = (AuthenticationFailed, QuotaExhausted)


class Writer:
    """Sends the writes of one object."""

    def __init__(self, portal: Portal, key_property: str) -> None:
        self._portal = portal
        self._key_property = key_property

    def write(self, object: str, writes: Sequence[Write]) -> Iterator[Outcome]:
        """One outcome for each write, as soon as it is known.

        AuthenticationFailed and QuotaExhausted are raised after the outcome of every write has been given.
        """
        ending: ConnectorError | None = None
        for batch in _batches(writes):
            if ending is not None:
                yield from _all(batch, ending)
                continue
            for outcome in self._batch(object, batch):
                if outcome.error is not None and _ends(outcome.error):
                    ending = outcome.error
                yield outcome
        if isinstance(ending, ENDING):
            raise ending

    def _batch(self, object: str, batch: Sequence[Write]) -> Iterator[Outcome]:
        ready: list[Write] = []
        for write in batch:
            try:
                associations.check(object, write.values, self._portal.labels)
                self._properties(object, write)
            except Invalid as error:
                yield Outcome(write.key, "refused", write.external_id, error=error)
            else:
                ready.append(write)
        if not ready:
            return
        if ready[0].op == "create":
            yield from self._divided(object, ready)
        elif ready[0].op == "delete":
            yield from self._deletes(object, ready)
        else:
            yield from self._updates(object, ready)

    # Refused as a whole: divide

    def _divided(self, object: str, batch: Sequence[Write], least: int = 1) -> Iterator[Outcome]:
        """Creates, or updates of properties; a refused batch is sent again in parts."""
        try:
            answer = self._send(object, batch, least)
        except (Invalid, Duplicate, Gone, PermissionDenied) as refused:
            error = self._explained(object, refused)
            if len(batch) == 1 or error.code in ("MISSING_SCOPES", "key-field-missing"):
                yield from _all(batch, error)
                return
            doomed, parts = _parts(batch, error)
            yield from _all(doomed, error)
            for part in parts:
                yield from self._divided(object, part, least=0)
        except ConnectorError as error:
            yield from _all(batch, error)
        else:
            yield from self._settled(object, batch, answer)

    def _send(self, object: str, batch: Sequence[Write], least: int) -> Records:
        inputs: list[dict[str, Any]] = []
        for write in batch:
            each: dict[str, Any] = {"objectWriteTraceId": write.key, "properties": self._properties(object, write)}
            if write.op == "update":
                each["id"] = write.external_id
            elif linked := associations.new_ones(object, write.values, self._portal.labels):
                each["associations"] = linked
            inputs.append(each)
        send = self._portal.create if batch[0].op == "create" else self._portal.update
        return send(object, inputs, least)

    def _properties(self, object: str, write: Write) -> dict[str, str]:
        """Raises Invalid for a value that is no raw value."""
        properties: dict[str, str] = {}
        for name, value in write.values.items():
            if associations.is_association(name):
                continue
            try:
                properties[name] = outgoing(value)
            except TypeError as error:
                raise Invalid(f"{object}: {name} cannot be sent: {error}", field=name, owner="ops") from None
        if write.op == "create":
            if write.external_key:
                properties[self._key_property] = write.external_key
            if object == "meetings" and properties.get("hs_meeting_start_time"):
                # HubSpot requires it on create; the start is what HubSpot itself means to default it to ("Meetings").
                properties.setdefault("hs_timestamp", properties["hs_meeting_start_time"])
        return properties

    def _explained(self, object: str, error: ConnectorError) -> ConnectorError:
        if isinstance(error, Invalid) and error.field == self._key_property and error.rule == "PROPERTY_DOESNT_EXIST":
            return key_missing(object, self._key_property)
        return error

    # Match answers to inputs

    def _settled(self, object: str, batch: Sequence[Write], answer: Records) -> Iterator[Outcome]:
        by_trace = {write.key: write for write in batch}
        by_handle = {_handle(write): write for write in batch}
        rest = {write.key: write for write in batch}
        for record in filter(lambda record: is_id(record.id), answer.results):
            handle = record.properties.get(self._key_property) if batch[0].op == "create" else record.id
            write = by_trace.get(record.object_write_trace_id or "") or by_handle.get(handle or "")
            if write is not None and rest.pop(write.key, None) is not None:
                yield self._done(object, write, record)
        for entry in answer.errors:
            for write in _concerned(entry, by_trace, by_handle, rest):
                if rest.pop(write.key, None) is not None:
                    yield self._failed(object, write, entry)
        for write in rest.values():
            silent = UnknownOutcome(f"HubSpot's answer says nothing of {_name(object, write)}")
            yield Outcome(write.key, "unknown", write.external_id, error=silent)

    def _done(self, object: str, write: Write, record: Record) -> Outcome:
        if write.op == "update" and record.id != write.external_id:
            taken = f"{_name(object, write)} was merged into {record.id}, which took the write"
            return Outcome(write.key, "unknown", write.external_id, error=UnknownOutcome(taken, code="merged"))
        seen: dict[str, Any] = dict(incoming(write.values, record.properties))
        if write.op == "create":
            seen |= associations.seen_of_new(object, write.values, self._portal.labels)
        return Outcome(write.key, "done", record.id, record.updated_at, seen)

    def _failed(self, object: str, write: Write, entry: Mapping[str, Any]) -> Outcome:
        what = _name(object, write)
        error = refusal(entry, what) or UnknownOutcome(f"HubSpot could not say what became of {what}: {said(entry)}")
        return _outcome(write, self._explained(object, error))

    # Updates and deletes

    def _updates(self, object: str, batch: Sequence[Write]) -> Iterator[Outcome]:
        by_key = {write.key: write for write in batch}
        linked = [write for write in batch if any(map(associations.is_association, write.values))]
        pending: dict[str, Outcome] = {
            write.key: Outcome(write.key, "done", write.external_id, write.version, {})
            for write in linked if all(map(associations.is_association, write.values))
        }
        later = {write.key for write in linked}
        if plain := [write for write in batch if write.key not in pending]:
            for outcome in self._divided(object, plain):
                if outcome.key in later and outcome.status == "done":
                    pending[outcome.key] = outcome
                else:
                    yield outcome
        if pending:
            yield from self._associate(object, [by_key[key] for key in pending], pending)

    def _associate(
        self, object: str, writes: Sequence[Write], outcomes: Mapping[str, Outcome]
    ) -> Iterator[Outcome]:
        """Association fields of records whose properties are written."""
        final = dict(outcomes)
        for to, group in _by_target(writes).items():
            try:
                results = associations.write(self._portal, object, to, group)
            except ConnectorError as error:
                results = {write.key: error for write in group}
            for write in group:
                final[write.key] = _joined(write, final[write.key], results[write.key])
        yield from final.values()

    def _deletes(self, object: str, batch: Sequence[Write]) -> Iterator[Outcome]:
        """Unknown ids do not fail a batch. An id that was merged away would archive the survivor: looked at first."""
        try:
            if object in MERGEABLE:
                batch, early = self._own(object, batch)
                yield from early
            failures = self._portal.archive(object, [str(write.external_id) for write in batch]) if batch else []
        except ConnectorError as error:
            yield from _all(batch, error)
        else:
            yield from self._archived(object, batch, failures)

    def _archived(
        self, object: str, batch: Sequence[Write], failures: Sequence[Mapping[str, Any]]
    ) -> Iterator[Outcome]:
        """What is not among the failures is done; a failure that names no record may be that of any."""
        by_id = {str(write.external_id): write for write in batch}
        rest = {write.key: write for write in batch}
        for entry in failures:
            found = _concerned(entry, {}, by_id, rest)
            for write in found or list(rest.values()):
                if rest.pop(write.key, None) is not None:
                    yield self._failed(object, write, entry if found else {})
        yield from (Outcome(write.key, "done", write.external_id) for write in rest.values())

    def _own(self, object: str, batch: Sequence[Write]) -> tuple[list[Write], list[Outcome]]:
        """The deletes whose id answers as itself, and the outcomes of the others."""
        content, _ = self._portal.read(object, [str(write.external_id) for write in batch], (MERGED,))
        live = {record.id for record in content.results}
        merged = {old: record.id for record in content.results for old in merged_ids(record)}
        missing = missing_in(content.errors)
        own: list[Write] = []
        early: list[Outcome] = []
        for write in batch:
            record = str(write.external_id)
            if record in live:
                own.append(write)
            elif record in merged:
                error = Conflict(f"{_name(object, write)} was merged into {merged[record]}, which stays")
                early.append(Outcome(write.key, "stale", record, error=error))
            elif record in missing:
                early.append(Outcome(write.key, "done", record))
            else:
                silent = Unavailable(f"HubSpot's answer says nothing of {_name(object, write)}; it is not deleted")
                early.append(Outcome(write.key, "retry", record, error=silent))
        return own, early


def key_missing(object: str, key_property: str) -> Invalid:
    return Invalid(
        f"HubSpot has no property {key_property} on {object}, which safe creates need: run `sidefeed prepare hubspot`, "
        "or let an administrator create it (single-line text, unique values)",
        field=key_property, rule="PROPERTY_DOESNT_EXIST", code="key-field-missing", owner="admin",
    )


def _ends(error: ConnectorError) -> bool:
    """Whether every further batch would fail alike, so that none is sent."""
    return isinstance(error, (*ENDING, NoConnection))


def _batches(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """Batches of one kind, at most 100, none of which names a record twice (HubSpot refuses such a batch)."""
    for op in ("create", "update", "delete"):
        batch: list[Write] = []
        named: set[str | None] = set()
        for write in writes:
            if write.op != op:
                continue
            if len(batch) == BATCH or (op != "create" and write.external_id in named):
                yield batch
                batch, named = [], set()
            batch.append(write)
            named.add(write.external_id)
        if batch:
            yield batch


def _parts(batch: Sequence[Write], error: ConnectorError) -> tuple[list[Write], list[list[Write]]]:
    """Which inputs of a refused batch fail for certain, and in which parts to send the others again.

    A property that does not exist or is read-only condemns every input that names it. A refused value is looked for
    among the inputs; where that tells nothing, the batch is halved.
    """
    problems = error.problems if isinstance(error, InvalidProperties) else ()
    hopeless = {problem.name for problem in problems if problem.code in RULES_OF_NAME}
    doomed = [write for write in batch if hopeless & write.values.keys()]
    rest = [write for write in batch if not hopeless & write.values.keys()]
    if doomed:
        return doomed, [rest] if rest else []
    suspects = [write for write in rest if any(_holds(write, problem.name, problem.text) for problem in problems)]
    if 0 < len(suspects) < len(rest):
        others = [write for write in rest if write not in suspects]
        return [], [others, suspects]
    middle = len(rest) // 2
    return [], [rest[:middle], rest[middle:]]


def _holds(write: Write, name: str, text: str) -> bool:
    value = write.values.get(name)
    return value is not None and str(value) in text


def _handle(write: Write) -> str:
    """What a result or an error can be recognised by beside the trace id."""
    return str((write.external_key if write.op == "create" else write.external_id) or write.key)


def _concerned(
    entry: Mapping[str, Any], by_trace: Mapping[str, Write], by_handle: Mapping[str, Write], rest: Mapping[str, Write]
) -> list[Write]:
    """The inputs that an element of `errors` is about; the only one left where it names none."""
    found = [by_trace[each] for each in contexts(entry, "objectWriteTraceId") if each in by_trace]
    found = found or [by_handle[each] for each in contexts(entry, "ids", "id", "objectId") if each in by_handle]
    if not found and len(rest) == 1 and not contexts(entry, "objectWriteTraceId", "ids", "id", "objectId"):
        found = list(rest.values())
    return found


def _outcome(write: Write, error: ConnectorError) -> Outcome:
    match error:
        case UnknownOutcome():
            return Outcome(write.key, "unknown", write.external_id, error=error)
        case Unavailable() | RateLimited() | Locked() | AuthenticationFailed() | QuotaExhausted() | OddAnswer():
            return Outcome(write.key, "retry", write.external_id, error=error)
        case _:
            return Outcome(write.key, "refused", write.external_id, error=error)


def _all(batch: Sequence[Write], error: ConnectorError) -> Iterator[Outcome]:
    return (_outcome(write, error) for write in batch)


def _joined(write: Write, outcome: Outcome, result: Mapping[str, Any] | ConnectorError) -> Outcome:
    """The outcome of record and associations together.

    Where a part is written and the associations are not, what was sent is neither there nor refused: unknown, so that
    the record is read again and what is written is not taken for an edit of somebody's.
    """
    if outcome.status != "done":
        return outcome
    if not isinstance(result, ConnectorError):
        return replace(outcome, seen={**(outcome.seen or {}), **result})
    failed = _outcome(write, result)
    touched = bool(outcome.seen) or not all(map(associations.is_association, write.values))
    return replace(failed, status="unknown") if touched else failed


def _by_target(writes: Sequence[Write]) -> dict[str, list[Write]]:
    groups: dict[str, list[Write]] = {}
    for write in writes:
        for to in dict.fromkeys(associations.target(f) for f in write.values if associations.is_association(f)):
            groups.setdefault(to, []).append(write)
    return groups


def _name(object: str, write: Write) -> str:
    return f"HubSpot {object} {write.external_id}" if write.external_id else f"the new record {write.key} of {object}"
