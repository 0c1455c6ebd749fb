"""`sidefeed calls`: look into a recording that `--record-calls` made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import JsonOption
from sidefeed.plural import many

if TYPE_CHECKING:
    from sidefeed.recording.reading import Line


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(calls)


def calls(
    file: Annotated[Path, typer.Argument(help="A recording, made by `--record-calls FILE`.")],
    system: Annotated[list[str] | None, typer.Option("--system", help="Only this system; may be given again.")] = None,
    status: Annotated[str, typer.Option(
        "--status", help="Only this status: 429, 4xx, `none` (no answer), or `failed`, also in part.")] = "",
    slow: Annotated[float, typer.Option("--slow", min=0, help="Only calls that took this many milliseconds.")] = 0,
    about: Annotated[str, typer.Option(
        "--about", help="Only calls with this text in URL, operation, error, run or request id.")] = "",
    show: Annotated[int | None, typer.Option("--show", help="All of the call with this number, with bodies.")] = None,
    limit: Annotated[int, typer.Option(help="How many calls to print, the last ones; --json prints all.")] = 40,
    json: JsonOption = False,
) -> None:
    """Show what was sent to the systems and what they answered: which request, when, how long, by which request id.

    For the administrator of a system, or its support: the time (UTC) and the request id find the call in their logs.
    Secrets never reach a recording. It still holds the business's records: names and ids in URLs, and with
    `--record-bodies` values. Look into it before you send it to anybody.
    """
    from sidefeed.recording import RecordingError
    from sidefeed.recording.reading import Wanted, read

    try:
        wanted = Wanted(system or (), status, slow, about)
        lines = read(file)
    except RecordingError as error:
        output.fail(str(error), USAGE, json=json)
    if show is not None:
        _show(next((line for line in lines if line["number"] == show), None), show, len(lines), json=json)
        return
    found = [line for line in lines if wanted.has(line)]
    _list(lines, found, limit, json=json)


def _list(lines: list[Line], found: list[Line], limit: int, *, json: bool) -> None:
    from sidefeed.recording.reading import endpoint, failed, sizes, totals

    sums = totals(found)
    if json:
        output.print_json({"calls": found, "totals": [one.as_json() for one in sums], "recorded": len(lines)})
        return
    shown = found[-limit:] if limit else []
    output.table(f"{len(found):,} of {many(len(lines), 'call')}", (
        "#", "time (UTC)", "system", "call", "status", "ms", "out", "in", "try", "what went wrong", "request id"), [
        (line["number"], line["at"][:23].replace("T", " "), line["system"], endpoint(line),
         "no answer" if line["status"] is None else line["status"], line["ms"], sizes(line["bytes_out"]),
         sizes(line["bytes_in"]), line["retry"] + 1, _wrong(line), line["request_id"]) for line in shown])
    if len(found) > len(shown):
        output.out.print(f"... and {len(found) - len(shown):,} before these; --limit and --json show more.")
    output.table("By endpoint", ("system", "call", "calls", "failed", "repeats", "median ms", "slowest ms", "bytes"), [
        (one.system, one.endpoint, one.calls, one.failed, one.retries, told["median_ms"], told["slowest_ms"],
         sizes(one.bytes)) for one in sums for told in (one.as_json(),)])
    if any(failed(line) for line in found):
        output.out.print("`--status failed` shows what went wrong alone, `--show NUMBER` all of one call.")


def _wrong(line: Line) -> str:
    return ", ".join([line["error"], *line["codes"]] if line["error"] else line["codes"])


def _show(line: Line | None, number: int, recorded: int, *, json: bool) -> None:
    from sidefeed.recording.reading import headers

    if line is None:
        output.fail(f"there is no call {number}; the recording has 1 to {recorded}.", USAGE, json=json)
    if json:
        output.print_json(line)
        return
    told = "no answer" if line["status"] is None else line["status"]
    output.out.print(f"[bold]{line['method']}[/bold] {escape(line['url'])}\n"
                     f"{told} after {line['ms']:,} ms, sent at {line['at']}, try {line['retry'] + 1}, "
                     f"in run {line['run'] or 'none'} of `sidefeed {line['command']}`")
    for name in ("request_id", "operation"):
        if line[name]:
            output.out.print(f"{name.replace('_', ' ')}: [bold]{escape(line[name])}[/bold]")
    if wrong := _wrong(line):
        output.out.print(f"[red]{escape(wrong)}[/red]")
    output.table("Headers", ("way", "name", "value"), list(headers(line)))
    for way, title in (("body_out", "Request"), ("body_in", "Answer")):
        if line.get(way):
            output.out.print(f"[italic]{title}[/italic]")
            output.out.print(escape(line[way]))
    if line.get("left_out"):
        output.out.print(f"[yellow]left out[/yellow] {escape(line['left_out'])}")
    if "left_out" not in line:
        output.out.print("[dim]Without bodies: they are kept with --record-bodies.[/dim]")
