"""Commands about meetings: what is asked, what leaves a calendar, who is free."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.shared import JsonOption, ProjectOption, errors
from sidefeed.plural import many

ask_app = typer.Typer(invoke_without_command=True)
my_app = typer.Typer(invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(ask_app, name="ask")
    app.add_typer(my_app, name="my-calendar")
    app.command("team-calendar")(team_calendar)
    app.command()(departed)


@ask_app.callback()
def ask(
    context: typer.Context,
    rep: Annotated[str | None, typer.Option("--as", help="Only questions about this person's meetings.")] = None,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """List what is asked: which deal a meeting belongs to, who is to become a contact.

    An answer is remembered as a rule for the series and its people, until the deal closes: nothing is asked twice.
    """
    if context.invoked_subcommand is not None:
        return
    from sidefeed.calendars.ask import questions
    from sidefeed.project import Project

    with errors(json):
        store = Project.load(project).store()
        with store.read() as tx:
            found = questions(tx, rep)
        store.close()
    if json:
        output.print_json({"questions": [one.as_json() for one in found]})
        return
    for one in found:
        output.out.print(f"[bold]{one.id}[/bold] {escape(one.text)}" + (f"  [dim]{one.rep}[/dim]" if one.rep else ""))
        for id, name in one.choices.items():
            output.out.print(f"       {escape(name)}  [dim]{id}[/dim]")
    output.out.print(f"{many(len(found), 'question')}. Answer one: `sidefeed ask answer ID DEAL`." if found else
                     "Nothing is asked.")


@ask_app.command("answer")
def answer(
    question: Annotated[str, typer.Argument(help="The question's id, from `sidefeed ask`.")],
    said: Annotated[str, typer.Argument(
        metavar="ANSWER", help="An open deal by id or name, or none; for a person: create or never.")],
    rep: Annotated[str, typer.Option("--as", help="Who answers; kept in the history.")] = "ops",
    only_this: Annotated[bool, typer.Option(
        "--only-this", help="For this meeting and its series alone, not for every meeting with these people.")] = False,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Answer a question. The answer is a change like any other and travels to the CRMs at the next sync."""
    from sidefeed.calendars.ask import answer as give
    from sidefeed.project import Project

    with errors(json):
        store = Project.load(project).store()
        try:
            with store.write() as tx:
                done = give(tx, question, said, actor=rep, only_this=only_this)
        finally:
            store.close()
    output.print_json({"ok": True, "done": done}) if json else output.out.print(escape(done))


