"""The team calendar that calendars subscribe to: opened by its token and by nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import icalendar
import pytest

from sidefeed.calendars import busy
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.project import Project
from sidefeed.workspace.clock import utc_text
from tests.web.test_serve import serving

SIDEFEED = [sys.executable, "-m", "sidefeed"]


def new_token(project: Path) -> str:
    told = subprocess.run([*SIDEFEED, "team-calendar", "--new-token", "--json", "-C", str(project)], check=True,
                          capture_output=True, text=True)
    return str(json.loads(told.stdout)["token"])


@pytest.mark.slow
def test_the_feed_opens_by_its_token_alone_and_tells_no_more_than_times(tmp_path: Path) -> None:
    write_project(tmp_path, settings=settings_text({}, {"dana@example.com": {"role": "director"}}))
    store = Project.load(tmp_path).store()
    now = store.now()
    with store.write() as tx:
        busy.note(tx, [{
            "system": "exchange", "object": "calendar/ann.lee@example.com", "external_id": "1",
            "mailbox": "ann.lee@example.com", "key": "v1:a", "start": utc_text(now), "all_day": False, "show_as": "busy",
            "end": utc_text(now + timedelta(hours=1)), "level": "full", "verdict": "internal"}])
    store.close()
    first = new_token(tmp_path)
    with serving(tmp_path) as told, httpx.Client(trust_env=False, timeout=30) as calendar:
        address = f"{told['url']}/calendars/team.ics"
        answer = calendar.get(address, params={"token": first})
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/calendar")
        feed: Any = icalendar.Calendar.from_ical(answer.content)
        assert [str(event["SUMMARY"]) for event in feed.events] == ["ann.lee: Busy"]
        assert {calendar.get(address, params=params).status_code for params in ({}, {"token": ""}, {"token": "x"})} == {404}
        second = new_token(tmp_path)
        assert [calendar.get(address, params={"token": one}).status_code for one in (first, second)] == [404, 200]
