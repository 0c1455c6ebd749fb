"""What became private is taken back from both CRMs and forgotten here, whatever else happened to it at the same time:
series, exceptions and single meetings, on Exchange, Microsoft 365 and CalDAV alike."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.exchange import ExchangeServer
from sandbox.graph import GraphServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.calendars.recurrence import RECURRENCE
from sidefeed.connector import Remote, Stream
from sidefeed.mapping import load
from sidefeed.sync.observation import look_up
from sidefeed.workspace import Store
from tests.connectors.caldav_office import radicale
from tests.sync.test_caldav_meetings import DavCalendar
from tests.sync.test_meetings import ANN, BOB, GUEST, Calendar
from tests.sync.test_microsoft365_meetings import CloudCalendar

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
FIRST = 1.0
"""Days from now on which everything begins."""


class OutlookRep:
    """Ann at her calendar, which Exchange keeps, read by EWS or by Graph."""

    def __init__(self, desk: Calendar) -> None:
        self.desk = desk
        self.made: dict[str, Any] = {}

    def meets(self, name: str, *, series: bool = False) -> None:
        more = {"recurrence": {"daily": 1, "count": 5}} if series else {}
        self.made[name] = self.desk.meets(ANN, name, FIRST, location=f"{name}-room", send="SendToNone", **more)

    def changes(self, name: str, number: int | None = None, *, private: bool = False, days: float = 0,
                subject: str | None = None) -> None:
        exchange, item = self.desk.exchange, self.made[name]
        begins: datetime = exchange.call(lambda: exchange._event(ANN, item, number).get("calendar:Start"))
        fields: dict[str, Any] = {"sensitivity": "Private"} if private else {}
        if days:
            start = begins + timedelta(days=days)
            fields |= {"start": start, "end": start + timedelta(hours=1)}
        if subject:
            fields["subject"] = subject
        exchange.call(lambda: exchange.update_event(ANN, item, occurrence=number, **fields))

    def gives_away(self, name: str) -> None:
        """Exchange has no other way: the new organiser's series is another one."""
        self.changes(name, private=True)
        self.desk.meets(BOB, name, FIRST, location=f"{name}-room", send="SendToNone", sensitivity="Private",
                        attendees=[ANN, GUEST], recurrence={"daily": 1, "count": 5})

    def drops(self, name: str, number: int) -> None:
        self.desk.exchange.call(lambda: self.desk.exchange.delete(ANN, self.made[name], occurrence=number))


class DavRep:
    """Ann at her calendar, which Radicale keeps."""

    def __init__(self, desk: DavCalendar) -> None:
        self.desk = desk
        self.made: dict[str, dict[str, Any]] = {}

    def meets(self, name: str, *, series: bool = False) -> None:
        begins = self.desk.now + timedelta(days=FIRST)
        self.made[name] = {"series": series, "start": begins, "first": begins, "private": False, "changed": {},
                           "dropped": [], "organiser": ANN}
        self._put(name)

    def changes(self, name: str, number: int | None = None, *, private: bool = False, days: float = 0,
                subject: str | None = None) -> None:
        item = self.made[name]
        part = item if number is None else item["changed"].setdefault(
            number, {"start": item["start"] + timedelta(days=number - 1), "private": False})
        part["private"] |= private
        part["start"] += timedelta(days=days)
        part |= {"subject": subject} if subject else {}
        self._put(name)

    def gives_away(self, name: str) -> None:
        self.made[name]["organiser"] = BOB
        self.changes(name, private=True)

    def drops(self, name: str, number: int) -> None:
        self.made[name]["dropped"].append(number)
        self._put(name)

    def _put(self, name: str) -> None:
        item = self.made[name]
        rule = ["RRULE:FREQ=DAILY;COUNT=5"] if item["series"] else []
        rule += [f"EXDATE:{_stamp(item['start'] + timedelta(days=number - 1))}" for number in item["dropped"]]
        lines = self._event(name, item, item, rule)
        for number, part in item["changed"].items():
            original = item["start"] + timedelta(days=number - 1)
            lines += self._event(name, item, part, [f"RECURRENCE-ID:{_stamp(original)}"])
        text = "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//A client//EN", *lines, "END:VCALENDAR", ""])
        place = f"/ann.lee/calendar/{_plain(name)}.ics"
        assert self.desk.http.put(place, content=text).status_code in (201, 204)

    def _event(self, name: str, item: dict[str, Any], part: dict[str, Any], more: list[str]) -> list[str]:
        subject = part.get("subject") or name
        return ["BEGIN:VEVENT", f"UID:{_plain(name)}@client", "DTSTAMP:20261101T000000Z", f"DTSTART:{_stamp(part['start'])}",
                f"DTEND:{_stamp(part['start'] + timedelta(hours=1))}", f"SUMMARY:{subject}", f"LOCATION:{subject}-room",
                f"ORGANIZER:mailto:{item['organiser']}", f"ATTENDEE:mailto:{GUEST}",
                f"CLASS:{'PRIVATE' if part['private'] else 'PUBLIC'}", *more, "END:VEVENT"]


def _plain(name: str) -> str:
    """A name without the word that must not be found anywhere."""
    return f"item-{list(CASES).index(name)}"


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"


Rep = OutlookRep | DavRep
CASES = {
    "xylretimed": "a series made private and moved by an hour",
    "xylhidden": "a series made private",
    "xylshortened": "a series made private of which one occurrence was deleted",
    "xylpushed": "a series made private and moved out of the window",
    "xylcancelled": "a series made private after one of its occurrences was cancelled",
    "xylexception": "one occurrence made private",
    "xylstrayed": "one occurrence made private and moved out of the window",
    "xylinherits": "a series made private of which one occurrence says something else",
    "xylfaraway": "a single meeting made private and moved out of the window",
    "xylrenamed": "a single meeting made private and called something else",
    "xylgiven": "a series made private and given to another organiser",
}


