"""Who did what, newest first: changes, writes, and what people decided, in one list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sidefeed.audit.chain import standings
from sidefeed.audit.kinds import KINDS, Kind
from sidefeed.calendars.policy import SECRET
from sidefeed.calendars.recurrence import SERIES
from sidefeed.calendars.redact import masked
from sidefeed.workspace import Transaction
from sidefeed.workspace.report import label

SIDEFEED = "sidefeed"
"""Who writes to the systems."""

_MEETINGS = ("meeting", SERIES)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; ``since`` is UTC text, ``record`` an id, ``run`` a whole id."""

    record: str | None = None
    actor: str | None = None
    run: str | None = None
    system: str | None = None
    since: str | None = None
    what: str | None = None
    limit: int = 40


def entries(tx: Transaction, wanted: Wanted) -> list[dict[str, Any]]:
    """The newest entries that fit, newest first, each with who, when, what, and whether it is sealed."""
    found = [line for kind in KINDS for line in _of_kind(tx, kind, wanted)]
    found.sort(key=lambda line: (line["at"], line["kind"], line["id"]), reverse=True)
    found = found[:wanted.limit]
    states = tx.records({line["record"] for line in found if line["record"]})
    for line in found:
        state = states.get(line["record"] or "")
        line["label"] = label(state) if state is not None and state.entity != SERIES else None
        if state is not None and state.entity in _MEETINGS:
            line["detail"] = _discreet(line)
    return found


def _of_kind(tx: Transaction, kind: Kind, wanted: Wanted) -> Iterator[dict[str, Any]]:
    query = _narrowed(kind, wanted)
    if query is None:
        return
    high, left = standings(tx)[kind.name]
    for row in tx.connection.execute(query.order_by(kind.column.desc()).limit(wanted.limit)).mappings():
        yield {**_READERS.get(kind.name, _entered)(kind, dict(row)), "kind": kind.name, "id": row[kind.key],
               "sealed": row[kind.key] <= high and row[kind.key] not in left}


def _narrowed(kind: Kind, wanted: Wanted) -> sa.Select[Any] | None:
    """The rows of a kind that fit; None where it has nothing that could."""
    columns = kind.table.c
    query = sa.select(kind.table)
    actor = columns.get("actor")
    if wanted.actor is not None:
        if actor is None and wanted.actor != SIDEFEED:
            return None
        query = query if actor is None else query.where(sa.func.lower(actor) == wanted.actor.lower())
    system = columns.get("source") if kind.name == "change" else columns.get("system")
    what = {"change": None, "intent": columns.get("op"), "journal": columns.get("what")}
    for given, column in ((wanted.record, columns.get("record")), (wanted.run, columns.get("run")),
                          (wanted.system, system)):
        if given is not None:
            if column is None:
                return None
            query = query.where(column == given)
    if wanted.what is not None and wanted.what != _CALLED.get(kind.name):
        named = what.get(kind.name)
        if named is None:
            return None
        query = query.where(named == wanted.what)
    if wanted.since is not None:
        query = query.where(columns["at" if "at" in columns else "known_from"] >= wanted.since)
    return query


_CALLED = {"change": "change", "intent": "write", "submission": "forecast call", "quota": "quota",
           "membership": "membership", "fx_rate": "rate"}


def _changed(_kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    return _line(row, "change", system=row["source"], object=row["entity"], detail={
        "fields": row["fields"], **({"reason": row["reason"]} if row["reason"] else {})})


def _written(_kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    return _line(row, row["op"], actor=SIDEFEED, detail={
        "fields": (row["payload"] or {}).get("values", {}), "before": row["before"] or {}, "state": row["state"],
        "external_id": row["external_id"] or (row["outcome"] or {}).get("external_id")})


def _noted(_kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    return _line(row, row["what"], via=row["via"], detail=row["detail"])


def _entered(kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: row[name] for name in (*kind.fixed, *kind.content)
            if name not in ("id", "at", "known_from", "actor") and row[name] is not None}
    return _line(row, _CALLED[kind.name], at=row.get("at") or row.get("known_from"), detail=told)


_READERS = {"change": _changed, "intent": _written, "journal": _noted}


def _line(row: Mapping[str, Any], what: str, **told: Any) -> dict[str, Any]:
    return {"at": row.get("at"), "actor": row.get("actor"), "via": None, "what": what, "system": row.get("system"),
            "object": row.get("object"), "record": row.get("record"), "run": row.get("run"), **told}


def _discreet(line: Mapping[str, Any]) -> dict[str, Any]:
    """Of a meeting that it was changed or written, and in what; not the words."""
    detail = dict(line["detail"])
    if line["kind"] == "change":
        return {**detail, "fields": masked(detail["fields"], SECRET)}
    for part in ("fields", "before"):  # which of a system's fields hold words, its mapping may no longer say
        if isinstance(detail.get(part), Mapping):
            detail[part] = masked(detail[part], detail[part])
    return detail


