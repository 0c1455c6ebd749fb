"""Calendar sync against vdirsyncer, on the same Radicale: a first sync, nothing to do, and 50 changed events.

    python benchmarks/calendar_two_way.py --events 1000 10000

vdirsyncer is installed into an environment of its own, in a temporary folder, and never into the product's. The server
answers both, so what is compared is each client's own CPU and the number of requests, not the seconds. Of the steps
that can be repeated the least of several rounds counts, in which the two take turns.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.connectors.caldav_office import Proxy, radicale  # noqa: E402

ROUNDS = {"first": 1, "no change": 7, "50 changes": 5}

CLIENT = """
import json, resource, sys
from connectors.caldav import CalDavConnector
from sidefeed.connector import Stream
url, folder = sys.argv[1], sys.argv[2]
fields = ("Key", "UID", "Subject", "Start", "End", "Zone", "IsAllDay", "Location", "Organizer", "Attendees",
          "Sensitivity", "MyResponse", "IsCancelled", "JoinUrl", "ShowAs")
connector = CalDavConnector.from_settings({"url": url, "username": "ann", "password": "x", "calendar": "/ann/cal/",
                                           "contacts": "/ann/cal/", "mailboxes": ["ann@ours.example"]})
try:
    cursor = open(folder + "/cursor").read()
except OSError:
    cursor = None
before = resource.getrusage(resource.RUSAGE_SELF)
records = 0
for page in connector.changes(Stream("calendar", "ann@ours.example"), fields, cursor):
    records += len(page.records)
    cursor = page.cursor
open(folder + "/cursor", "w").write(cursor)
print(json.dumps({"records": records}))
"""

CONFIG = """[general]
status_path = "{folder}/status/"
[pair cal]
a = "local"
b = "remote"
collections = null
[storage local]
type = "filesystem"
path = "{folder}/local/"
fileext = ".ics"
[storage remote]
type = "caldav"
url = "{url}/ann/cal/"
username = "ann"
password = "x"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sidefeed-bench-") as name:
        theirs = _vdirsyncer(Path(name))
        rows = [row for events in options.events for row in _compare(Path(name), events, theirs)]
    print(f"{'events':>7} {'step':<10} {'client':<11} {'CPU s':>7} {'requests':>9}")
    for row in rows:
        print(f"{row['events']:>7} {row['step']:<10} {row['client']:<11} {row['cpu']:>7.2f} {row['requests']:>9}")


def _vdirsyncer(folder: Path) -> Path | None:
    """The program, in an environment of its own; None where it cannot be installed."""
    place = folder / "venv"
    venv.create(place, with_pip=True)
    done = subprocess.run([place / "bin" / "pip", "install", "-q", "vdirsyncer==0.20.*"], check=False)
    return place / "bin" / "vdirsyncer" if done.returncode == 0 else None


def _compare(folder: Path, events: int, theirs: Path | None) -> list[dict[str, Any]]:
    place = folder / str(events)
    place.mkdir()
    rows = []
    with radicale(place) as url, httpx.Client(base_url=url, auth=("ann", "x"), timeout=600) as people:
        people.request("MKCALENDAR", "/ann/cal/")
        people.put("/ann/cal/", content=_calendar(events), headers={"Content-Type": "text/calendar"})
        proxy = Proxy(url)
        try:
            clients = {"sidefeed": [sys.executable, "-c", CLIENT, proxy.url, str(place)]}
            if theirs is not None:
                config = place / "vdirsyncer.conf"
                config.write_text(CONFIG.format(folder=place, url=proxy.url))
                clients["vdirsyncer"] = [str(theirs), "-c", str(config), "sync"]
                subprocess.run([str(theirs), "-c", str(config), "discover"], input=b"y\n", check=True,
                               capture_output=True)
            for step, number in ROUNDS.items():
                rounds = []
                for turn in range(number):
                    for changed in range(50) if step == "50 changes" else ():
                        content = _calendar(1, first=changed, text=f"Moved {turn}")
                        people.put(f"/ann/cal/e{changed}.ics", content=content)
                    rounds.append({name: _measured(command, proxy) for name, command in clients.items()})
                rows += [{"events": events, "step": step, "client": name,
                          **min((one[name] for one in rounds), key=lambda one: float(one["cpu"]))} for name in clients]
        finally:
            proxy.close()
    shutil.rmtree(place, ignore_errors=True)
    return rows


def _measured(command: list[str], proxy: Proxy) -> dict[str, Any]:
    before, requests = resource.getrusage(resource.RUSAGE_CHILDREN), proxy.count
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "requests": proxy.count - requests}


def _calendar(events: int, *, first: int = 0, text: str = "Review") -> str:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//bench//EN"]
    for number in range(first, first + events):
        start = now + timedelta(hours=number % 2000)
        lines += ["BEGIN:VEVENT", f"UID:e{number}", "DTSTAMP:20261101T000000Z", f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
                  f"DTEND:{start + timedelta(minutes=30):%Y%m%dT%H%M%SZ}", f"SUMMARY:{text} {number}",
                  "ATTENDEE:mailto:guest@acme.example", "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


if __name__ == "__main__":
    main()
