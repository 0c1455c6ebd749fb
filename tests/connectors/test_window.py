"""One rolling window for every calendar, set in one place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.calendars.window import rolling
from sidefeed.project import Project, ProjectError

SYSTEMS = """
[systems.exchange]
endpoint = "http://127.0.0.1:1/EWS/Exchange.asmx"
username = "u"
password = "p"
mailboxes = ["ann@ours.example"]

[systems.microsoft365]
tenant_id = "t"
client_id = "c"
client_secret = "s"
mailboxes = ["ann@ours.example"]
graph_base = "http://127.0.0.1:1"
login_base = "http://127.0.0.1:1"

[systems.caldav]
url = "http://127.0.0.1:1/"
username = "u"
password = "p"
mailboxes = ["ann@ours.example"]
"""
NAMES = ("exchange", "microsoft365", "caldav")


def windows(folder: Path, more: str) -> dict[str, tuple[int, int]]:
    (folder / "sidefeed.toml").write_text(more + SYSTEMS)
    project = Project.load(folder)
    settings = {name: project.connector(name).settings for name in NAMES}  # type: ignore[attr-defined]
    project.close()
    return {name: (each.past, each.future) for name, each in settings.items()}


def test_every_calendar_is_read_as_far_back_and_ahead_as_any_other(tmp_path: Path) -> None:
    assert windows(tmp_path, "") == dict.fromkeys(NAMES, (30, 90))
    assert windows(tmp_path, "[calendars]\nwindow_past_days = 14\nwindow_future_days = 60\n") == dict.fromkeys(
        NAMES, (14, 60))


def test_a_window_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="window_past_days"):
        windows(tmp_path, "[calendars]\nwindow_past_days = 400\n")


def test_a_window_is_whole_days_and_slides_at_midnight() -> None:
    evening, morning = datetime(2026, 11, 28, 23, 59, tzinfo=UTC), datetime(2026, 11, 29, 0, 1, tzinfo=UTC)
    assert rolling(evening, 14, 1).start == datetime(2026, 11, 14, tzinfo=UTC)
    assert rolling(evening, 14, 1).end == datetime(2026, 11, 30, tzinfo=UTC)
    assert rolling(morning, 14, 1).start == datetime(2026, 11, 15, tzinfo=UTC)
