"""The feeds: how far each system has been read, what its last runs did, and what it refused, by who must act."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from sidefeed.forecast.trust import LATE
from sidefeed.web import wording
from sidefeed.web.board import label
from sidefeed.web.desk import SignedIn, Visitor
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant
from sidefeed.workspace.pauses import pauses
from sidefeed.workspace.report import FLOW_RUN, workspace_status

router = APIRouter(include_in_schema=False)

RUNS = 20
REFUSALS = 100
OWNERS = {"rep": "reps", "ops": "ops", "admin": "administrators of the system"}


@router.get("/feeds")
def feeds(visitor: SignedIn) -> HTMLResponse:
    board = visitor.desk.board
    status, _fresh = board.figure("status", (visitor.snapshot.rev, board.last_run()),
                                  lambda: workspace_status(visitor.desk.store))
    if status is None:  # the very first visitor waits for it
        status = workspace_status(visitor.desk.store)
    with visitor.desk.store.read() as tx:
        runs = [_run(visitor, run) for run in tx.runs(RUNS)]
        refusals, number = _refusals(tx, visitor)
        paused = pauses(tx)
    return visitor.render("feeds.html", systems=_systems(visitor, status, runs), runs=runs, refusals=refusals,
                          refused=number, records=sorted(status["records"].items()),
                          questions=len(status["questions"]), paused=paused)


def _systems(visitor: Visitor, status: Mapping[str, Any], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every system of the project with its feeds, the furthest behind deciding how it looks."""
    found = []
    for system in visitor.desk.mappings.systems:
        rows = [row for row in status["feeds"] if row["system"] == system]
        if not rows and not visitor.desk.uses(system):
            continue
        behind = min((row["complete_to"] for row in rows if row["complete_to"]), default="")
        late = bool(behind) and visitor.now - utc_instant(behind) > LATE
        failed = next((run["failed"][system] for run in runs if run["ended"] and system in run["failed"]), "") \
            if runs and system in runs[0]["failed"] else ""
        kind = "bad" if failed or not behind else "warn" if late else "good"
        said = (f"could not be read: {failed}" if failed else "never read" if not behind else
                f"read {visitor.age(behind)}" + (", which is late" if late else ""))
        found.append({"system": system, "name": visitor.source(system), "kind": kind, "said": said, "feeds": rows,
                      "last": next((run for run in runs if system in run["systems"]), None)})
    return found


def _run(visitor: Visitor, run: Mapping[str, Any]) -> dict[str, Any]:
    detail = run["detail"] or {}
    counts = run["counts"] or {}
    what, *systems = run["what"].split(" ")
    known = [name for name in systems if name in visitor.desk.mappings.systems]
    problems: dict[str, int] = {}
    for problem in detail.get("problems") or ():
        problems[problem.get("owner", "ops")] = problems.get(problem.get("owner", "ops"), 0) + 1
    return {"id": run["id"], "what": what, "systems": known, "state": run["state"], "started": run["started"],
            "ended": run["ended"], "age": visitor.age(run["started"]), "seconds": _seconds(run),
            "counts": counts, "written": counts.get("written", 0), "captured": counts.get("captured", 0),
            "absorbed": sum((detail.get("absorbed") or {}).values()), "failed": detail.get("failed") or {},
            "parked": detail.get("parked") or [], "problems": problems,
            "kind": {"done": "good", "running": "warn", "parked": "warn"}.get(run["state"], "bad")}


def _seconds(run: Mapping[str, Any]) -> str:
    if not run["ended"]:
        return ""
    return f"{(utc_instant(run['ended']) - utc_instant(run['started'])).total_seconds():,.1f} s"


def _refusals(tx: Transaction, visitor: Visitor) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """Who must act -> what was refused, newest first, what has one cause in one row; only of records that the visitor
    may see."""
    rows = tx.connection.execute(sa.select(t.refusal).order_by(t.refusal.c.last_seen.desc()).limit(2000)).mappings()
    listed = [dict(row) for row in rows]
    states = tx.records({row["record"] for row in listed})
    found: dict[str, list[dict[str, Any]]] = {}
    causes: dict[tuple[Any, ...], dict[str, Any]] = {}
    number = 0
    for row in listed:
        state = states.get(row["record"])
        if (state is None and visitor.owners is not None) or (state is not None and not visitor.sees(state)):
            continue
        number += 1
        key = tuple(row[name] for name in ("owner", "system", "object", "field", "code", "message"))
        cause = causes.get(key)
        if cause is None:
            cause = causes[key] = {
                **row, "number": 0, "records": [], "age": visitor.age(row["last_seen"]),
                "source": visitor.source(row["system"]), "field": wording.words(row["field"]),
                "message": row["message"] if visitor.person.sees_amounts else ""}
            found.setdefault(OWNERS.get(row["owner"], row["owner"]), []).append(cause)
        cause["number"] += 1
        if len(cause["records"]) < REFUSALS:
            cause["records"].append({"id": row["record"], "known": state is not None,
                                     "label": label(state) if state is not None else row["record"]})
    return {owner: group[:REFUSALS] for owner, group in found.items()}, number


@router.get("/runs/{id}")
def run(visitor: SignedIn, id: str) -> HTMLResponse:
    """One run: what it read, absorbed and wrote, and what needs somebody."""
    with visitor.desk.store.read() as tx:
        row = tx.connection.execute(sa.select(t.run).where(t.run.c.id == id)).mappings().one_or_none()
        if row is None:
            raise HTTPException(404, "There is no such run.")
        address = tx.setting(f"{FLOW_RUN}{id}") or ""
    shown = _run(visitor, dict(row))
    everything = visitor.owners is None and visitor.person.sees_amounts
    detail = row["detail"] or {}
    return visitor.render("run.html", run=shown, prefect=address if address.startswith(("http://", "https://")) else "",
                          written=sorted((detail.get("written") or {}).items()),
                          problems=(detail.get("problems") or []) if everything else [])
