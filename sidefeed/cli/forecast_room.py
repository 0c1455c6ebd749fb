"""What the commands of the forecast have in common: their options, the opened project, tables and files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidefeed.cli import output
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import errors

if TYPE_CHECKING:
    import pandas as pd

    from sidefeed.forecast import Calendar, View
    from sidefeed.mapping import Mapping as Mappings
    from sidefeed.project import Project
    from sidefeed.workspace import Store, Transaction

AsOf = Annotated[str, typer.Option("--as-of", help="The day the report is of: 2026-03-31 (its end), an instant, or 7d "
                                                   "for seven days ago. Default: now.")]
PeriodOption = Annotated[str, typer.Option("--period", help="Closing dates that count: 2026-Q1, FY2026, 2026-P03, "
                                           "2026-03, 2026-01-15..2026-02-28, this-quarter, last-month, all.")]
Node = Annotated[str, typer.Option("--node", help="A team, or a person by e-mail address or name. Default: everyone.")]
Measure = Annotated[str, typer.Option("--measure", help="open, won, lost, all (open and won), committed (won and "
                                      "commit), or a category: omitted, pipeline, best_case, commit, closed.")]
Currency = Annotated[str, typer.Option("--currency", help="Report in this currency; 'own' keeps each apart. Default: "
                                       "the project's.")]
Teams = Annotated[str, typer.Option("--teams", help="Show the past by the teams of `then` or of `now`.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the table to this file, or - for standard output.")]
Parquet = Annotated[Path | None, typer.Option("--parquet", help="Write the table to this Parquet file.")]
Xlsx = Annotated[Path | None, typer.Option("--xlsx", help="Write everything to this workbook.")]
Actor = Annotated[str, typer.Option("--as", help="Who enters it; kept in the history.")]

LISTED = 40
"""So many deals of a bridge or a waterfall fit on a screen; files have them all."""


@dataclass(frozen=True)
class Open:
    """An opened project, with what every report needs."""

    project: Project
    store: Store
    mappings: Mappings
    calendar: Calendar

    @property
    def zone(self) -> str:
        return self.project.settings.timezone

    def store_began_after(self, moment: datetime) -> bool:
        """Whether nothing at all was known at a moment, and something is now."""
        from sidefeed.forecast.history import revision_at

        with self.store.read() as tx:
            return revision_at(tx, moment) == 0 < tx.last_rev()

    def currency(self, asked: str) -> str:
        return "" if asked == "own" else asked or self.project.settings.forecast.currency

    def view(self, tx: Transaction, as_of: str, period: str, node: str, measure: str, currency: str,
             teams: str = "then") -> View:
        from sidefeed.forecast import view
        from sidefeed.forecast.hierarchy import led

        return view(tx, calendar=self.calendar, zone=self.zone, as_of=as_of, period=period, node=node,
                    measure=measure, into=self.currency(currency), teams=teams,
                    led=led(self.project.settings.people))


@contextmanager
def opened(project: Path, json: bool) -> Iterator[Open]:
    """A project for a report; what cannot be reported ends the command with a sentence."""
    from sidefeed.forecast import EntryError, ScopeError
    from sidefeed.forecast.view import calendar_of
    from sidefeed.project import Project

    with errors(json):
        one = Project.load(project)
        store = one.store()
        try:
            yield Open(one, store, one.mappings(), calendar_of(one.settings.forecast))
        except (EntryError, ScopeError) as error:
            output.fail(str(error), USAGE, json=json)
        finally:
            store.close()
            one.close()


def files(
    table: pd.DataFrame, csv_file: Path | None, parquet: Path | None, xlsx: Path | None,
    sheets: Mapping[str, pd.DataFrame], about: Mapping[str, str],
) -> None:
    """Write what was asked for; a file that cannot be written is told as one."""
    from sidefeed.forecast import EntryError, export

    try:
        if csv_file == Path("-"):
            export.write_csv(table, sys.stdout)
        elif csv_file is not None:
            with csv_file.open("w", encoding="utf-8", newline="") as out:
                export.write_csv(table, out)
        if parquet is not None:
            export.write_parquet(table, parquet)
        if xlsx is not None:
            export.write_workbook(sheets, xlsx, about)
    except OSError as error:
        raise EntryError(f"{error.filename or 'the output'} cannot be written: {error.strerror}.") from None


def moment_of(view: View) -> str:
    """When a report is of, in words."""
    return "As of now" if view.as_of is None else f"As of {view.as_of:%Y-%m-%d %H:%M} UTC"


def print_steps(title: str, steps: pd.DataFrame, listed: pd.DataFrame) -> None:
    output.table(title, ("", "amount", "deals", ""), [
        (row["step"], money(row["amount"]) if row["deals"] is None else signed(row["amount"]), row["deals"],
         row["currency"]) for row in plain_rows(steps) if row["deals"] is None or row["amount"] or row["deals"]])
    columns = [name for name in listed.columns if name not in ("record", "external_id", "at", "owner")]
    print_table("Deals", listed[columns].head(LISTED))
    if len(listed) > LISTED:
        output.out.print(f"{len(listed) - LISTED} more; --csv, --json or --xlsx has them all.")


def print_table(title: str, table: pd.DataFrame) -> None:
    if len(table):
        output.table(title, [str(name).replace("_", " ") for name in table.columns], [
            [_cell(value) for value in row.values()] for row in plain_rows(table)])


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    from sidefeed.forecast.frames import plain

    columns = [plain(table[name]) for name in table.columns]
    return [dict(zip(map(str, table.columns), row, strict=True)) for row in zip(*columns, strict=True)]


def _cell(value: Any) -> Any:
    from decimal import Decimal

    return money(value) if isinstance(value, Decimal) else value


def money(amount: Any, code: str = "") -> str:
    return "" if amount is None else f"{amount:,.2f}" + (f" {code}" if code else "")


def signed(amount: Any) -> str:
    return "" if amount is None else f"{amount:+,.2f}"
