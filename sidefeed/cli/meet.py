"""``sidefeed meet``: meetings planned on a deal, put into the organiser's own calendar."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.shared import JsonOption, ProjectOption, errors

if TYPE_CHECKING:
    from sidefeed.project import Project

app = typer.Typer(no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add these commands to the command line."""
    parent.add_typer(app, name="meet")


@app.callback()
def _meet() -> None:
    """Plan, move and cancel meetings on a deal. The next sync puts them into the organiser's calendar and the CRMs.

    Nobody is mailed unless the organiser says --invite; `sidefeed plan` shows every message before it is sent.
    """


RepOption = Annotated[str, typer.Option("--as", metavar="REP", help="The organiser's mailbox address.")]
StartOption = Annotated[str, typer.Option(help="When it begins, in --zone: 2026-12-01T10:00.")]
ZoneOption = Annotated[str, typer.Option(help="The zone of --start, such as Europe/Berlin; else the project's.")]


@app.command()
def plan(
    deal: Annotated[str, typer.Argument(help="An open deal, by id or name.")],
    rep: RepOption,
    start: StartOption,
    minutes: Annotated[int, typer.Option(min=5, max=1440, help="How long it lasts.")] = 30,
    zone: ZoneOption = "",
    subject: Annotated[str, typer.Option(help="The deal's name, if none is given.")] = "",
    location: Annotated[str, typer.Option(help="Where.")] = "",
    people: Annotated[list[str] | None, typer.Option(
        "--with", help="A contact by id, name or address; the deal's contacts, if none is named.")] = None,
    invite: Annotated[bool, typer.Option("--invite", help="Mail an invitation to these people.")] = False,
    teams: Annotated[bool, typer.Option(
        "--teams", help="A Teams meeting with its join link; for calendars on Microsoft 365.")] = False,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Plan a meeting on a deal, with a join link where the project has a conference service."""
    from sidefeed.calendars.planned import Wish, plan_meeting
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        begins, zone = _moment(opened, start, zone)
        feed = _calendar_of(opened, rep.strip().casefold(), teams=teams)
        wish = Wish(deal, rep.strip().casefold(), feed, begins, begins + timedelta(minutes=minutes), zone, subject,
                    location, tuple(people or ()), invite, teams)
        store = opened.store()
        try:
            with store.write() as tx:
                record = plan_meeting(tx, wish, actor=wish.organiser)
        finally:
            store.close()
    _say(json, {"ok": True, "meeting": record, "calendar": feed, "invite": invite},
         f"Planned: meeting {record} in {feed}. " + (
             "Its people are invited at the next sync; `sidefeed plan` shows whom." if invite else "Nobody is mailed."))


@app.command()
def move(
    meeting: Annotated[str, typer.Argument(help="The meeting's record id.")],
    rep: RepOption,
    start: StartOption,
    minutes: Annotated[int, typer.Option(min=5, max=1440, help="How long it lasts.")] = 30,
    zone: ZoneOption = "",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Move a meeting that was planned here."""
    from sidefeed.project import Project
    from sidefeed.workspace.clock import utc_text

    with errors(json):
        begins, zone = _moment(Project.load(project), start, zone)
        when = {"start": utc_text(begins), "end": utc_text(begins + timedelta(minutes=minutes)), "zone": zone,
                "all_day": False}
        _change(project, meeting, {"when": when}, rep, "moved")
    _say(json, {"ok": True, "meeting": meeting}, "Moved; the next sync moves it in the calendar and the CRMs.")


@app.command()
def cancel(
    meeting: Annotated[str, typer.Argument(help="The meeting's record id.")],
    rep: RepOption,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Cancel a meeting that was planned here: it leaves the calendar, and the CRMs say that it was cancelled."""
    with errors(json):
        _change(project, meeting, {"status": "cancelled"}, rep, "cancelled")
    _say(json, {"ok": True, "meeting": meeting}, "Cancelled; the next sync tells the calendar and the CRMs.")


def _change(project: Path, meeting: str, fields: dict[str, Any], rep: str, reason: str) -> None:
    from sidefeed.calendars.planned import change_meeting
    from sidefeed.project import Project

    store = Project.load(project).store()
    try:
        with store.write() as tx:
            change_meeting(tx, meeting, fields, actor=rep.strip().casefold(), reason=reason)
    finally:
        store.close()


def _moment(project: Project, start: str, zone: str) -> tuple[datetime, str]:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from sidefeed.project import ProjectError

    zone = zone or project.settings.timezone
    try:
        begins = datetime.fromisoformat(start)
        return (begins if begins.tzinfo else begins.replace(tzinfo=ZoneInfo(zone))), zone
    except (ValueError, ZoneInfoNotFoundError):
        raise ProjectError(f"{start!r} in {zone!r} is no moment; write it as 2026-12-01T10:00 --zone Europe/Berlin."
                           ) from None


def _calendar_of(project: Project, mailbox: str, *, teams: bool = False) -> str:
    """The calendar of a mailbox, as ``system stream``. Raises ProjectError where there is none or more than one, and
    where it has no join links of its own and one is wanted."""
    from sidefeed.calendars.planned import ONLINE
    from sidefeed.project import ProjectError

    calendars = [(om.system, om.object) for om in project.mappings().objects
                 if om.entity == "meeting" and om.readonly and om.system in project.systems]
    found = [f"{system} {stream.name}" for system, object in calendars
             for stream in project.connector(system).streams(object) if stream.partition == mailbox]
    offers = [system for system, object in calendars if ONLINE in project.connector(system).describe(object).fields]
    project.close()
    if teams and found and found[0].partition(" ")[0] not in offers:
        raise ProjectError(f"the calendar of {mailbox} makes no Teams meetings; leave --teams out, and set "
                           "`conference_url` under [calendars] for a join link of another service.")
    if len(found) != 1:
        raise ProjectError(f"{mailbox} has {'no calendar' if not found else 'calendars on several systems'} here"
                           + (f": {', '.join(found)}" if found else "; `mailboxes` of the calendar system lists whose "
                              "calendars are read") + ".")
    return found[0]


def _say(json: bool, told: dict[str, Any], text: str) -> None:
    output.print_json(told) if json else output.out.print(escape(text))
