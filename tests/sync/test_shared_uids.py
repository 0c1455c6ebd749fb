"""Meetings of one calendar that share a UID: named by their days and nothing else, each group once."""

from __future__ import annotations

from pathlib import Path

from sidefeed.calendars import busy, uids
from sidefeed.workspace import Store

ANN, BOB = "calendar/ann@ours.example", "calendar/bob@ours.example"


def row(object: str, external_id: str, key: str, start: str) -> dict[str, object]:
    return {"system": "exchange", "object": object, "external_id": external_id, "mailbox": object.partition("/")[2],
            "key": key, "start": start, "end": start, "all_day": False, "show_as": "busy", "level": "full",
            "verdict": "admit"}


def test_what_shares_a_uid_is_told_once_and_a_copy_in_another_calendar_is_none(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "workspace.db")
    days = ("2099-12-01T09:00:00Z", "2099-12-03T09:00:00Z")
    with store.write() as tx:
        busy.note(tx, [
            row(ANN, "one", "v1:same", days[0]), row(ANN, "two", "v1:same", days[1]), row(BOB, "copy", "v1:same", days[0]),
            row(ANN, "alone", "v1:alone", days[0]), row(BOB, "theirs", "v1:alone", days[0]),
            row(ANN, "A@", "v1:series", busy.NEVER), row(ANN, "B@", "v1:series", busy.NEVER),
            row(ANN, f"A@{days[0]}", "v1:first", days[0]), row(ANN, f"B@{days[0]}", "v1:first", days[0]),
        ])
    with store.read() as tx:
        found = uids.shared(tx)
        assert [(one.mailbox, one.ids) for one in found] == [
            ("ann@ours.example", ("one", "two")), ("ann@ours.example", ("A@", "B@"))], "no occurrences besides series"
        assert str(found[0]).startswith(f"2 meetings ({days[0]}, {days[1]}) in the calendar of ann@ours.example")
        assert str(found[1]).startswith("2 series in the calendar of ann@ours.example")
        assert uids.shared(tx, "exchange", BOB, {"v1:same", "v1:alone"}) == uids.shared(tx, keys=set()) == []
        assert [one.ids for one in uids.shared(tx, "exchange", ANN, {"v1:same"})] == [("one", "two")]
    with store.write() as tx:
        busy.forget(tx, "exchange", ANN, ["two"])
        assert [one.of_series for one in uids.shared(tx)] == [True], "what went away shares nothing"
    store.close()
