"""Commands that enter what a forecast needs from people: submissions, quotas, rates, teams."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from sidefeed.cli import output
from sidefeed.cli.forecast_room import (
    Actor,
    AsOf,
    Csv,
    Currency,
    Measure,
    Open,
    Parquet,
    Xlsx,
    files,
    money,
    opened,
    plain_rows,
)
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, SystemsArgument, errors
from sidefeed.plural import many


def register(app: typer.Typer) -> None:
    """Add these commands to `sidefeed forecast`."""
    for command in (submit, submissions, quota, rates, team, history):
        app.command()(command)


def submit(
    amount: Annotated[str, typer.Argument(help="The number, such as 125000 or 125000.50.")],
    period: Annotated[str, typer.Option("--period", help="What it is for, such as 2026-Q1 or this-quarter.")],
    node: Annotated[str, typer.Option("--node", help="Whose number: a team, or a person by e-mail address or name.")],
    actor: Actor,
    project: ProjectOption = Path(), json: JsonOption = False, currency: Currency = "",
    measure: Measure = "committed",
    call: Annotated[bool, typer.Option("--call", help="A manager's call: what you expect instead of the submission.")
                    ] = False,
    adjust: Annotated[bool, typer.Option("--adjust", help="A manager's adjustment: what you add to the computed number."
                                         )] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; required with --call and --adjust.")] = "",
) -> None:
    """Enter what you commit to, or as a manager what you expect instead. Kept for ever, beside the computed number."""
    from sidefeed.forecast import submit as enter
    from sidefeed.forecast import totals
    from sidefeed.forecast.history import deals as deals_of

    if call and adjust:
        output.fail("--call and --adjust are two different entries; give one of them.", USAGE, json=json)
    kind = "call" if call else "adjustment" if adjust else "submission"
    with opened(project, json) as one, one.store.write() as tx:
        code = one.currency(currency)
        about = one.view(tx, "", period, node, measure, code or "own")
        if not code:
            output.fail("say in which currency with --currency, or set one under [forecast] in sidefeed.toml.", USAGE,
                        json=json)
        computed = totals(deals_of(tx), about.scope(tx)).get(code)
        id = enter(tx, node=about.node, period=about.period, amount=amount, currency=code, actor=actor, kind=kind,
                   measure=measure, reason=reason, computed=computed)
    told = {"ok": True, "id": id, "kind": kind, "node": about.node, "period": about.period.name, "amount": amount,
            "currency": code, "computed": None if computed is None else format(computed, "f")}
    if json:
        output.print_json(told)
    else:
        output.out.print(f"Entered {kind} {id}: {money(Decimal(amount), code)} for {about.period.name}; the deals say "
                         f"{money(computed) or 'nothing'} today.")


def submissions(
    project: ProjectOption = Path(), json: JsonOption = False, as_of: AsOf = "", csv_file: Csv = None,
    parquet: Parquet = None, xlsx: Xlsx = None,
) -> None:
    """Everything that was ever submitted, called or adjusted, with its author and reason."""
    from sidefeed.forecast import People, calls, records
    from sidefeed.forecast.view import parse_moment

    with opened(project, json) as one, one.store.read() as tx:
        found, people = calls(tx, parse_moment(as_of, one.store.now(), one.zone)), People(tx)
    files(found, csv_file, parquet, xlsx, {"Submissions": found}, {"What": "Submissions, calls and adjustments"})
    if json:
        output.print_json(records(found))
    elif csv_file != Path("-"):
        output.table("Submissions", ("at", "who", "kind", "node", "measure", "period", "amount", "", "computed",
                                     "reason", "stands"), [
            (str(row["at"])[:16], row["actor"], row["kind"], people.name(row["node"]), row["measure"],
             f"{row['start']}..{row['end']}", money(row["amount"]), row["currency"], money(row["computed"]),
             row["reason"], "yes" if row["stands"] else "") for row in plain_rows(found)])


def quota(
    file: Annotated[Path | None, typer.Argument(help="A CSV file with the columns node, from, to, currency, amount. It "
                                                "replaces the quotas there are; the earlier ones stay in the history."
                                                )] = None,
    project: ProjectOption = Path(), json: JsonOption = False, actor: Actor = "ops",
) -> None:
    """Show the quotas, or replace them by those of a CSV file. The file is taken whole or not at all."""
    from sidefeed.forecast.calls import QUOTA_COLUMNS, import_quotas

    with opened(project, json) as one:
        if file is not None:
            rows = _rows(file, QUOTA_COLUMNS[:1] + QUOTA_COLUMNS[1:], QUOTA_COLUMNS)
            with one.store.write() as tx:
                teams = one.view(tx, "", "all", "", "committed", "own").tree(tx).teams
                added, closed = import_quotas(tx, rows, actor, teams)
            _told("quotas", len(rows), added, closed, json)
            return
        _show(one, "quota", "Quotas", ("node", "valid_from", "valid_to", "currency", "amount", "actor"), json)


def rates(
    file: Annotated[Path | None, typer.Argument(help="A CSV file with the columns kind (plan or dated), currency, "
                                                "into, rate, from, to. It replaces the rates there are.")] = None,
    project: ProjectOption = Path(), json: JsonOption = False, actor: Actor = "ops",
) -> None:
    """Show the own rates, or replace them by those of a CSV file. Dated ones go before the European Central Bank's."""
    from sidefeed.forecast.rates import COLUMNS, import_rates

    with opened(project, json) as one:
        if file is not None:
            rows = _rows(file, COLUMNS[:4], COLUMNS)
            with one.store.write() as tx:
                added, closed = import_rates(tx, rows, actor)
            _told("rates", len(rows), added, closed, json)
            return
        _show(one, "fx_rate", "Rates", ("kind", "currency", "into", "rate", "valid_from", "valid_to", "actor"), json)


