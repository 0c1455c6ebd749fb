"""Series through the workspace: each calendar's words for one in, one record, and a file out that means the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.calendars import events
from connectors.calendars.events import Broken
from connectors.calendars.window import Window
from sidefeed.calendars import series
from sidefeed.calendars.export import meetings_file, wholes
from sidefeed.calendars.recurrence import RECURRENCE, SERIES
from sidefeed.sync.match import keys_of
from sidefeed.sync.observation import Observation
from sidefeed.workspace import Draft, Store, Transaction
from tests.connectors.test_calendar_corpora import around, objects

MEANING = ("Key", "Start", "End", "IsAllDay", "Subject", "Location", "IsCancelled")
FIELDS = (*MEANING, "UID", "Zone", "JoinUrl")
ZONE, ANN = "Europe/Berlin", "ann@ours.example"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "workspace.db")
    store.natural_keys = lambda _entity, values: keys_of([("key",)], values)
    yield store
    store.close()


def told(calendar: Any, window: Window, fields: tuple[str, ...] = MEANING) -> list[dict[str, Any]]:
    return sorted((events.read(meeting, ANN, fields, ZONE) for meeting in events.meetings(calendar, window, ZONE)),
                  key=repr)


def keep(tx: Transaction, calendar: Any, window: Window) -> bool:
    """A file's series and its occurrences in a window, as a sync would keep them; false for what is no series."""
    values = events.series(calendar, ANN, FIELDS, ZONE)
    if values is None or values[RECURRENCE] is None or not values.get("UID"):
        return False
    seen = Observation("series", values, "live", "", None, None, None)
    seen.values = {"key": values["Key"], "uid": values["UID"], "subject": values.get("Subject"),
                   "location": values.get("Location"), "join_url": values.get("JoinUrl")}
    series.absorb(tx, "files", f"calendar/{values['UID']}", "import", [seen])
    tx.append([Draft("meeting", tx.new_id(), {
        "key": one["Key"], "uid": values["UID"], "subject": one.get("Subject"), "location": one.get("Location"),
        "join_url": one.get("JoinUrl"), "status": "cancelled" if one.get("IsCancelled") else "planned",
        "when": {"start": one["Start"], "end": one["End"], "zone": one["Zone"], "all_day": one["IsAllDay"]}},
        "files", "import") for one in told(calendar, window, FIELDS)])
    tx.flush()
    return True


def exported(tx: Transaction, uid: str) -> bytes:
    own = [state for state in tx.each_record("meeting") if state.values.get("uid") == uid]
    found, alone = wholes(tx, own)
    return meetings_file(alone, NOW, found)


@pytest.mark.slow
def test_every_series_of_the_corpora_comes_back_as_one_object_that_means_the_same(
    reference_data: Path, store: Store
) -> None:
    counts: Counter[str] = Counter()
    changed, refused = [], set()
    for path in sorted((reference_data / "calendars" / "ical_recurring").rglob("*.ics")):
        try:
            found = list(objects(path.read_bytes()))
        except Broken:
            continue
        for uid, calendar in found:
            before = None
            try:
                window = around(calendar)
                before = told(calendar, window)
                with store.write() as tx:
                    if len(before) > 400 or not keep(tx, calendar, window):
                        continue
                    content = exported(tx, uid)
                    for entity in ("meeting", SERIES):  # another file may use the same UID for another series
                        tx.append([Draft(entity, state.id, {"uid": None, "key": None}, "test", "import")
                                   for state in tx.each_record(entity) if state.values.get("uid")])
                        tx.flush()
            except Broken:
                if before:  # its occurrences are read all the same
                    refused.add(path.name)
                continue
            if not before:
                continue
            counts["series"] += 1
            again = list(objects(content))
            if len(again) != 1 or told(again[0][1], window) != before:
                changed.append(f"{path.name} {uid}")
    assert counts["series"] > 150
    # An exception that brings a rule of its own; and one that speaks for all that follow it, which no one rule can say.
    assert {name.split()[0] for name in changed} == {"issue_253_additional_recurrence_id.ics"}
    # What several rules say together no one rule can say either; their occurrences are read all the same.
    assert refused == {"issue_75_range_parameter.ics", "duplicated_rrule.ics", "multiple_rrule.ics"}
