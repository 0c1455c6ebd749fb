"""How the command line speaks: tables for people, one JSON object for programs, exit codes that mean something."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

Report = Callable[[str, int], None]

OK, ATTENTION, USAGE, STOPPED, UNREACHABLE, BUSY = 0, 1, 2, 3, 4, 5

EXIT_CODES = """\
Exit codes: 0 all well; 1 done, but something new needs a person; 2 wrong settings, mapping or usage; 3 a guard stopped
the run, nothing was written; 4 a system could not be reached or refused our credentials; 5 another run is at work."""

_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?")

_UNBOUNDED = 10_000

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    sys.stdout.write(orjson.dumps(value, option=options, default=str).decode() + "\n")


def print_json_line(value: Any) -> None:
    """One object on one line, at once: for a program that reads on while we run."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()


def fail(message: str, code: int, *, json: bool = False, **more: Any) -> NoReturn:
    """Say what is wrong and end with this exit code. ``more`` is for programs alone."""
    if json:
        print_json({"ok": False, "error": message, **more})
    else:
        err.print(f"[red]error:[/red] {escape(message)}")
    raise typer.Exit(code)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    told = rows or title[:1].isdigit()  # a title that begins with a number says so itself
    out.print(f"[italic]{escape(title)}[/italic]" if told else f"[italic]{escape(title)}:[/italic] none")
    if not rows:
        return
    grid = Table(header_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        cells = [str(row[number]) for row in rows if row[number] not in (None, "")]
        numeric = bool(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        grid.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    if out.is_terminal:
        out.print(grid)
    else:  # in a pipe or a file each row keeps its line, for whoever searches it; COLUMNS is often only inherited
        natural = Measurement.get(out, out.options.update(width=_UNBOUNDED), grid).maximum
        Console(highlight=False, width=max(80, natural)).print(grid)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Report | None]:
    """A live count of long work on standard error; nothing where the output is for a program or no terminal."""
    if quiet or not err.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bars = Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20),
                    MofNCompleteColumn(), TimeElapsedColumn(), console=err, transient=True)
    tasks: dict[str, Any] = {}

    def report(what: str, number: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=None)
        bars.update(tasks[what], advance=number)

    with bars:
        yield report
