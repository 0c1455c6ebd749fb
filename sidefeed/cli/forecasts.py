"""Commands for those who read and make the forecast: one number, why it differs, why it moved, and what people say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sidefeed.cli import forecast_entries, output
from sidefeed.cli.forecast_room import (
    AsOf,
    Csv,
    Currency,
    Measure,
    Node,
    Parquet,
    PeriodOption,
    Teams,
    Xlsx,
    files,
    moment_of,
    money,
    opened,
    plain_rows,
    print_steps,
    print_table,
    signed,
)
from sidefeed.cli.output import ATTENTION, USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from sidefeed.workspace import Transaction

SHOWN = ("won", "commit", "committed", "best_case", "pipeline", "submitted", "called", "adjusted", "quota", "gap",
         "coverage")
"""The columns of a roll-up on a terminal; those in which nothing stands are left out."""

app = typer.Typer(
    no_args_is_help=False, invoke_without_command=True, rich_markup_mode="markdown",
    help="One number that reconciles every system: the roll-up by team and person, beside each system's own total, "
         "what people submitted, quotas, and how far to trust it.\n\nWithout a word after it, the roll-up. `bridge` "
         "says why a system shows another total, `waterfall` why the number moved. Exit code 1: the number stands, and "
         "something named needs a person (a deal without an amount, a missing rate).")


def register(parent: typer.Typer) -> None:
    """Add these commands to the command line."""
    parent.add_typer(app, name="forecast")


@app.callback(invoke_without_command=True)
def forecast(
    context: typer.Context,
    project: ProjectOption = Path(),
    json: JsonOption = False,
    as_of: AsOf = "",
    period: PeriodOption = "all",
    node: Node = "",
    measure: Measure = "committed",
    currency: Currency = "",
    teams: Teams = "then",
    by: Annotated[list[str] | None, typer.Option("--by", help="Group instead by owner, account, stage, "
                 "status, category, quarter, month, currency or node. May be repeated.")] = None,
    csv_file: Csv = None, parquet: Parquet = None, xlsx: Xlsx = None,
) -> None:
    """Print the roll-up, or hand over to the command that was named."""
    if context.invoked_subcommand:
        sources = [context.get_parameter_source(name) for name in context.params]
        if any(source is not None and source.name == "COMMANDLINE" for source in sources):
            output.fail(f"put the options behind the word: sidefeed forecast {context.invoked_subcommand} --...", USAGE,
                        json=json)
        return
    from sidefeed.forecast import workbook
    from sidefeed.forecast.overview import forecast_in, grouped
    from sidefeed.forecast.rollup import BY

    unknown = [one for one in by or () if one not in BY]
    if unknown:
        output.fail(f"cannot group by {', '.join(unknown)}; choose from {', '.join(BY)}.", USAGE, json=json)
    with opened(project, json) as one, one.store.read() as tx:
        found = forecast_in(tx, one.mappings, one.view(tx, as_of, period, node, measure, currency, teams))
        table = grouped(found, tx, by, one.calendar) if by else None
        shown = found.nodes if table is None else table
        files(shown, csv_file, parquet, xlsx, workbook.sheets(found, table),
              workbook.about(found.view, found.stamp.sentence(), found.problems))
        if json:
            from sidefeed.forecast import records

            output.print_json({**found.as_json(), **({} if table is None else {"by": records(table)})})
        elif csv_file != Path("-"):
            _print_forecast(found, table)
    if found.problems:
        raise typer.Exit(ATTENTION)


def _print_forecast(found: Any, table: pd.DataFrame | None) -> None:
    number = ", ".join(money(amount, code) for code, amount in found.number.items()) or "nothing"
    output.out.print(f"[bold]{escape(found.view.measure)}, {escape(found.view.period.name)}: {number}[/bold]")
    output.out.print(escape(found.stamp.sentence()))
    if table is not None:
        print_table("By " + ", ".join(str(name) for name in table.columns[:-3]), table)
    else:
        rows = plain_rows(found.nodes)
        columns = [name for name in SHOWN if any(row[name] is not None for row in rows)]
        output.table("Roll-up", ("", *(name.replace("_", " ") for name in columns), ""), [
            ("  " * row["level"] + row["name"], *(money(row[name]) for name in columns), row["currency"])
            for row in rows])
    if not len(found.nodes):
        output.out.print("No deal counts here.")
        return
    output.table("By source", ("source", "deals", found.view.measure, "difference", "open", "difference open", "won",
                               "difference won", ""), [
        (row["source"], row["deals"], money(row["counted"]), signed(row["difference"]), money(row["open"]),
         signed(row["open_difference"]), money(row["won"]), signed(row["won_difference"]), row["currency"])
        for row in plain_rows(found.sources)])
    for problem in found.problems:
        output.out.print(f"[yellow]![/yellow] {escape(problem)}")


@app.command()
def bridge(
    project: ProjectOption = Path(), json: JsonOption = False, as_of: AsOf = "", period: PeriodOption = "all",
    node: Node = "", measure: Measure = "committed", currency: Currency = "", teams: Teams = "then",
    system: Annotated[list[str] | None, typer.Option("--system", help="This system only. May be repeated.")] = None,
    csv_file: Csv = None, parquet: Parquet = None, xlsx: Xlsx = None,
) -> None:
    """Why a system's own report shows another total, step by step to the cent. Each step lists its deals.

    With `--as-of`, as it stood on a past day, from the change log: what each system was known to hold by then.
    """
    from sidefeed.forecast import records, workbook
    from sidefeed.forecast.reconcile import reconcile_in

    with opened(project, json) as one, one.store.read() as tx:
        about = one.view(tx, as_of, period, node, measure, currency, teams)
        found = reconcile_in(tx, one.mappings, about.scope(tx), system, about.as_of)
        sheets = workbook.bridge_sheets(found)
        files(sheets["Bridge deals"], csv_file, parquet, xlsx, sheets, workbook.about(about, moment_of(about), ()))
        if json:
            output.print_json({name: {"steps": records(made.steps), "deals": records(made.deals)}
                               for name, made in found.items()})
        elif csv_file != Path("-"):
            for name, made in found.items():
                print_steps(f"{name}: {about.measure}, {about.period.name}. {moment_of(about)}", made.steps, made.deals)


def _start(tx: Transaction, since: str, end: datetime, zone: str) -> tuple[datetime | None, bool]:
    """The moment that ``--since`` names, and whether it was moved: nothing named is a week before, or the first reading
    where that is later."""
    from sidefeed.forecast.history import end_of, first_reading
    from sidefeed.forecast.view import local_day, parse_moment

    if since and since.strip().lower() != "first":
        return parse_moment(since, tx.store.now(), zone), False
    first = first_reading(tx)
    week = end_of(local_day(end, zone) - timedelta(days=7), zone)
    if first is None:
        return week, False
    return (first, not since) if since or first > week else (week, False)


@app.command()
def waterfall(
    since: Annotated[str, typer.Option("--since", help="The first day: 2026-03-24, an instant, 7d for seven days ago, "
                                                       "or first for the first reading. Without it seven days ago, or "
                                                       "the first reading where that is later.")] = "",
    project: ProjectOption = Path(), json: JsonOption = False, as_of: AsOf = "", period: PeriodOption = "all",
    node: Node = "", measure: Measure = "committed", currency: Currency = "", teams: Teams = "then",
    moves: Annotated[bool, typer.Option("--moves", help="List every single move in between too.")] = False,
    csv_file: Csv = None, parquet: Parquet = None, xlsx: Xlsx = None,
) -> None:
    """Why the number moved between two days: one reason for each deal, amounts apart, and who did it."""
    from sidefeed.forecast import explain, records, workbook

    with opened(project, json) as one:
        with one.store.read() as tx:
            about = one.view(tx, as_of, period, node, measure, currency, teams)
            end = about.as_of or one.store.now()
            start, moved = _start(tx, since, end, one.zone)
            if start is None or start > end:
                output.fail(f"the first day ({since or '7d'}) must lie before the second ({as_of or 'now'}).", USAGE,
                            json=json)
            scopes = about.scopes(tx, start)
        found = explain(one.store, start, end, scopes)
        span = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
        files(found.deals, csv_file, parquet, xlsx, workbook.waterfall_sheets(found), workbook.about(about, span, ()))
        if json:
            output.print_json({"start": found.start.isoformat(), "end": found.end.isoformat(),
                               "steps": records(found.steps), "deals": records(found.deals),
                               "gross": records(found.gross), "moves": records(found.moves)})
        elif csv_file != Path("-"):
            print_steps(f"{about.measure}, {about.period.name}: {span}", found.steps, found.deals)
            if moved:
                output.out.print("Sidefeed has known these deals only since then, so this is the change since the "
                                 "first reading. `sidefeed forecast history` takes over what the systems remember.")
            if one.store_began_after(found.start):
                output.out.print("No deal was known on the first day, so all of them count as created. Compare with a "
                                 "later day; `sidefeed forecast history` takes over what the systems remember.")
            print_table("Gross moves inside the period", found.gross)
            if moves:
                print_table("Every move", found.moves)


@app.command()
def deals(
    project: ProjectOption = Path(), json: JsonOption = False, as_of: AsOf = "", period: PeriodOption = "all",
    node: Node = "", measure: Measure = "committed", currency: Currency = "", teams: Teams = "then",
    csv_file: Csv = None, parquet: Parquet = None, xlsx: Xlsx = None,
) -> None:
    """The deals of a number, as they stood on any day, with both amounts where a currency is reported in."""
    from sidefeed.forecast import converted, records, workbook
    from sidefeed.forecast.columns import counted
    from sidefeed.forecast.history import deals as deals_of

    with opened(project, json) as one, one.store.read() as tx:
        about = one.view(tx, as_of, period, node, measure, currency, teams)
        scope, table = about.scope(tx), deals_of(tx, about.as_of)
        table = table[counted(table, scope)].reset_index(drop=True)
        found = about.rates(tx)
        shown = converted(table, found) if found else table
        problems = found.problems() if found else []
        files(shown, csv_file, parquet, xlsx, {"Deals": shown}, workbook.about(about, "", problems))
        if json:
            output.print_json({"deals": records(shown), "problems": problems})
        elif csv_file != Path("-"):
            more = ("converted", "into", "rate", "rate_kind") if found else ()
            output.table(f"{about.measure}, {about.period.name}", (
                "deal", "account", "owner", "stage", "category", "closes", "amount", "", *more, "disputed"), [
                (row["name"], row["account"], row["owner"], row["stage"], row["category"], row["close_date"],
                 money(row["amount"]), row["currency"],
                 *(money(row[name]) if name == "converted" else row[name] for name in more), row["disputed"])
                for row in plain_rows(shown)])
            for problem in problems:
                output.out.print(f"[yellow]![/yellow] {escape(problem)}")
    if problems:
        raise typer.Exit(ATTENTION)


@app.command()
def accuracy(
    project: ProjectOption = Path(), json: JsonOption = False, as_of: AsOf = "", node: Node = "",
    currency: Currency = "",
    every: Annotated[str, typer.Option("--every", help="Which periods: year, quarter or month.")] = "quarter",
    csv_file: Csv = None, parquet: Parquet = None, xlsx: Xlsx = None,
) -> None:
    """What each method says of the current period, and how far it was off in finished ones, beside "same as last
    period"."""
    from sidefeed.forecast import records, workbook
    from sidefeed.forecast.accuracy import assess

    if every not in ("year", "quarter", "month"):
        output.fail(f"periods are year, quarter or month, not {every!r}.", USAGE, json=json)
    with opened(project, json) as one, one.store.read() as tx:
        about = one.view(tx, as_of, "all", node, "won", currency, "then")
        found = assess(tx, about, one.calendar, kind=every)  # type: ignore[arg-type]
        tables = {"Predicted": found.predicted, "Accuracy": found.accuracy, "Calibration": found.calibration,
                  "Tests": found.tests}
        files(found.accuracy, csv_file, parquet, xlsx, tables, workbook.about(about, f"for {found.period.name}", ()))
        if json:
            output.print_json({"period": found.period.name, "tested": [one.name for one in found.tested],
                               **{name.lower(): records(table) for name, table in tables.items()}})
        elif csv_file != Path("-"):
            output.out.print(f"{found.period.name}: {len(found.tested)} finished periods to learn from and test on." + (
                "" if len(found.tested) >= 4 else " Fewer than four: counts, and no percentages."))
            print_table("Predicted", found.predicted.drop(columns=["days_before", "periods"]))
            print_table("Accuracy", found.accuracy)
            print_table("Calibration", found.calibration)


