"""What a person says about a run that a guard stopped: let exactly that pass, or leave it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sidefeed.sync.capture import swept
from sidefeed.sync.guard import GuardTripped
from sidefeed.sync.report import Report
from sidefeed.sync.scope import OUT
from sidefeed.sync.shards import PART
from sidefeed.workspace import StoreError, Transaction

SKIPPED = "skipped"
"""The code under which writes that a person skipped are remembered."""

_BELIEVED = {"mass-delete", "emptied", "refused-cursor"}
_NO_SKIP = {
    "marker": "Check the settings of that system; it cannot be skipped.",
    "two-tools": "Switch one of the two off, or approve the run.",
    "mapping-changed": "Put the old mapping file back, or approve the run.",
    "read-anew": "It cannot be skipped.",
    "older-than-the-world": "Restore the newest copy of the workspace, or approve the run.",
}


@dataclass(frozen=True, slots=True)
class Parked:
    """A run that waits for a person: its systems, what it was stopped for, and what approving it means."""

    run: str
    systems: tuple[str, ...]
    trips: tuple[dict[str, Any], ...]

    def approval(self, entities: Mapping[tuple[str, str], str]) -> dict[str, int]:
        """What was shown, by guard and feed. Who believes deletions in one system lets them reach the others, and each
        mailbox of those: together as many as were shown. ``entities`` says which entity each (system, object) holds."""
        shown: dict[str, int] = {}
        believed: Counter[str | None] = Counter()
        for trip in self.trips:
            key, number = f"{trip['guard']} {trip['system']} {trip['object']}", len(trip["items"])
            shown[key] = max(number, shown.get(key, 0))  # one guard may trip on several fields of a feed
            if trip["guard"] in _BELIEVED:
                believed[entities.get((trip["system"], trip["object"].partition("/")[0]))] += number
        for (system, object), entity in entities.items():
            if entity in believed:
                key = f"mass-delete {system} {object}"
                shown[key] = max(believed[entity], shown.get(key, 0))
        return shown

    @property
    def confirms_mapping(self) -> bool:
        return any(trip["guard"] == "mapping-changed" for trip in self.trips)


def parked(tx: Transaction, run: str) -> Parked:
    """A parked run by its id or the start of it. Raises StoreError where it is none that a person may decide."""
    found = tx.run(run)
    detail: Mapping[str, Any] = found["detail"] or {}
    if found["state"] != "parked":
        raise StoreError(f"run {found['id']} is {found['state']}: only a run that a guard parked can be approved or "
                         f"skipped. `sidefeed status` lists them.")
    if not found["what"].startswith("sync"):
        what = found["what"].split()[0]
        raise StoreError(f"run {found['id']} was `sidefeed {what}`: give that command again with --approve.")
    return Parked(found["id"], tuple(detail.get("systems", ())), tuple(detail.get("trips", ())))


def next_steps(tripped: GuardTripped) -> str:
    """What a person does about a run that a guard has just stopped, as commands; empty where the guard itself says."""
    guards = {trip.guard for trip in tripped.trips}
    if not tripped.run or guards & {"marker", "mapping-changed"}:
        return ""
    if tripped.what == "apply":
        return "`sidefeed apply PLAN --approve` lets it pass."
    if tripped.what != "sync":
        return "`sidefeed sync` meets the same guard, and its run can be approved or skipped."
    leave = "" if guards & _NO_SKIP.keys() else f", `sidefeed skip {tripped.run}` leaves it out"
    return f"`sidefeed approve` shows exactly what was stopped, `sidefeed approve {tripped.run}` lets that pass{leave}."


def waiting_runs(tx: Transaction) -> list[dict[str, Any]]:
    """Parked runs that still matter, newest first: no run of the same systems waits since, or came to its end and
    reached what the guards had stopped."""
    found = []
    later: list[dict[str, Any]] = []
    for run in tx.runs(500):
        whole = run["what"].partition(PART)[0]  # a later run of all its mailboxes is one of this part too
        if run["state"] == "parked" and not any(
                one["what"] in (run["what"], whole) and not _missed(run, one) for one in later):
            found.append(run)
        if run["state"] not in ("running", "died", "failed"):
            later.append(run)
    return found


def _missed(parked: Mapping[str, Any], later: Mapping[str, Any]) -> list[str]:
    """What a later run failed to reach of what a parked one was stopped for, or of what carrying that out began."""
    detail, failed = parked["detail"] or {}, (later["detail"] or {}).get("failed", {})
    stopped = {(trip["system"], trip["object"]) for trip in detail.get("trips", ())}
    return not_reached(failed, stopped) + [name for name in detail.get("not_reached", ()) if name in failed]


def not_reached(failed: Iterable[str], feeds: Collection[tuple[str, str]]) -> list[str]:
    """Of the systems and feeds that failed, those that keep any of these (system, object) from being written."""
    objects = {(system, one.partition("/")[0]) for system, listed in feeds for one in listed.split(", ")}
    systems = {system for system, _object in objects}
    return [name for name in failed if name in systems
            or (name.partition(" ")[0], name.partition(" ")[2].partition("/")[0]) in objects]


def carried_out(tx: Transaction, waiting: Parked, approval: Mapping[str, int], report: Report) -> None:
    """Note that a run did what a parked one was to do; where it could not reach all that this takes, the parked one
    waits on, and may be approved again."""
    feeds = {(system, object) for key in approval for _guard, system, object in [key.split(" ", 2)]}
    report.still_parked = not_reached(report.failed, feeds)
    if report.still_parked:
        tx.keep_parked(waiting.run, report.still_parked)
    else:
        tx.set_run_state(waiting.run, "approved", by=report.run)
    tx.note("approve", run=waiting.run, carried_out_by=report.run, shown=dict(approval),
            waits_on=list(report.still_parked) or None, stopped=[trip["message"] for trip in waiting.trips])


def carried_out_by(tx: Transaction, run: str) -> str:
    """The run that did what a run was to do: another one where a guard stopped it and a person approved it. Raises
    StoreError where no run has that id."""
    found = tx.run(run)
    return str((found["detail"] or {}).get("by") or found["id"])


def skip(
    tx: Transaction, waiting: Parked, *, actor: str | None = None, via: str | None = None
) -> dict[str, int]:
    """Leave out what stopped a run, so that the next one passes: deletions that were reported are not believed (the
    copies elsewhere live on, unlinked), writes are not made until their content changes.

    Returns how much was left out, by guard and feed. Raises StoreError for what cannot be left out.
    """
    for trip in waiting.trips:
        if trip["guard"] in _NO_SKIP:
            raise StoreError(f"{trip['message']} {_NO_SKIP[trip['guard']]}")
    done: dict[str, int] = {}
    for trip in waiting.trips:
        system, object, items = trip["system"], trip["object"], trip["items"]
        if trip["guard"] in _BELIEVED and all("record" not in item for item in items):
            _disbelieve(tx, system, object, [item["external_id"] for item in items])
        else:
            for item in items:
                for name, digest in item.get("contents", {}).items():
                    tx.refuse(system, object, item["record"], name, digest=digest, code=SKIPPED, owner="ops", message=(
                        f"a person skipped this when run {waiting.run} was stopped ({trip['guard']}); it is written "
                        f"once the value or mapping changes, or with `sidefeed retry --code {SKIPPED}`"))
        done[f"{trip['guard']} {system} {object}"] = len(items)
    tx.set_run_state(waiting.run, SKIPPED)
    tx.note("skip", actor=actor, via=via, run=waiting.run, left_out=done,
            stopped=[trip["message"] for trip in waiting.trips])
    return done


def _disbelieve(tx: Transaction, system: str, object: str, ids: list[str]) -> None:
    known = tx.known_as(system, object, ids)
    links = tx.links(system, object, [record for record, _role in known.values()])
    for link in links.values():
        if link.state == "live" and link.external_id in known:
            link.state, link.due, link.digest = OUT, False, None
            tx.save_link(link)
            tx.remember(system, object, link.external_id, link.entity, link.record, "gone")
    tx.drop_inbox(system, object, ids)
    swept(tx, system, object)
