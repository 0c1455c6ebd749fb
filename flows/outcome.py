"""How a run shows in Prefect: the state it ends in and the artifacts it leaves.

States: Completed; Completed "Attention", where single records need a person or something is to be decided; Failed,
where a system could not take part or the settings are wrong; Failed "Parked", where a guard stopped the run before
its first write, so that whatever alarms on failures tells somebody; Cancelled "Busy", where another run was at work.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed, Failed

from sidefeed.plural import many
from sidefeed.sync import Report
from sidefeed.sync.guard import Trip

PARKED, BUSY, ATTENTION = "Parked", "Busy", "Attention"
RUN = "Workspace run "
"""What precedes the id of the workspace's run at the end of a state's message, and so leads from one to the other. A
label on the flow run would say it more neatly, but updating one collides with the server's own writes to SQLite about
every second time, and each collision costs two seconds."""

SHOWN = 200
"""Lines of a list that an artifact shows; the workspace keeps all of them."""


@dataclass(slots=True)
class Outcome:
    """What became of one sync: a report, or why there is none."""

    report: Report | None = None
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    trips: Sequence[Trip] = ()
    busy: str | None = None
    refused: str | None = None
    """Settings, mapping or credentials that cannot be used."""

    def add(self, part: str, other: Any) -> None:
        """Take in what became of one part of the work; ``other`` is what ended its task, if it has no outcome."""
        if not isinstance(other, Outcome):
            assert self.report is not None
            self.report.failed[f"part {part}"] = f"it ended without a report ({type(other).__name__})"
            return
        self.trips = (*self.trips, *other.trips)
        self.busy, self.refused = self.busy or other.busy, self.refused or other.refused
        for system, more in other.calls.items():
            mine = self.calls.setdefault(system, dict.fromkeys(more, 0))
            for what, number in more.items():
                mine[what] += number
        if self.report is not None and other.report is not None:
            self.report.add(other.report)

    def state(self, how_to_approve: str) -> State[Any]:
        """The final state of the flow run."""
        if self.trips:
            why = " ".join(trip.message for trip in self.trips)
            return Failed(name=PARKED, message=f"{why} To let it pass: {how_to_approve}")
        if self.busy:
            return State(type=StateType.CANCELLED, name=BUSY, message=self.busy)
        if self.report is None:
            return Failed(message=self.refused or "The run ended without a report.")
        written = f"{self.report.counts.get('written', 0)} written"
        run = f"{RUN}{self.report.run}"
        if self.report.failed:
            who = "; ".join(f"{name}: {message}" for name, message in self.report.failed.items())
            return Failed(message=f"{who}. Everything else was synced ({written}). {run}")
        if needed := len(self.report.problems) + self.report.to_decide:
            return Completed(name=ATTENTION, message=f"{written}; need a person: {needed}. {run}")
        return Completed(message=f"{written}. {run}")

    def publish(self, key: str) -> None:
        """Leave the counts as a table and, where a person must act, the reasons as a page."""
        if self.report is not None:
            create_table_artifact(self.rows(), key=key, description=self._description())
        page = self.page()
        if page:
            create_markdown_artifact(page, key=f"{key}-attention", description="What a person must look at")

    def rows(self) -> list[dict[str, Any]]:
        """One row for each feed written to and one for each kind of record absorbed."""
        report = self.report
        assert report is not None
        rows = [{"feed": feed, "created": ops.get("create", 0), "updated": ops.get("update", 0),
                 "deleted": ops.get("delete", 0), "absorbed": None} for feed, ops in sorted(report.written.items())]
        rows += [{"feed": kind, "created": None, "updated": None, "deleted": None, "absorbed": number}
                 for kind, number in sorted(report.changes.items())]
        return rows or [{"feed": "everything agreed", "created": 0, "updated": 0, "deleted": 0, "absorbed": 0}]

    def page(self) -> str:
        """Markdown for whoever must act; empty where nobody must."""
        report = self.report
        lines: list[str] = []
        if self.trips:
            lines += ["## A guard stopped this run: nothing was written", ""]
            for trip in self.trips:
                lines += [f"- **{trip.guard}** {safe(trip.message)}"]
                lines += [f"    - {safe(_item(item))}" for item in trip.items[:SHOWN]]
        if self.refused:
            lines += ["## This run could not start", "", safe(self.refused)]
        if report is not None and report.failed:
            lines += ["## Could not take part", ""]
            lines += [f"- **{safe(name)}** {safe(message)}" for name, message in report.failed.items()]
        if report is not None and report.decisions:
            lines += ["", "## To decide", "", *(f"- {sentence}" for sentence in report.decisions)]
        if report is not None and report.problems:
            lines += ["", f"## {many(len(report.problems), 'record needs', 'records need')} a person", "",
                      "| system | object | record | field | what and why | code | for |", f"{'|---' * 7}|"]
            lines += ["| " + " | ".join(safe(cell) for cell in (
                one.system, one.object, one.record, one.field or "", one.message, one.code, one.owner)) + " |"
                for one in report.problems[:SHOWN]]
            if len(report.problems) > SHOWN:
                lines += ["", f"... and {len(report.problems) - SHOWN} more: `sidefeed status` lists them."]
        if report is not None and report.waiting:
            lines += ["", f"{len(report.waiting)} records wait for another record."]
        return "\n".join(lines)

    def _description(self) -> str:
        assert self.report is not None
        calls = ", ".join(f"{system} {count['used']} (at least {count['minimum']} were needed)"
                          for system, count in self.calls.items())
        head = f" Audit head: {self.report.audit_head}" if self.report.audit_head else ""
        return f"Workspace run `{self.report.run}`. Calls: {calls or 'none'}.{head}"


def safe(text: Any) -> str:
    """Text of unknown origin for a Markdown line: no HTML, no table breaks, no code, no links, one line."""
    flat = html.escape(" ".join(str(text).split()), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_[]|#!" else char for char in flat)


def _item(item: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in item.items() if value is not None)
