"""A small, believable population: three reps with meetings, a series each, and the traps of the calendar list."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .zones import ZONES

if TYPE_CHECKING:
    from .server import DominoServer

REPS = (
    ("ada.lindqvist", "Ada Lindqvist", "W. Europe"),
    ("ben.okafor", "Ben Okafor", "Eastern"),
    ("chiara.rossi", "Chiara Rossi", "W. Europe"),
)
GUESTS = ("Nora Andersson", "Yuki Tanaka", "Priya Iyer", "Zoë O'Neill", "Jonas Müller")
TOPICS = ("Discovery call", "Demo", "Pricing review", "Contract walk-through", "Quarterly review", "Site visit")


def populate(server: DominoServer, seed: int) -> dict[str, int]:
    """Fill a server, the same for the same seed; how many mail files, events and invitations there are."""
    chance = random.Random(seed)
    monday = server.stamp().replace(hour=0, minute=0, second=0)
    monday -= timedelta(days=monday.weekday())
    events = 0
    for user, owner, zone in REPS:
        address = f"{user}@practice.example"
        server.add_mail_file(address, owner, zone=zone)
        for _number in range(8):
            day = monday + timedelta(days=chance.randrange(-7, 21))
            server.save(address, _meeting(chance, address, owner, zone, day.replace(hour=chance.randrange(8, 18))))
        series = _meeting(chance, address, owner, zone, monday.replace(hour=9))
        server.save(address, series | {"recurrenceRule": f"FREQ=WEEKLY;BYDAY=MO;COUNT={chance.randrange(4, 12)}"})
        private = _meeting(chance, address, owner, zone, monday + timedelta(days=2, hours=17))
        private |= {"summary": "Dentist", "class": "private"}
        private.pop("attendees"), private.pop("organizer")
        server.save(address, private)
        holiday = monday + timedelta(days=chance.randrange(7, 20))
        server.save(
            address,
            {
                "summary": "Holiday",
                "start": {"date": f"{holiday:%Y-%m-%d}"},
                "end": {"date": f"{holiday + timedelta(days=1):%Y-%m-%d}"},
                "x-lotus-appttype": {"data": "2"},
            },
        )
        events += 11
    server.condition("invitation", mailbox=f"{REPS[0][0]}@practice.example", organizer="yuki.tanaka@customer.example")
    server.condition("draft", mailbox=f"{REPS[1][0]}@practice.example", repeats=True)
    return {"mail_files": len(REPS), "events": events, "invitations": 1}


def _meeting(chance: random.Random, address: str, owner: str, zone: str, start: datetime) -> dict[str, Any]:
    assert zone in ZONES
    guest = chance.choice(GUESTS)
    mail = f"{guest.lower().replace(' ', '.')}@customer.example".encode("ascii", "ignore").decode().replace("'", "")
    end = start + timedelta(minutes=chance.choice((30, 60, 90)))
    place = chance.choice(("Room 4", "On site", "Phone"))
    return {
        "summary": f"{chance.choice(TOPICS)} with {guest}",
        "location": place,
        "start": {"date": f"{start:%Y-%m-%d}", "time": f"{start:%H:%M:%S}", "tzid": zone},
        "end": {"date": f"{end:%Y-%m-%d}", "time": f"{end:%H:%M:%S}", "tzid": zone},
        "class": "public",
        "transparency": "opaque",
        "sequence": 0,
        "x-lotus-appttype": {"data": "3"},
        "organizer": {"displayName": owner, "email": address},
        "attendees": [
            {"role": "chair", "status": "accepted", "displayName": owner, "email": address},
            {"role": "req-participant", "status": "needs-action", "displayName": guest, "email": mail},
        ],
    }
