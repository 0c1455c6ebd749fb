"""What people ask of the workspace: status, blame, conflicts and their decision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import sqlalchemy as sa

from sidefeed.errors import RETRY, Codes
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant
from sidefeed.workspace.merge import Change, Head, RecordState
from sidefeed.workspace.model import Draft
from sidefeed.workspace.records import record_state
from sidefeed.workspace.store import Store
from sidefeed.workspace.transaction import Transaction

FLOW_RUN = "flow run of "
"""What precedes the id of a run in the name of the setting that holds the address of its flow run."""


def workspace_status(store: Store, codes: Codes | None = None) -> dict[str, Any]:
    """Feeds, last runs, and everything that waits for a person. ``codes`` explains what was refused."""
    codes = codes or Codes()
    with store.read() as tx:
        connection = tx.connection
        cursors = connection.execute(sa.select(t.cursor).order_by(t.cursor.c.system, t.cursor.c.object)).mappings()
        linked = {(row.system, row.object): row.number for row in connection.execute(
            sa.select(t.link.c.system, t.link.c.object, sa.func.count().label("number"))
            .where(t.link.c.state == "live").group_by(t.link.c.system, t.link.c.object))}
        waiting = {(row.system, row.object): row.number for row in connection.execute(
            sa.select(t.inbox.c.system, t.inbox.c.object, sa.func.count().label("number"))
            .group_by(t.inbox.c.system, t.inbox.c.object))}
        return {
            "feeds": [{"feed": f"{row['system']} {row['object']}", "system": row["system"], "object": row["object"],
                       "linked": linked.get((row["system"], row["object"]), 0),
                       "inbox": waiting.get((row["system"], row["object"]), 0),
                       "complete_to": row["complete_to"]} for row in cursors],
            "records": {row.entity: row.number for row in connection.execute(
                sa.select(t.record.c.entity, sa.func.count().label("number"))
                .where(sa.not_(t.record.c.deleted)).group_by(t.record.c.entity))},
            "runs": [{"id": run["id"], "what": run["what"], "started": run["started"], "ended": run["ended"],
                      "state": run["state"], "written": (run["counts"] or {}).get("written", 0)}
                     for run in tx.runs(10)],
            "conflicts": sum(len(state.conflicts) for state in tx.conflicted()),
            "duplicates": _second_copies(tx),
            "questions": [{**question, "evidence": question["evidence"]} for question in tx.questions()],
            "refusals": refusal_lines(tx, codes),
            "parked": [dict(row) for row in connection.execute(
                sa.select(t.inbox.c.system, t.inbox.c.object, t.inbox.c.external_id, t.inbox.c.waiting_for,
                          t.inbox.c.attempts, t.inbox.c.not_before)
                .where(t.inbox.c.waiting_for.is_not(None)).order_by(t.inbox.c.first_seen)).mappings()],
        }


def _second_copies(tx: Transaction) -> list[dict[str, Any]]:
    """Live objects beside the one that is linked with the same record: read, and never written or deleted by us."""
    wanted = sa.select(t.remote.c.system, t.remote.c.object, t.remote.c.external_id, t.remote.c.record)
    rows = tx.connection.execute(
        wanted.where(t.remote.c.role == "duplicate").order_by(t.remote.c.record)).mappings().all()
    states = tx.records({row["record"] for row in rows})
    return [{**row, "label": label(states[row["record"]])} for row in rows if row["record"] in states]


def refusal_lines(tx: Transaction, codes: Codes) -> list[dict[str, Any]]:
    """The quarantine: each refused record or field, why, who must act, what mends it, and when it is asked again."""
    rows = tx.refused()
    states = tx.records({row["record"] for row in rows})
    lines = []
    for row in rows:
        known = codes.explain(row["code"], row["kind"])
        state = states.get(row["record"])
        lines.append({
            "system": row["system"], "object": row["object"], "record": row["record"],
            "label": label(state) if state else row["record"],
            "field": row["field"].lstrip("=") or None, "code": row["code"], "message": row["message"],
            "owner": row["owner"], "fix": known.fix, "retry": RETRY[known.retry], "next_try": row["not_before"],
            "count": row["count"], "since": row["first_seen"]})
    return lines


def find_records(
    tx: Transaction, text: str, *, where: Callable[[RecordState], bool] = lambda _state: True
) -> list[RecordState]:
    """Records by their id, by a remote id, by a part of what they are called or of their name, address or subject, or
    by the end of their id, by which meetings are told apart where their subjects are not shown. Only those that fit
    ``where``; one that is called exactly so is meant before others."""
    return _called_exactly(text, [state for state in _found(tx, text) if where(state)])


def _called_exactly(text: str, found: list[RecordState]) -> list[RecordState]:
    wanted = text.casefold().strip()
    return [state for state in found
            if wanted in (label(state).casefold(), str(state.values.get("name")).casefold())] or found


def _found(tx: Transaction, text: str) -> list[RecordState]:
    state = tx.record(text)
    if state is not None:
        return [state]
    known = [row.record for row in tx.connection.execute(
        sa.select(t.remote.c.record).where(t.remote.c.external_id == text).distinct())]
    if known:
        return list(tx.records(known).values())
    wanted = text.casefold().strip()
    # One word, because a person's names are two fields; as it was typed, because folding makes two letters of an ß.
    word = max(text.split(), key=len, default=text)
    found = [record_state(row) for row in tx.connection.execute(
        sa.select(t.record).where(sa.cast(t.record.c["values"], sa.Text).icontains(word, autoescape=True)).limit(500)
    ).mappings()]
    named = [state for state in found if wanted in label(state).casefold() or any(
        wanted in str(state.values.get(name) or "").casefold() for name in ("name", "email", "last_name", "subject"))]
    end = re.fullmatch(r"(?:.*\()?([0-9a-f]{6,})\)?", wanted)
    if not named and end:
        return [record_state(row) for row in tx.connection.execute(
            sa.select(t.record).where(t.record.c.id.endswith(end[1])).limit(10)).mappings()]
    return named


def blame_lines(tx: Transaction, state: RecordState, field: str | None = None) -> list[dict[str, Any]]:
    """Every value of every field (or one), newest first, with who, from where, when, why, and what it replaced."""
    values: dict[tuple[str, int], Any] = {}
    runs = {row.rev: row.run for row in tx.connection.execute(
        sa.select(t.change.c.rev, t.change.c.run).where(t.change.c.record == state.id))}
    lines = []
    for change in tx.changes_of(state.id):
        for name, value in change.fields.items():
            replaced = [values.get((name, rev)) for rev in change.base.get(name, ())]
            values[(name, change.rev)] = value
            if field is None or name == field:
                lines.append({
                    "rev": change.rev, "field": name, "value": value, "actor": change.actor, "source": change.source,
                    "at": change.at, "run": runs.get(change.rev),
                    "reason": change.reason, "replaced": replaced[0] if len(replaced) == 1 else
                    (replaced or None), "current": change.rev in state.heads.get(name, ())})
    names = called(tx, [value for line in lines for value in (line["value"], line["replaced"])])
    for line in lines:
        line["shown"] = names.get(line["value"]) if isinstance(line["value"], str) else None
    return lines[::-1]


def label(state: RecordState) -> str:
    """How a record is called when people read of it; the subject of a meeting is never used."""
    values = state.values
    if state.entity == "meeting":
        when = values.get("when") or {}
        return f"meeting of {str(when.get('start', '?'))[:10]} ({state.id[-6:]})"
    name = values.get("name") or " ".join(
        part for part in (values.get("first_name"), values.get("last_name")) if part) or values.get("subject")
    text = str(name or values.get("email") or state.id)
    return text if len(text) <= 60 else text[:57] + "..."


def readable(value: Any) -> Any:
    """Money as people write it, ``1200 EUR``; any other value as it is."""
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    return value


def conflict_lines(tx: Transaction) -> list[dict[str, Any]]:
    """Every field in conflict: the value that all sides started from (``base``), and each side's value, system, person
    and age in hours. Where a value names another record, ``shown`` is what that is called."""
    states = tx.conflicted()
    histories = tx.histories([state.id for state in states])
    now = tx.store.now()
    lines = [{"record": state.id, "entity": state.entity, "label": label(state), "field": name,
              "base": _common_base(histories[state.id], name, heads),
              "sides": [{**head.as_json(), "hours": round((now - utc_instant(head.at)).total_seconds() / 3600, 1)}
                        for head in heads]}
             for state in states for name, heads in state.conflicts.items()]
    names = called(tx, [value for line in lines for value in (line["base"], *(one["value"] for one in line["sides"]))])
    for line in lines:
        line["shown"] = names.get(line["base"]) if isinstance(line["base"], str) else None
        for one in line["sides"]:
            one["shown"] = names.get(one["value"]) if isinstance(one["value"], str) else None
    return lines


def called(tx: Transaction, values: Iterable[Any]) -> dict[str, str]:
    """How the records are called that some of these values name."""
    ids = {value for value in values if isinstance(value, str) and len(value) == 36 and value.count("-") == 4}
    return {id: label(state) for id, state in tx.records(ids).items()} if ids else {}


def _common_base(history: list[Change], name: str, heads: list[Head]) -> Any:
    """The newest value that every side had seen; None where they share none."""
    by_rev = {change.rev: change for change in history if name in change.fields}
    seen: list[set[int]] = []
    for head in heads:
        known: set[int] = set()
        todo = list(by_rev[head.rev].base.get(name, ())) if head.rev in by_rev else []
        while todo:
            rev = todo.pop()
            if rev in by_rev and rev not in known:
                known.add(rev)
                todo += by_rev[rev].base.get(name, ())
        seen.append(known)
    common = set.intersection(*seen) if seen else set()
    return by_rev[max(common)].fields[name] if common else None


def find_conflict(tx: Transaction, record: str, field: str) -> RecordState:
    """The one record that a person means, with this field in conflict or parked for flipping. Raises LookupError."""
    from sidefeed.sync.flips import parked_fields

    parked = parked_fields(tx)
    found = find_records(tx, record, where=lambda state: field in state.conflicts or field in parked.get(state.id, ()))
    if not found:
        raise LookupError(f"no record like {record!r} has {field} in conflict; `sidefeed conflicts` lists what is")
    if len(found) > 1:
        named = "; ".join(f"{state.id} {label(state)}" for state in found[:10])
        raise LookupError(f"{len(found)} records like {record!r} have {field} in conflict: {named}. Give the id.")
    return found[0]


def decide_conflict(
    store: Store, record: str, field: str, *, system: str | None = None, value: str | None = None, actor: str = "ops",
    read: Callable[[str, Any], Any] | None = None,
) -> Any:
    """Settle a conflict by a system's value or by a given one; returns the value. ``read`` makes of the text what the
    field holds, beside a value that it has now. Raises LookupError, saying what there is, when the record, the field or
    the side is not found, and what ``read`` raises."""
    from sidefeed.sync.flips import release

    with store.write() as tx:
        state = find_conflict(tx, record, field)
        heads = state.conflicts.get(field) or last_said(tx, state, field)
        if (system is None) == (value is None):
            raise LookupError("say either --from SYSTEM or --value VALUE")
        if system is not None:
            chosen = [head.value for head in heads if head.source == system]
            if not chosen:
                raise LookupError(f"{system} said nothing about {field}; the values come from "
                                  f"{', '.join(head.source for head in heads)}")
            decided = chosen[-1]
        else:
            decided = (read or _parse)(value or "", heads[0].value)
        tx.append([Draft(state.entity, state.id, {field: decided}, actor, "workspace", reason="decided by a person")])
        release(tx, state, field, actor=actor)
        return decided


def last_said(tx: Transaction, state: RecordState, field: str) -> list[Head]:
    """What each source said of a field last: the sides of a field that flips."""
    last = {change.source: change for change in tx.changes_of(state.id) if field in change.fields}
    return [Head(one.rev, one.fields[field], one.actor, one.source, one.at, one.hlc) for one in last.values()]


def _parse(text: str, like: Any) -> Any:
    """A value typed on the command line: for money, the amount alone is enough."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    if isinstance(like, dict) and "currency" in like and not isinstance(value, dict):
        return {"amount": text, "currency": like["currency"]}
    if isinstance(like, str) and not isinstance(value, str):
        return text
    return value
