"""`sidefeed audit`: who did what, the check that nobody changed it since, and the trail as a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, errors, the_record
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.audit.verify import Verdict
    from sidefeed.project import Project
    from sidefeed.workspace import Store

app = typer.Typer(help="Show who did what, and prove that nobody changed it since.", invoke_without_command=True)


def register(main: typer.Typer) -> None:
    """Add these commands to the command line."""
    main.add_typer(app, name="audit")


@app.callback()
def audit(
    context: typer.Context,
    record: Annotated[str | None, typer.Option(
        "--record", help="Only this record: its id, a remote id, or part of its name.")] = None,
    actor: Annotated[str | None, typer.Option(
        "--actor", help="Only what this person or policy did; `sidefeed` for what was written to the systems.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="Only this run: its id, or the start of it.")] = None,
    system: Annotated[str | None, typer.Option("--system", help="Only what came from or went to this system.")] = None,
    since: Annotated[str | None, typer.Option(
        "--since", help="Only from this day or moment on (UTC): 2027-03-01, 2027-03-01T08:00.")] = None,
    what: Annotated[str | None, typer.Option(
        "--what", help="Only this: change, write, run, mapping, settings, approve, skip, rule, ...")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many entries to show.")] = 40,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """List who did what, newest first: changes of records, writes to the systems, and what people decided or set.

    `sidefeed audit verify` checks that nothing of it was changed since it was sealed, `sidefeed audit export FILE`
    writes it for somebody else to check. Words of meetings are withheld here.
    """
    if context.invoked_subcommand is not None:
        return
    from sidefeed.audit.listing import Wanted, entries
    from sidefeed.project import Project

    moment = _moment(since, json=json)
    with errors(json):
        store = Project.load(project).store()
        try:
            one = the_record(store, record, json=json).id if record else None
            with store.read() as tx:
                found = entries(tx, Wanted(one, actor, tx.run(run)["id"] if run else None, system, moment, what,
                                           limit))
        finally:
            store.close()
    if json:
        output.print_json({"entries": found})
        return
    output.table(many(len(found), "entry", "entries"), ("when", "who", "what", "where", "about", "told", ""), [
        (line["at"][:19].replace("T", " "), line["actor"], line["what"],
         " ".join(part for part in (line["system"], line["object"]) if part), line["label"] or line["record"] or "",
         _told(line["detail"]), "" if line["sealed"] else "not sealed yet") for line in found])
    if len(found) == limit:
        output.out.print(f"These are the newest {limit}; --limit shows more, and the options of --help narrow it down.")


def _moment(text: str | None, *, json: bool) -> str | None:
    from sidefeed.workspace.clock import utc_text

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        output.fail(f"{text!r} is no day or moment; write 2027-03-01 or 2027-03-01T08:00.", USAGE, json=json)
    return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


_LONGEST = 120


def _told(detail: dict[str, Any]) -> str:
    """The detail of an entry on one line; --json has all of it."""
    from sidefeed.workspace.report import readable

    told = {name: value for name, value in detail.items() if name != "entries"}  # digests tell a reader nothing
    if "fields" in told:
        before = told.pop("before", {})
        fields = told.pop("fields")
        told = {**{name: f"{readable(before[name])} -> {readable(value)}" if before.get(name) is not None
                   else readable(value) for name, value in fields.items()}, **told}
    text = "; ".join(f"{name}: {value}" for name, value in told.items() if value not in (None, {}, []))
    return text if len(text) <= _LONGEST else text[:_LONGEST - 3] + "..."


@app.command()
def verify(
    head: Annotated[str | None, typer.Option("--head", help=(
        "A head that was kept elsewhere (NUMBER:HASH): check that it is part of this trail."))] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many findings to print; --json prints all.")] = 20,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Check that nothing was changed, removed or put in after it was sealed. Reads only.

    A trail can only prove what its last hash proves: keep the head that this command, every run (--json) and every
    export print somewhere that the people who may write to this workspace cannot reach, and give it back with --head.
    It shows a trail that was cut off, written anew, or restored from an old backup.

    Exit code 1: something does not hold.
    """
    from sidefeed.audit.verify import verify as check
    from sidefeed.project import Project

    with errors(json):
        store = Project.load(project).store()
        try:
            with output.progress(quiet=json) as bar:
                found = check(store, head, bar)
        finally:
            store.close()
    if json:
        output.print_json(found.as_json())
    else:
        _print(found, head, limit)
    if not found.ok:
        raise typer.Exit(ATTENTION)