def team(
    file: Annotated[Path | None, typer.Argument(help="A CSV file with the columns team, member, and if you like kind "
                                                "(person or team), role (member or lead), from, to.")] = None,
    project: ProjectOption = Path(), json: JsonOption = False, actor: Actor = "ops", as_of: AsOf = "",
) -> None:
    """Show the teams of a day, or replace them by those of a CSV file. Past reports keep the past teams."""
    from sidefeed.forecast.branches import branches
    from sidefeed.forecast.hierarchy import COLUMNS, People, import_memberships

    with opened(project, json) as one:
        if file is not None:
            rows = _rows(file, COLUMNS[:2], COLUMNS)
            with one.store.write() as tx:
                added, closed = import_memberships(tx, rows, actor)
            _told("memberships", len(rows), added, closed, json)
            return
        with one.store.read() as tx:
            tree, people = one.view(tx, as_of, "all", "", "committed", "own").tree(tx), People(tx)
    names = {id: people.name(id) for id in tree.people}
    lines: list[dict[str, Any]] = [
        {"node": branch.key, "name": branch.name, "team": branch.parent, "level": branch.level - 1,
         "lead": branch.key in tree.leads.get(branch.parent or "", ()), "kind": branch.kind}
        for branch in branches(tree, (), names).walk() if branch.parent is not None]
    if json:
        output.print_json(lines)
    elif not lines:
        output.out.print("No teams yet: everybody stands below `everyone`. Give a CSV file to make some.")
    else:
        output.table("Teams", ("", "kind", ""), [("  " * line["level"] + line["name"], line["kind"],
                                                  "leads" if line["lead"] else "") for line in lines])


def history(
    systems: SystemsArgument = None, project: ProjectOption = Path(), json: JsonOption = False,
) -> None:
    """Take over what the CRMs remember of each deal from before Sidefeed was there.

    Reads only: nothing that stands changes, and nothing is written to any system. May be stopped and started again.
    """
    from sidefeed.project import Project
    from sidefeed.sync.backfill import backfill

    with errors(json):
        one = Project.load(project)
        store, mappings = one.store(), one.mappings()
        added: dict[str, int] = {}
        try:
            with output.progress(quiet=json) as bar:
                for system in systems or one.systems:
                    connector = one.connector(system)
                    kinds = [om for om in mappings.for_system(system) if om.entity == "opportunity"]
                    added[system] = sum(backfill(store, om, connector, progress=bar) for om in kinds)
        finally:
            store.close()
            one.close()
    if json:
        output.print_json({"ok": True, "added": added})
    else:
        told = ", ".join(f"{many(count, 'change')} from {name}" for name, count in added.items())
        output.out.print(f"Taken over: {told}.")


def _rows(file: Path, needed: Sequence[str], columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file. Raises EntryError for a file that cannot be read or lacks a column."""
    from sidefeed.forecast import EntryError

    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            header = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            missing = [name for name in needed if name not in header]
            unknown = [name for name in header if name not in columns]
            if missing or unknown:
                raise EntryError(f"{file}: " + "; ".join([
                    *([f"the columns {', '.join(missing)} are missing"] if missing else []),
                    *([f"the columns {', '.join(unknown)} are not known"] if unknown else [])]) +
                    f". Columns: {', '.join(columns)}.")
            return [{name: value or "" for name, value in row.items() if name} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EntryError(f"{file} cannot be read as a CSV file in UTF-8: {error}.") from None


def _told(what: str, rows: int, added: int, closed: int, json: bool) -> None:
    if json:
        output.print_json({"ok": True, "rows": rows, "added": added, "closed": closed})
    else:
        output.out.print(f"{rows} {what}: {added} new, {closed} closed, {rows - added} unchanged.")


def _show(one: Open, table: str, title: str, columns: Sequence[str], json: bool) -> None:
    from sidefeed.forecast import People
    from sidefeed.forecast.entries import known
    from sidefeed.workspace import tables

    with one.store.read() as tx:
        rows, people = known(tx, tables.metadata.tables[table]), People(tx)
    if json:
        output.print_json([{name: row[name] for name in ("id", *columns, "known_from")} for row in rows])
    else:
        output.table(title, [name.replace("valid_", "").replace("_", " ") for name in columns], [
            [people.name(row[name]) if name == "node" else row[name] for name in columns] for row in rows])


