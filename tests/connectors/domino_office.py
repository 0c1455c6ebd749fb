"""A practice Domino, people who work in Notes, and our connector on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.domino import DominoConnector
from sandbox.domino import DominoServer
from sandbox.domino.store import instances
from sandbox.kit import Fault
from sidefeed.connector import Stream

ANN, BEN = "ann.lee@corp.example", "bob.ray@corp.example"
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def timed(day: str, clock: str, zone: str | None = "W. Europe") -> dict[str, Any]:
    return {"date": day, "time": f"{clock}:00", **({"tzid": zone} if zone else {"utc": True})}


def meeting(summary: str, day: str = "2026-11-24", clock: str = "10:00", **more: Any) -> dict[str, Any]:
    """An event as the service's JSON has it, an hour long."""
    ends = f"{int(clock[:2]) + 1:02d}{clock[2:]}"
    return {"summary": summary, "start": timed(day, clock), "end": timed(day, ends), **more}


def with_people(organiser: str, *guests: str) -> dict[str, Any]:
    people = [{"role": "chair" if one == organiser else "req-participant", "displayName": one.partition("@")[0],
               "email": one} for one in (organiser, *guests)]
    return {"organizer": {"displayName": organiser.partition("@")[0], "email": organiser}, "attendees": people}


class Office:
    """The practice server at a fixed time, with Ann's and Ben's mail files."""

    def __init__(self, server: DominoServer) -> None:
        self.server = server
        server.restore_snapshot()
        server.clock.fix(NOW)
        server.counters.reset()
        server.faults.clear()
        self._made: list[DominoConnector] = []

    def close(self) -> None:
        for connector in self._made:
            connector.close()

    @staticmethod
    def furnish(server: DominoServer) -> DominoServer:
        server.clock.fix(NOW)
        server.add_mail_file(ANN, "Ann Lee", path="mail/ann.nsf")
        server.add_mail_file(BEN, "Bob Ray", path="mail/bob.nsf", zone="Eastern")
        server.save_snapshot()
        return server

    def connect(self, **more: Any) -> DominoConnector:
        info = self.server.connection_info()
        table = {"url": self.server.url, "username": info["username"], "password": info["password"], "write": True,
                 "timezone": "Europe/Berlin", "mailboxes": [
                     {"address": ANN, "database": "mail/ann.nsf"}, {"address": BEN, "database": "mail/bob.nsf"}]}
        connector = DominoConnector.from_settings({**table, **more}, clock=self.server.clock.now)
        self._made.append(connector)
        return connector

    def save(self, event: Mapping[str, Any] | bytes, address: str = ANN) -> str:
        return self.server.call(self.server.save, address, event)

    def edit(self, uid: str, address: str = ANN, **values: str | None) -> None:
        """What a person changes in Notes: SUMMARY, LOCATION and so on; None empties."""
        entry = self.server.mail_file(address).entries[uid]
        for name, value in values.items():
            entry.master.pop(name, None)
            if value is not None:
                entry.master.add(name, value)
        entry.modified = self.server.stamp()

    def erase(self, uid: str, address: str = ANN) -> None:
        self.server.call(self.server.erase, address, uid)

    def pass_time(self, seconds: float = 5) -> None:
        self.server.clock.move(seconds)


class CalendarKit:
    """What the contract tests want to know."""

    fields: Sequence[str] = ("Subject", "Location", "Start", "End", "Zone", "IsAllDay", "Key", "Sensitivity", "ShowAs",
                             "Attendees")
    text = "Subject"
    blankable = "Location"

    def __init__(self, office: Office) -> None:
        self.office = office
        self.connector = office.connect()
        self.stream = Stream("calendar", ANN)
        self.secrets = (office.server.connection_info()["password"],)

    def sample(self, tag: str) -> dict[str, Any]:
        return {"Subject": tag, "Location": "Room 1", "Start": "2026-11-24T09:00:00Z", "End": "2026-11-24T10:00:00Z",
                "Zone": "Europe/Berlin"}

    def person_creates(self, values: Mapping[str, Any]) -> str:
        return self.office.save(meeting(values["Subject"], location=values["Location"]))

    def person_edits(self, external_id: str, values: Mapping[str, Any]) -> None:
        names = {"Subject": "SUMMARY", "Location": "LOCATION"}
        self.office.edit(external_id, **{names[name]: value for name, value in values.items()})

    def person_deletes(self, external_id: str) -> None:
        self.office.erase(external_id)

    def holds(self, external_id: str) -> Mapping[str, Any] | None:
        entry = self.office.server.mail_file(ANN).entries.get(external_id)
        if entry is None:
            return None
        return {"Subject": str(entry.master.get("SUMMARY")),
                "Location": entry.master.get("LOCATION") and str(entry.master["LOCATION"])}

    def live_ids(self) -> set[str]:
        far = timedelta(days=3000)
        return {entry.uid for entry in self.office.server.mail_file(ANN).entries.values()
                if entry.kind == "event" and any(instances(entry, NOW - far, NOW + far))}

    def unknown_id(self) -> str:
        return "0123456789ABCDEF0123456789ABCDEF-Lotus_Auto_Generated"

    def reconnected(self) -> DominoConnector:
        return self.office.connect()

    def calls(self) -> int:
        return self.office.server.counters.calls

    def lose_next_reply(self) -> None:
        for method in ("POST", "PUT"):
            self.office.server.faults.add(Fault("drop_after", method=method))

    def next_read_fails_once(self) -> None:
        self.office.server.faults.add(Fault("stack_trace", method="GET"))

    def pass_time(self) -> None:
        self.office.pass_time()
