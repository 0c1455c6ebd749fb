"""Commands for what was refused: what a code means, and asking again once its cause is mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import (
    ActorOption,
    BodiesOption,
    JsonOption,
    ProjectOption,
    RecordOption,
    calls_of,
    end_with,
    recorded,
)
from sidefeed.cli.shared import errors as told
from sidefeed.plural import many

SHOWN = 20
"""How many reasons are told of one code."""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(errors)
    app.command()(retry)


def errors(
    code: Annotated[str | None, typer.Argument(help="Explain this code only.")] = None,
    json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/errors.md.")] = False,
) -> None:
    """Explain the codes of errors: what happened, who must act, what mends it, when it is tried again."""
    from dataclasses import asdict

    from sidefeed.errors import GROUPS, RETRY, Codes
    from sidefeed.errors import markdown as page
    from sidefeed.mapping.files import nearest
    from sidefeed.project import connector_codes

    systems = connector_codes()
    groups = [*GROUPS, *((name, f"What the connector `{name}` can say.", codes) for name, codes in systems.items())]
    if markdown:
        typer.echo(page(groups), nl=False)
        return
    found = Codes(one for codes in systems.values() for one in codes)
    if code is not None and code not in found:
        near = nearest(code, (one.code for one in found.all()))
        output.fail(f"{code!r} is no code that Sidefeed or an installed connector lists; it is treated as the class of "
                    f"error it came with. {near or '`sidefeed errors` lists all codes.'}", USAGE, json=json)
    chosen = [one for one in found.all() if code in (None, one.code)]
    if json:
        output.print_json({"codes": [{**asdict(one), "retry_means": RETRY[one.retry]} for one in chosen]})
        return
    for one in chosen:
        output.out.print(f"[bold]{one.code}[/bold] ({one.owner}): {escape(one.cause)} {escape(one.fix)} "
                         f"[dim]{escape(RETRY[one.retry])}[/dim]")


def retry(
    code: Annotated[str | None, typer.Option("--code", help="Only what was refused with this code.")] = None,
    record: Annotated[str | None, typer.Option(
        "--record", help="Only this record: its id, a remote id, or part of its name.")] = None,
    system: Annotated[str | None, typer.Option("--system", help="Only what this system refused.")] = None,
    later: Annotated[bool, typer.Option("--later", help="Only mark it; the next sync asks.")] = False,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Ask the systems again for what they refused, after its cause was mended.

    Nothing is sent that a sync would not send: the records are planned like any other, and guards apply. What is
    refused again goes back into quarantine. `sidefeed status` lists what is refused, with the code of each.
    """
    from sidefeed.project import Project
    from sidefeed.sync import quarantine
    from sidefeed.workspace.report import find_records

    with told(json):
        opened = Project.load(project, actor=actor)
        if system is not None:
            opened.check_system(system)
        store = opened.store()
        records = None
        if record is not None:
            with store.read() as tx:
                records = [state.id for state in find_records(tx, record)]
            if not records:
                output.fail(f"no record is called {record!r}; `sidefeed status` lists what was refused.", USAGE,
                            json=json)
        chosen = quarantine.retry(store, code=code, records=records, system=system)
        with store.read() as tx:
            standing = Counter(row["code"] for row in tx.refused())
        store.close()
        feeds = Counter(f"{one['system']} {one['object']}" for one in chosen)
        if later or not chosen:
            opened.close()
            _marked(chosen, feeds, standing, json=json)
            return
        with recorded(opened, "retry", record_calls, bodies=record_bodies, json=json), \
                output.progress(quiet=json) as bar, opened.engine(progress=bar) as engine:
            report = engine.sync()
            calls = calls_of(engine)
        opened.close()
    if not json:
        output.out.print(f"Asked again: {', '.join(f'{feed} {number}' for feed, number in feeds.items())}")
    end_with(report, calls, json=json)


def _marked(chosen: list[dict[str, Any]], feeds: Counter[str], standing: Counter[str], *, json: bool) -> None:
    if json:
        output.print_json({"ok": True, "retry": chosen})
    elif not chosen:
        codes = ", ".join(f"{code} {number}" for code, number in standing.most_common())
        output.out.print(f"Nothing is refused that fits; what is refused, by code: {codes or 'nothing'}.")
    else:
        output.out.print(f"The next sync asks again: {', '.join(f'{feed} {number}' for feed, number in feeds.items())}")


def show(refusals: Sequence[dict[str, Any]]) -> None:
    """The quarantine by code and who must act, and what was refused for one reason once, with its first records."""
    if not refusals:
        return
    from sidefeed.cli.alike import told_once

    by_code: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in refusals:
        by_code.setdefault((one["owner"], one["code"], one["fix"]), []).append(one)
    for (owner, code, fix), rows in sorted(by_code.items()):
        output.out.print(f"\n[yellow]{escape(code)}[/yellow] for [bold]{owner}[/bold], {len(rows)}: {escape(fix)} "
                         f"[dim]{escape(rows[0]['retry'])}[/dim]")
        reasons = told_once((f"{one['system']} {one['object']}", str(one["label"]),
                             f" {one['field']}" if one["field"] else "", one["message"]) for one in rows)
        for sentence in reasons[:SHOWN]:
            output.out.print(f"  {escape(sentence)}")
        if len(reasons) > SHOWN:
            output.out.print(f"  ... and {many(len(reasons) - SHOWN, 'other reason')}; --json prints all.")
