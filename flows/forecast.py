"""The flow that leaves each day's forecast where managers can find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.outcome import ATTENTION, SHOWN, safe
from flows.sync import project_folder
from sidefeed.mapping import MappingErrors
from sidefeed.project import Project, ProjectError
from sidefeed.workspace import StoreError


@flow(name="forecast", flow_run_name="forecast", persist_result=False)
def forecast(project: str | None = None, period: str = "this-quarter", notify: bool = False) -> State[Any]:
    """The number of the day, the roll-up, each system's own total, and how far to trust it; kept as a snapshot.

    Args:
        project: The project folder as the worker sees it; SIDEFEED_PROJECT or the worker's own folder if empty.
        period: Closing dates that count, such as this-quarter, 2026-Q1 or all.
        notify: Also send the summary to the addresses in the file that `[forecast] notify_file` names.
    """
    from sidefeed.forecast import EntryError, ScopeError

    try:
        folder = project_folder(project)
        found = roll_up(folder, period)
        create_table_artifact([{name: row[name] for name in SHOWN_COLUMNS} for row in found["nodes"][:SHOWN]]
                              or [{"deals": 0}], key="forecast", description=found["sentence"])
        create_markdown_artifact(page(found), key="forecast-sources",
                                 description="The workspace beside each system's own total")
        if notify:
            send(folder, found)
    except (ProjectError, MappingErrors, StoreError, EntryError, ScopeError) as error:
        return Failed(message=str(error))
    message = f"{headline(found)}; snapshot of {found['snapshot']['deals']} deals"
    if found["problems"]:
        return Completed(name=ATTENTION, message=f"{message}; need a person: {' '.join(found['problems'])}")
    return Completed(message=message)


SHOWN_COLUMNS = ("name", "level", "currency", "deals", "won", "commit", "best_case", "pipeline", "submitted", "called",
                 "quota", "gap", "coverage")


@task(name="roll up", cache_policy=NO_CACHE, persist_result=False)
def roll_up(folder: Path, period: str = "all") -> dict[str, Any]:
    """The forecast as plain data (`Forecast.as_json`), and ``sentence``, ``moved`` since yesterday, ``snapshot``."""
    from sidefeed.forecast import explain, forecast_in, records, view
    from sidefeed.forecast.hierarchy import led
    from sidefeed.forecast.history import deals
    from sidefeed.forecast.snapshots import take
    from sidefeed.forecast.view import calendar_of, parse_moment

    opened = Project.load(folder)
    store = opened.store()
    try:
        own, zone = opened.settings.forecast, opened.settings.timezone
        with store.read() as tx:
            about = view(tx, calendar=calendar_of(own), zone=zone, period=period, into=own.currency,
                         led=led(opened.settings.people))
            made = forecast_in(tx, opened.mappings(), about)
            since = parse_moment("1d", store.now(), zone)
            assert since is not None
            scopes = about.scopes(tx, since)
        moved = explain(store, since, store.now(), scopes)
        with store.write() as tx:
            kept = take(tx, about.today, deals(tx))
    finally:
        store.close()
        opened.close()
    get_run_logger().info("%d nodes from %d sources", len(made.nodes), len(made.stamp.sources))
    return {**made.as_json(), "sentence": made.stamp.sentence(), "moved": records(moved.steps),
            "snapshot": {"rev": kept.rev, "day": kept.day.isoformat(), "deals": kept.deals, "digest": kept.digest}}


@task(name="send the summary", cache_policy=NO_CACHE, persist_result=False)
def send(folder: Path, found: dict[str, Any]) -> int:
    """Send the summary to each address of the project's file (Apprise: mailto, slack, msteams, ...); gives how many.

    Raises ProjectError for a file that is missing or names no address, and where an address did not take it. Addresses
    hold secrets: none is ever logged.
    """
    import apprise

    opened = Project.load(folder)
    name = opened.settings.forecast.notify_file
    try:
        lines = (opened.folder / name).read_text(encoding="utf-8").splitlines() if name else []
    except OSError as error:
        raise ProjectError(f"[forecast] notify_file: {name} cannot be read ({error.strerror}).") from None
    addresses = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not addresses:
        raise ProjectError("[forecast] notify_file names no file with an address in it. Write one Apprise address on a "
                           "line, such as mailtos://user:password@mail.example.com?to=team@example.com.")
    failed = 0
    for address in addresses:
        sender = apprise.Apprise()
        failed += not (sender.add(address) and sender.notify(title=headline(found), body=page(found),
                                                             body_format=apprise.NotifyFormat.MARKDOWN))
    if failed:
        raise ProjectError(f"{failed} of {len(addresses)} addresses in {name} did not take the summary.")
    return len(addresses)


def headline(found: dict[str, Any]) -> str:
    """The number and its period in one line."""
    number = ", ".join(f"{amount} {code}" for code, amount in found["number"].items()) or "nothing"
    return f"{found['measure'].replace('_', ' ')} {found['period']['name']}: {number}"


def page(found: dict[str, Any]) -> str:
    """The number, why it moved since yesterday, the sources side by side, and how far to trust it."""
    lines = [f"**{safe(headline(found))}**", "", safe(found["sentence"]), ""]
    columns = ("source", "currency", "deals", "open", "won", "open_difference", "won_difference")
    lines += [f"| {' | '.join(columns).replace('_', ' ')} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(safe(row[column]) for column in columns)} |" for row in found["sources"]]
    moved = [row for row in found["moved"] if row["deals"] is None or row["deals"]]
    if moved:
        lines += ["", "Since yesterday:", "", "| step | amount | deals |", "|---|---|---|"]
        lines += [f"| {row['step']} | {row['amount']} {safe(row['currency'])} | {row['deals'] or ''} |"
                  for row in moved]
    disputes = [row for row in found["stamp"]["range"] if row["deals"]]
    if disputes:
        lines += ["", *(f"{row['deals']} deals are disputed: the number lies between {row['low']} and {row['high']} "
                        f"{safe(row['currency'])}." for row in disputes)]
    if found["problems"]:
        lines += ["", *(f"- {safe(problem)}" for problem in found["problems"])]
    return "\n".join(lines)
