"""What a recording with bodies keeps of a calendar: when and how, never what about, with whom, or by which password."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.caldav import CalDavConnector
from connectors.domino import DominoConnector
from connectors.exchange import ExchangeConnector
from connectors.microsoft365 import Microsoft365Connector
from sandbox.domino import DominoServer
from sandbox.replay import ReplayServer, read
from sidefeed.connector import Stream, Write
from sidefeed.recording import Recorder
from tests.connectors import caldav_office, domino_office, exchange_office, graph_office
from tests.connectors.exchange_office import ANN

PRIVATE = ("Severance of Cat", "Room Zugspitze", "cat.secret@practice.example")
WRITTEN = ("Merger with Umbra", "Hotel Adlon")
FIELDS = ("Subject", "Location", "Start", "End", "Zone", "IsAllDay", "Key", "Sensitivity", "Attendees", "Organizer")

Connector = ExchangeConnector | Microsoft365Connector | CalDavConnector | DominoConnector
Made = tuple[Connector, dict[str, Any], list[str]]


@contextmanager
def exchange(_folder: Path, auth: str = "basic") -> Iterator[Made]:
    server = exchange_office.practice_server()
    office = exchange_office.Office(server)
    office.meets(PRIVATE[0], location=PRIVATE[1], required_attendees=[PRIVATE[2]])
    yield office.connect(auth=auth), office.settings(), [exchange_office.PASSWORD]
    office.close()
    server.stop()
    assert server.crashes == []


@contextmanager
def graph(_folder: Path) -> Iterator[Made]:
    server = graph_office.practice_server()
    office = graph_office.Office(server)
    office.meets(PRIVATE[0], location=PRIVATE[1], body=PRIVATE[2])
    connector, settings = office.connect(write=True), office.settings()
    tokens: list[str] = []
    seen = server.on_request

    def watch(ordinal: int, request: Any, phase: str) -> None:
        tokens.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if seen is not None:
            seen(ordinal, request, phase)

    server.on_request = watch
    yield connector, settings, tokens
    tokens.append(settings["client_secret"])
    office.close()
    server.stop()


@contextmanager
def caldav(folder: Path) -> Iterator[Made]:
    with caldav_office.radicale(folder) as url:
        office = caldav_office.Office(url, "ann")
        office.put(caldav_office.calendar(caldav_office.event(
            "uid-1", f"SUMMARY:{PRIVATE[0]}", f"LOCATION:{PRIVATE[1]}", f"ATTENDEE;CN=Cat:mailto:{PRIVATE[2]}")))
        yield office.connect(write=True), office.settings(), [caldav_office.PASSWORD]
        office.close()


@contextmanager
def domino(_folder: Path) -> Iterator[Made]:
    with DominoServer(control=False) as server:
        office = domino_office.Office(domino_office.Office.furnish(server))
        office.save(domino_office.meeting(PRIVATE[0], location=PRIVATE[1],
                                          **domino_office.with_people(domino_office.ANN, PRIVATE[2])))
        password = server.connection_info()["password"]
        connector = office.connect()
        settings = {"url": server.url, "username": server.connection_info()["username"], "password": password,
                    "mailboxes": [{"address": domino_office.ANN, "database": "mail/ann.nsf"}], "timezone": "Europe/Berlin"}
        yield connector, settings, [password]
        connector.close()


@contextmanager
def exchange_by_ntlm(folder: Path) -> Iterator[Made]:
    with exchange(folder, "ntlm") as made:
        yield made


@pytest.mark.parametrize(("door", "mailbox", "kept"), [
    (exchange, ANN, ("GetItem", "request-id", "2026-11-24T09:00:00Z")), (exchange_by_ntlm, ANN, ("sign-in", "NoError")),
    (graph, ANN, ("request-id", "2026-11-24T09:00:00")), pytest.param(caldav, ANN, ("REPORT", "20261124T100000", "getetag"), marks=pytest.mark.slow),
    (domino, domino_office.ANN, ("2026-11-24", "last-modified"))])
def test_a_recording_tells_when_and_how_and_never_what_about(
    tmp_path: Path, door: Callable[[Path], Any], mailbox: str, kept: tuple[str, ...]
) -> None:
    file = tmp_path / "calls.jsonl"
    with door(tmp_path) as (connector, settings, secrets):
        recorder = Recorder(file, bodies=True, command="sync")
        recorder.listen(connector.system, connector, settings)
        stream = Stream("calendar", mailbox)
        seen = [record for page in connector.changes(stream, FIELDS, None) for record in page.records]
        start = "2026-11-25T09:00:00Z"
        write = Write("w", "create", {"Subject": WRITTEN[0], "Location": WRITTEN[1], "Start": start,
                                      "End": "2026-11-25T10:00:00Z"}, external_key="rec-1:1")
        outcomes = list(connector.write(stream, [write])) if connector.capabilities("calendar").writable else []
        recorder.close()
        used = connector.calls.used
    assert any((record.values or {}).get("Subject") == PRIVATE[0] for record in seen), "read as without a recording"
    assert all(one.status == "done" for one in outcomes), outcomes
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == used and recorder.lost == 0
    assert not any("left" in (line["left_out"] or "") for line in lines)
    hidden = [*PRIVATE, *WRITTEN, "Zugspitze", "Severance", *(secret for secret in secrets if secret)]
    assert [word for word in hidden if word in text] == []
    assert [word for word in kept if word not in text] == []
    assert any(line["body_in"] for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(("door", "mailbox"), [
    (exchange, ANN), (exchange_by_ntlm, ANN), (graph, ANN), (domino, domino_office.ANN),
    pytest.param(caldav, ANN, marks=pytest.mark.slow)])
def test_a_calendar_is_read_again_from_its_recording(tmp_path: Path, door: Callable[[Path], Any], mailbox: str) -> None:
    """The same meetings at the same times, with digests in place of their words."""
    stream, file = Stream("calendar", mailbox), tmp_path / "calls.jsonl"
    with door(tmp_path) as (connector, settings, _secrets):
        recorder = Recorder(file, bodies=True)
        recorder.listen(connector.system, connector, settings)
        before = [record for page in connector.changes(stream, FIELDS, None) for record in page.records]
        recorder.close()
    with ReplayServer(read(file)[connector.system]) as server:
        clock = {"clock": connector.clock} if isinstance(connector, DominoConnector | CalDavConnector) else {}
        again = type(connector).from_settings(
            {name: _there(value, server.url) for name, value in settings.items()}, **clock)
        after = [record for page in again.changes(stream, FIELDS, None) for record in page.records]
        again.close()
        assert server.missed == server.crashes == []
    assert [record.id for record in after] == [record.id for record in before]
    told = [[(record.values or {}).get("Start") for record in records] for records in (before, after)]
    assert told[0] == told[1] and any(told[0])
    subjects = {(record.values or {}).get("Subject") for record in after} - {None}
    assert subjects and all(str(subject).startswith("(withheld ") for subject in subjects)


def _there(value: Any, url: str) -> Any:
    is_address = isinstance(value, str) and value.startswith("http")
    return url + urlsplit(value).path if is_address else value


def test_equal_words_are_equal_in_one_recording_and_others_in_another(tmp_path: Path) -> None:
    """So that a renamed meeting shows, and nobody can try which words a digest is of."""
    found = []
    for name in ("one", "two"):
        with domino(tmp_path) as (connector, settings, _secrets):
            recorder = Recorder(tmp_path / name, bodies=True)
            recorder.listen("domino", connector, settings)
            for _again in range(2):
                list(connector.changes(Stream("calendar", domino_office.ANN), FIELDS, None))
            recorder.close()
        lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        found.append([event["summary"] for line in lines if "json" in line["got"]["content-type"]
                      for event in json.loads(line["body_in"]).get("events", ())])
    assert [len(set(summaries)) for summaries in found] == [1, 1] and len(found[0]) >= 2
    assert found[0][0].startswith("(withheld ") and found[0][0] != found[1][0]