def plan_everything(rep: Rep) -> None:
    for name in CASES:
        rep.meets(name, series=name not in ("xylfaraway", "xylrenamed"))
    for name in ("xylexception", "xylstrayed", "xylinherits"):
        rep.changes(name, 5, subject=f"{name}-two")


def make_private(rep: Rep) -> None:
    rep.changes("xylretimed", private=True, days=1 / 24)
    rep.changes("xylhidden", private=True)
    rep.drops("xylshortened", 3)
    rep.changes("xylshortened", private=True)
    rep.changes("xylpushed", private=True, days=200)
    rep.changes("xylcancelled", private=True)
    rep.changes("xylexception", 5, private=True)
    rep.changes("xylstrayed", 5, private=True, days=200)
    rep.changes("xylinherits", private=True)
    rep.changes("xylfaraway", private=True, days=200)
    rep.changes("xylrenamed", private=True, subject="xylrenamed-again")
    rep.gives_away("xylgiven")


class Aftermath:
    """What the CRMs and the workspace showed before, and what after; collected once for each kind of calendar."""

    def __init__(self, desk: Calendar, rep: Rep, log: Path) -> None:
        handler = logging.FileHandler(log)
        loggers = [logging.getLogger(name) for name in ("sidefeed", "connectors")]
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
        desk.sync()
        plan_everything(rep)
        desk.sync(2)
        rep.drops("xylcancelled", 4)
        desk.sync()
        self.before = self._shown(desk)
        make_private(rep)
        _code, plan = desk("plan")
        desk.sync(3)
        self.after = self._shown(desk)
        self.told = str(plan) + str(desk("status")) + log.read_text()
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
        self.store = b"".join(path.read_bytes() for path in desk.folder.glob("workspace.db*"))
        self.again = desk("sync")[1]["counts"].get("written", 0)
        store = Store.open(desk.folder / "workspace.db")
        with store.read() as tx:
            self.hashes = {str(value)[:7] for state in tx.each_record("meeting") if state.values.get("withdrawn")
                           for change in tx.changes_of(state.id)
                           for name, value in change.fields.items() if name == "subject" and value is not None}
        store.close()

    def _shown(self, desk: Calendar) -> list[str]:
        """Every subject in both CRMs."""
        return sorted([str(event["Subject"]) for event in desk.events()]
                      + [str(title) for title in desk.hs_names("meetings", "hs_meeting_title")])


@pytest.fixture(scope="module", params=["exchange", "microsoft365", "caldav"])
def aftermath(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "dav").mkdir()
    with ExitStack() as servers:
        crms = servers.enter_context(SalesforceServer(tls=True)), servers.enter_context(HubSpotServer())
        exchange = servers.enter_context(ExchangeServer())
        if request.param == "exchange":
            desk = Calendar(folder, *crms, exchange)
            rep: Rep = OutlookRep(desk)
        elif request.param == "microsoft365":
            desk = CloudCalendar(folder, *crms, exchange, servers.enter_context(GraphServer(exchange=exchange)))
            rep = OutlookRep(desk)
        else:
            desk = DavCalendar(folder, *crms, exchange, servers.enter_context(radicale(folder / "dav")))
            servers.callback(desk.http.close)
            rep = DavRep(desk)
        yield Aftermath(desk, rep, folder / "log.txt")
        assert exchange.call(exchange.outbox) == []
        assert [server.crashes for server in (*crms, exchange)] == [[], [], []]


WORDS = {name: [name] for name in CASES} | {
    "xylexception": ["xylexception-two"], "xylstrayed": ["xylstrayed-two"],
    "xylinherits": ["xylinherits", "xylinherits-two"], "xylrenamed": ["xylrenamed", "xylrenamed-again"]}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_it_is_taken_back(aftermath: Aftermath, case: str) -> None:
    word = WORDS[case][-1].removesuffix("-again")
    assert [one for one in aftermath.before if one.removeprefix("Cancelled: ") == word], f"{CASES[case]}: never shown"
    assert [one for one in aftermath.after if set(WORDS[case]) & set(one.split())] == [], CASES[case]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_its_words_are_nowhere_any_more(aftermath: Aftermath, case: str) -> None:
    words = [each for word in WORDS[case] for each in (word + "-room", word)]
    assert [word for word in words if word.encode() in aftermath.store] == [], CASES[case]
    assert [word for word in words if word in aftermath.told] == [], CASES[case]


@pytest.mark.slow
def test_what_is_not_private_stays_and_only_hashes_are_kept(aftermath: Aftermath) -> None:
    for name in ("xylexception", "xylstrayed"):
        assert aftermath.after.count(name) == aftermath.before.count(name) >= 4
    assert aftermath.hashes == {"sha256:"}
    assert aftermath.again == 0


def test_a_series_known_by_its_id_alone_is_read_with_its_rule(tmp_path: Path) -> None:
    om = next(om for om in load(MAPPINGS).objects if om.system == "exchange" and om.entity == "meeting")
    stream = Stream(om.object, ANN)
    asked: list[str] = []

    class OnlyReads:
        def fetch(self, _stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> list[Remote]:
            asked.extend(fields)
            return [Remote(id, {RECURRENCE: {"rule": "FREQ=DAILY"}}) for id in ids]

    store = Store.open(tmp_path / "workspace.db")
    with store.write() as tx:
        tx.put_inbox("exchange", stream.name, {"a series": None})
    look_up(store, om, stream, OnlyReads())  # type: ignore[arg-type]
    assert RECURRENCE in asked
    with store.read() as tx:
        assert tx.inbox_bare("exchange", stream.name) == []
    store.close()
