"""``sidefeed import``: data that comes in files, read once or again and again, by the rules of a mapping file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.shared import JsonOption, ProjectOption, errors
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.cli.csv_import import Imported

app = typer.Typer(no_args_is_help=True, help="Load data from files into the workspace.")


@app.callback()
def _import() -> None:
    """Load data from files into the workspace. What is imported reaches the systems at the next `sidefeed sync`."""


@app.command("csv")
def import_csv(
    places: Annotated[list[Path], typer.Argument(
        metavar="FOLDER_OR_FILES...", help="A folder of CSV files, or the files.")],
    mapping: Annotated[Path, typer.Option("--mapping", "-m", help="The mapping file that says what the columns are.")],
    project: ProjectOption = Path(),
    json: JsonOption = False,
    delimiter: Annotated[str, typer.Option(help="What stands between the cells.")] = ",",
    encoding: Annotated[str, typer.Option(help="How the files are encoded.")] = "utf-8-sig",
) -> None:
    """Import CSV files by a mapping file like those of the systems.

    Each object of the mapping is a file by its stem. Rows are told apart by the first key under `match`; an imported
    row that is changed in the file is an edit at the next import, and one that is gone from the file stays. A row that
    cannot be read is named with file and line, and the rest goes on.
    """
    from sidefeed.cli.csv_import import import_files
    from sidefeed.connector import Invalid
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        try:
            with output.progress(quiet=json) as bar:
                done = import_files(opened, places, mapping, delimiter=delimiter, encoding=encoding, progress=bar)
        except (Invalid, ValueError) as error:
            output.fail(str(error), output.USAGE, json=json)
        finally:
            opened.close()
    if json:
        output.print_json(done.as_json())
    else:
        _print(done)
    if done.report.failed:
        raise typer.Exit(output.USAGE)
    if done.report.problems or done.waiting:
        raise typer.Exit(output.ATTENTION)


def _print(done: Imported) -> None:
    report = done.report
    output.table("Imported", ("file", "records"), list(done.records.items()))
    counts = report.counts
    output.out.print(f"{counts.get('new_here', 0)} new, {counts.get('matched', 0)} matched with records that were "
                     f"there, {many(counts.get('absorbed', 0), 'change')} in the history.")
    if done.waiting:
        output.out.print(f"{many(done.waiting, 'row waits', 'rows wait')} for a record that "
                         f"{'it refers' if done.waiting == 1 else 'they refer'} to; import its file as well.")
    for problem in report.problems:
        output.out.print(f"[yellow]![/yellow] {escape(str(problem))}")
    for name, message in report.failed.items():
        output.out.print(f"[red]x[/red] {escape(f'{name}: {message}')}")
    if not report.failed:
        output.out.print("The next `sidefeed sync` takes them to the systems.")