@app.command()
def measures(
    project: ProjectOption = Path(), json: JsonOption = False, node: Node = "", xlsx: Xlsx = None,
) -> None:
    """How long deals stay in each stage and leave it for a reason, pushes, next steps, time to won and to no, fit, cost
    of sale, typing saved.

    A person sees the own numbers, a team the medians of its people; nobody is ranked. What is not known is said, with
    what it would need.
    """
    from sidefeed.forecast import records, workbook
    from sidefeed.forecast.measures import measured, not_known

    with opened(project, json) as one, one.store.read() as tx:
        about = one.view(tx, "", "all", node, "open", "own")
        tables = measured(tx, about, one.mappings, one.project.settings.forecast)
        missing = not_known(tables)
        files(next(iter(tables.values())), None, None, xlsx, tables,
              workbook.about(about, moment_of(about), missing))
        if json:
            output.print_json({**{name.lower().replace(" ", "_"): records(table) for name, table in tables.items()},
                               "not_known": missing})
        else:
            for name, table in tables.items():
                print_table(name, table.drop(columns=[column for column in table.columns if column == "record"]))
            for sentence in missing:
                output.out.print(escape(sentence))


@app.command()
def coverage(
    project: ProjectOption = Path(), json: JsonOption = False, as_of: AsOf = "", period: PeriodOption = "this-quarter",
    node: Node = "", currency: Currency = "", csv_file: Csv = None, parquet: Parquet = None, xlsx: Xlsx = None,
) -> None:
    """What is missing to each quota, how much is open for it, and how much of the work is captured at all."""
    from sidefeed.forecast import records, workbook
    from sidefeed.forecast.overview import forecast_in

    with opened(project, json) as one, one.store.read() as tx:
        found = forecast_in(tx, one.mappings, one.view(tx, as_of, period, node, "committed", currency))
        table = found.nodes[["name", "kind", "level", "currency", "quota", "won", "gap", "open", "coverage"]]
        files(table, csv_file, parquet, xlsx, {"Coverage": table, "Capture": found.stamp.capture},
               workbook.about(found.view, found.stamp.sentence(), found.problems))
        if json:
            output.print_json({"nodes": records(table), "capture": records(found.stamp.capture)})
        elif csv_file != Path("-"):
            if not table["quota"].notna().any():
                output.out.print(f"No quota is entered for {found.view.period.name}; `sidefeed forecast quota FILE` "
                                 f"enters some.")
            columns = ("quota", "won", "gap", "open")
            output.table(f"Quota and coverage, {found.view.period.name}", ("", *columns, "coverage", ""), [
                ("  " * row["level"] + row["name"], *(money(row[name]) for name in columns), row["coverage"],
                 row["currency"]) for row in plain_rows(table)])
            output.table("Captured", ("what", "count", "of", "%"), [
                (row["what"], row["count"], row["of"], row["percent"]) for row in plain_rows(found.stamp.capture)])


forecast_entries.register(app)