_MEANS = {
    "changed": "Somebody wrote into the database past Sidefeed, or a disk or a restore damaged it.",
    "gone": "Somebody deleted from the database past Sidefeed, or a disk or a restore damaged it.",
    "added": "Somebody wrote into the database past Sidefeed.",
    "seal": "Somebody changed the seals themselves, so what they held cannot be told apart from what was forged.",
    "older": "Nothing need be forged: a restored backup ends where it was taken. `sidefeed sync` reads from the "
             "systems what came since; decisions made since are only in what was exported.",
    "other": "If this workspace went on from a restored backup, keep its new head from now on, and the old export with "
             "the old head; if it did not, its history was written anew.",
}
_DO = {
    "older": "Put the newest copy of the workspace back if there is one.",
    "other": "Compare the last export with a new one: the first line that differs is where they part.",
}
_KEEP = ("Keep a copy of the database as it is now, compare the entry with the last export or backup, and find out who "
         "could write to the database. Nothing is mended by itself, and syncs go on.")


def _print(found: Verdict, kept: str | None, limit: int) -> None:
    for (at, actor, why), number in list(found.redacted.items())[:limit]:
        output.out.print(f"{many(number, 'entry was', 'entries were')} redacted on {at[:10]} by {escape(actor)}: "
                         f"{escape(why)}")
    if len(found.redacted) > limit:
        output.out.print(f"... and {len(found.redacted) - limit} more redactions; --json prints all.")
    for one in found.findings[:limit]:
        output.out.print(f"[red]x[/red] {escape(str(one))}")
    if len(found.findings) > limit:
        output.out.print(f"... and {len(found.findings) - limit} more; --json prints all.")
    if found.findings:
        first = found.findings[0].what
        output.out.print(f"{_MEANS[first]} {_DO.get(first, _KEEP)}")
    else:
        output.out.print(f"[green]Nothing was changed:[/green] {many(found.entries, 'entry holds', 'entries hold')}"
                         + (", and the head that was kept is one of them." if kept else "."))
    if found.waiting:
        output.out.print(f"{many(found.waiting, 'more is', 'more are')} not sealed yet; the next run seals them.")
    output.out.print(f"Head: {found.head}")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The file to write, one JSON object a line.")],
    with_words: Annotated[bool, typer.Option(
        "--with-words", help="Also the words of meetings, which are withheld otherwise.")] = False,
    without_contents: Annotated[bool, typer.Option(
        "--without-contents", help="No contents at all: who did what to which record when, and digests.")] = False,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Seal what is not sealed yet, and write the whole trail to a file that anybody can check without Sidefeed.

    docs/audit.md has the format, and a script that checks it. What is withheld leaves the file as provable as it was.
    Exit code 1: the trail does not hold, and nothing was written.
    """
    from sidefeed.audit.export import Broken
    from sidefeed.audit.export import export as write
    from sidefeed.project import Project

    if with_words and without_contents:
        output.fail("give --with-words or --without-contents, not both.", USAGE, json=json)
    with errors(json):
        opened = Project.load(project)
        store = _sealed(opened, json=json)
        try:
            with output.progress(quiet=json) as bar:
                head = write(store, file, withhold="none" if with_words else "all" if without_contents else "words",
                             progress=bar)
        except Broken as error:
            output.fail(str(error), ATTENTION, json=json)
        except OSError as error:
            output.fail(f"{error.filename or file} cannot be written ({error.strerror}).", USAGE, json=json)
        finally:
            store.close()
    if json:
        output.print_json({"ok": True, "file": str(file), "entries": head.number, "head": str(head)})
    else:
        output.out.print(f"{many(head.number, 'entry is', 'entries are')} in {escape(str(file))}.")
        output.out.print(f"Head: {head}")


def _sealed(opened: Project, *, json: bool) -> Store:
    from sidefeed.audit import seal

    store = opened.store()
    try:
        with output.progress(quiet=json) as bar:
            seal(store, bar)
    except BaseException:
        store.close()
        raise
    return store