@ask_app.command("rules")
def rules(
    forget: Annotated[str | None, typer.Option("--forget", help="End the rule with this id.")] = None,
    rep: Annotated[str, typer.Option("--as", help="Who ends it; kept in the history.")] = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """List what answers became, or end a rule, so that its meetings are asked about again."""
    from sidefeed.calendars.rules import end, rules_of
    from sidefeed.project import Project
    from sidefeed.workspace import StoreError

    with errors(json):
        store = Project.load(project).store()
        try:
            with store.write() as tx:
                found = rules_of(tx, "deal")
                if forget is not None:
                    ended = [one for one in found if one["id"] == forget]
                    if not ended:
                        raise StoreError(f"there is no rule {forget!r}; `sidefeed ask rules` lists them.")
                    end(tx, "deal", ended[0]["of"], actor=rep, reason="ended by hand")
                    found = [one for one in found if one["id"] != forget]
        finally:
            store.close()
    if json:
        output.print_json({"rules": found})
    else:
        output.table(f"{len(found)} rules", ("id", "meetings of", "are filed on"), [
            (one["id"], one["of"], one["value"]) for one in found])


RepOption = Annotated[str, typer.Option("--as", metavar="REP", help="Your mailbox address.")]


@my_app.callback()
def my_calendar(
    context: typer.Context,
    rep: Annotated[str, typer.Option("--as", metavar="REP", help="Your mailbox address.")] = "",
    days: Annotated[int, typer.Option(help="How many days to look ahead.", min=1, max=90)] = 14,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Show what the CRMs will see of your next days, meeting by meeting, and why.

    What is private shows as busy, without a word, here too: its subject was never read.
    """
    if context.invoked_subcommand is not None:
        return
    from sidefeed.calendars.preview import my_calendar as look
    from sidefeed.project import Project

    if not rep:
        output.fail("say whose calendar: --as ann.lee@example.com", output.USAGE, json=json)
    with errors(json):
        store = Project.load(project).store()
        try:
            with store.read() as tx:
                found = look(tx, rep, days=days)
        finally:
            store.close()
    if json:
        output.print_json({"mailbox": rep.casefold(), "meetings": [one.as_json() for one in found]})
        return
    output.table(f"{rep}: the next {days} days", ("id", "when", "leaves", "what the CRMs see", "filed on", "why"), [
        (one.id, one.start[:16].replace("T", " "), one.level if one.leaves else "no",
         "; ".join(part for part in (one.subject, one.location, ", ".join(one.people)) if part) if one.leaves else "",
         one.filed_on or "", one.why) for one in found])
    output.out.print(f"{sum(one.leaves for one in found)} of {len(found)} meetings leave this calendar. Show less: "
                     "`sidefeed my-calendar show busy ID --as REP` (none, busy, title, full). What is asked: "
                     "`sidefeed ask`.")


@my_app.command("show")
def show(
    level: Annotated[str, typer.Argument(help="none, busy, title or full.")],
    meeting: Annotated[str | None, typer.Argument(help="A meeting's id; all of yours, if none is named.")] = None,
    rep: RepOption = "",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Choose how much of a meeting, or of all of yours, the CRMs may see.

    You can always show less than the administrator allows, never more. What was told already is taken back from both
    CRMs at the next sync, and only a hash of it is kept.
    """
    from sidefeed.calendars.enforce import enforce
    from sidefeed.calendars.preview import choose_level, feeds_of
    from sidefeed.project import Project

    if not rep:
        output.fail("say whose calendar: --as ann.lee@example.com", output.USAGE, json=json)
    with errors(json):
        store = Project.load(project).store()
        try:
            with store.write() as tx:
                choose_level(tx, rep, level, meeting=meeting)
                touched = enforce(tx, feeds_of(tx, rep), actor=rep.casefold())
        finally:
            store.close()
    if json:
        output.print_json({"ok": True, "level": level, "taken_back": touched})
    else:
        output.out.print(f"From now on at most {level}. {touched} meetings that were told already are taken back at "
                         "the next sync." if touched else f"From now on at most {level}.")


def team_calendar(
    rep: Annotated[list[str] | None, typer.Option("--as", metavar="REP", help="Only these mailboxes.")] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="How many days to look ahead.")] = 7,
    ics: Annotated[Path | None, typer.Option("--ics", help="Write it as a calendar file here.")] = None,
    token: Annotated[bool, typer.Option("--new-token", help="Make a new token of the feed.")] = False,
    actor: Annotated[str, typer.Option("--by", help="Who makes the token; kept in the audit trail.")] = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Show who is busy when, over every mailbox that is read; never what with."""
    from sidefeed.calendars.team import ADDRESS, feed, new_token, span
    from sidefeed.calendars.team import team_calendar as look
    from sidefeed.project import Project

    with errors(json):
        store = Project.load(project, actor=actor).store()
        try:
            with store.write() as tx:
                found = look(tx, *span(store.now(), days), {one.casefold() for one in rep} if rep else None)
                made = new_token(tx) if token else None
        finally:
            store.close()
    if ics is not None:
        ics.write_bytes(feed(found, store.now()))
    if json:
        output.print_json({"busy": [one.as_json() for one in found], **({"token": made} if made else {})})
        return
    output.table(f"Busy in the next {days} days", ("who", "from", "to", ""), [
        (one.mailbox, one.start[:16].replace("T", " "), one.end[:16].replace("T", " "),
         "" if one.show_as == "busy" else one.show_as) for one in found])
    if made:
        output.out.print(f"Subscribe to {ADDRESS}?token={made} of the address of `sidefeed serve`. The token is shown "
                         "once; the one before opens nothing any more.", soft_wrap=True)


def departed(
    rep: Annotated[str, typer.Argument(help="Who left, by e-mail address.")],
    to: Annotated[str, typer.Option("--to", help="Who takes over, by e-mail address.")],
    by: Annotated[str, typer.Option("--as", help="Who says so; kept in the history.")] = "ops",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would do.")] = False,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Hand the future meetings of somebody who left to somebody else. Past ones stay; private ones are not shown."""
    from sidefeed.calendars.departed import hand_over
    from sidefeed.project import Project

    with errors(json):
        store = Project.load(project).store()
        try:
            with store.write() as tx:
                done = hand_over(tx, rep, to, actor=by, dry_run=dry_run)
        finally:
            store.close()
    if json:
        output.print_json({"ok": True, "dry_run": dry_run, **done.as_json()})
        return
    for name in done.handed_over:
        output.out.print(f"{escape(name)}: {escape(rep)} -> {escape(to)}")
    output.out.print(f"{len(done.handed_over)} future meetings {'would go' if dry_run else 'go'} to {escape(to)}, "
                     f"{done.past} past ones stay. Take the mailbox out of the settings of its calendar system.")
    for name in done.to_plan_again:
        output.out.print(f"[yellow]![/yellow] {escape(name)} stands in the calendar of {escape(rep)}: plan it again.")
