"""Exchange elements to raw values: times, zones, keys, privacy. No server, no network."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from connectors.calendars.fields import PRIVATE_FIELDS
from connectors.calendars.identity import SINGLE, meeting_key, normalised_uid
from connectors.exchange import settings, values, xml
from connectors.exchange.times import Zone, instant, local_date, midnight, windows_zone, zone_name
from sidefeed.connector import Invalid

GOOD = {
    "endpoint": "https://mail.example.com/EWS/Exchange.asmx",
    "username": "svc", "password": "s3cret", "mailboxes": ["Rep@Example.com"],
}  # fmt: skip


@pytest.fixture(params=["UTC", "America/Los_Angeles", "Pacific/Auckland", "Asia/Kolkata"], autouse=True)
def process_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test here holds whatever the time zone of the process."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def item(inner: str, kind: str = "Single", sensitivity: str = "Normal") -> Any:
    """A t:CalendarItem."""
    return etree.fromstring(
        f'<t:CalendarItem xmlns:t="{xml.T[1:-1]}"><t:ItemId Id="AAA=" ChangeKey="CK"/>'
        f"<t:Sensitivity>{sensitivity}</t:Sensitivity><t:CalendarItemType>{kind}</t:CalendarItemType>"
        f"<t:UID>uid-1</t:UID>{inner}</t:CalendarItem>"
    )


def read(node: Any, *fields: str) -> dict[str, Any]:
    when = values.when(node)
    original = values.original_start(node, xml.text(node, "CalendarItemType") or "", when)
    return values.read_meeting(node, when, original, "rep@example.com", fields or tuple(values.CALENDAR))


def all_day(start: str, end: str, zone: str) -> Any:
    return item(f"<t:Start>{start}</t:Start><t:End>{end}</t:End><t:IsAllDayEvent>true</t:IsAllDayEvent>{zone}")


# All-day meetings


@pytest.mark.parametrize(
    ("start", "end", "zone", "first", "last"),
    [
        ("2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z", "W. Europe Standard Time", "2026-11-23", "2026-11-24"),
        ("2026-11-23T08:00:00Z", "2026-11-25T08:00:00Z", "Pacific Standard Time", "2026-11-23", "2026-11-25"),
        ("2026-11-22T10:00:00Z", "2026-11-23T10:00:00Z", "Line Islands Standard Time", "2026-11-23", "2026-11-24"),
        ("2026-11-23T11:00:00Z", "2026-11-24T11:00:00Z", "UTC-11", "2026-11-23", "2026-11-24"),
        ("2026-11-22T11:00:00Z", "2026-11-23T11:00:00Z", "New Zealand Standard Time", "2026-11-23", "2026-11-24"),
        ("2026-11-22T18:30:00Z", "2026-11-23T18:30:00Z", "India Standard Time", "2026-11-23", "2026-11-24"),
        # over a change of daylight saving the event lasts 25 hours
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "W. Europe Standard Time", "2026-10-25", "2026-10-26"),
    ],
)
def test_an_all_day_meeting_has_the_dates_of_the_zone_it_was_made_in(
    start: str, end: str, zone: str, first: str, last: str
) -> None:
    told = read(all_day(start, end, f'<t:StartTimeZone Id="{zone}"/>'), "Start", "End", "IsAllDay")
    assert told == {"Start": first, "End": last, "IsAllDay": True}


@pytest.mark.parametrize(
    "zone_id", ["tzone://Microsoft/Custom", "Customized Time Zone", "../../etc/passwd", "localtime"]
)
def test_an_unknown_zone_is_read_by_its_bias(zone_id: str) -> None:
    zone = (
        f'<t:StartTimeZone Id="{zone_id}"><t:Periods><t:Period Bias="-PT12H" Name="Standard" Id="x-Standard"/>'
        "</t:Periods></t:StartTimeZone>"
    )
    summer = all_day("2026-11-22T11:00:00Z", "2026-11-23T11:00:00Z", zone)
    assert read(summer, "Start", "End", "Zone") == {"Start": "2026-11-23", "End": "2026-11-24", "Zone": zone_id}


@pytest.mark.parametrize(
    ("midnight_utc", "expected"),
    [("2026-11-23T00:00:00Z", 23), ("2026-11-23T08:00:00Z", 23), ("2026-11-23T10:00:00Z", 23),
     ("2026-11-22T10:30:00Z", 23), ("2026-11-22T11:00:00Z", 23), ("2026-11-22T23:00:00Z", 23)],
)  # fmt: skip
def test_without_any_zone_the_half_day_rule_finds_the_date(midnight_utc: str, expected: int) -> None:
    assert local_date(instant(midnight_utc), None) == date(2026, 11, expected)
    assert local_date(instant(midnight_utc), Zone("tzone://Microsoft/Custom")) == date(2026, 11, expected)


def test_an_all_day_meeting_lasts_a_day_at_least() -> None:
    told = read(all_day("2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", '<t:StartTimeZone Id="UTC"/>'), "Start", "End")
    assert told == {"Start": "2026-11-23", "End": "2026-11-24"}


# Times and zones


@pytest.mark.parametrize(
    ("told", "utc"),
    [("2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z"), ("2026-11-21T08:00:00+01:00", "2026-11-21T07:00:00Z"),
     ("2026-11-21T08:00:00.1234567Z", "2026-11-21T08:00:00Z"), ("2026-11-21T08:00:00", "2026-11-21T07:00:00Z")],
)  # fmt: skip
def test_an_instant_is_utc_whatever_its_spelling(told: str, utc: str) -> None:
    meeting = item(f'<t:Start>{told}</t:Start><t:StartTimeZone Id="W. Europe Standard Time"/>')
    assert read(meeting, "Start", "Zone") == {"Start": utc, "Zone": "Europe/Berlin"}


def test_zones_have_their_iana_name_and_their_windows_id() -> None:
    assert zone_name("Pacific Standard Time") == "America/Los_Angeles"
    assert (zone_name("UTC"), zone_name("Nepal Standard Time")) == ("UTC", "Asia/Kathmandu")
    assert zone_name("tzone://Microsoft/Custom") == "tzone://Microsoft/Custom"
    assert windows_zone("America/Los_Angeles") == windows_zone("Pacific Standard Time") == "Pacific Standard Time"
    assert windows_zone("Mars/Olympus") is None
    assert midnight("2026-07-01", "Europe/Berlin").astimezone(UTC) == datetime(2026, 6, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize("true", ["true", "1"])
def test_both_spellings_of_true_count(true: str) -> None:
    told = read(item(f"<t:Start>2026-11-21T08:00:00Z</t:Start><t:IsCancelled>{true}</t:IsCancelled>"), "IsCancelled")
    assert told == {"IsCancelled": True}


# Keys


def test_a_key_is_the_series_and_the_original_start() -> None:
    uid = "040000008200E00074C5B7101A82E00807EA0B17" + "AB" * 20
    master = "040000008200E00074C5B7101A82E00800000000" + "AB" * 20
    assert normalised_uid(uid.lower()) == normalised_uid(master) == master
    assert meeting_key(uid, "2026-11-23T09:00:00Z") == meeting_key(master, "2026-11-23T09:00:00Z")
    assert meeting_key(master, SINGLE) != meeting_key(master, "2026-11-23T09:00:00Z")
    assert meeting_key("a", SINGLE).startswith("v1:") and meeting_key("a", SINGLE).islower()


def test_a_uid_that_exchange_wrapped_meets_its_original() -> None:
    plain = "7f3a@calendar.example.org"
    data = b"vCal-Uid\x01\x00\x00\x00" + plain.encode() + b"\x00"
    wrapped = (
        "040000008200E00074C5B7101A82E008" + "00000000" + "00" * 16 + len(data).to_bytes(4, "little").hex() + data.hex()
    )
    assert normalised_uid(wrapped.upper()) == plain


@pytest.mark.parametrize("uid", ["", "plain", "040000008200E00074C5B7101A82E0080", "Ünïcødé@x", "  spaced  "])
def test_any_other_uid_stays_as_it_is(uid: str) -> None:
    assert normalised_uid(uid) == uid.strip()


def test_an_exception_is_known_by_its_original_start() -> None:
    moved = item(
        "<t:Start>2026-11-24T15:00:00Z</t:Start><t:OriginalStart>2026-11-23T09:00:00Z</t:OriginalStart>", "Exception"
    )
    assert read(moved, "Key", "OriginalStart", "Series") == {
        "Key": meeting_key("uid-1", "2026-11-23T09:00:00Z"), "OriginalStart": "2026-11-23T09:00:00Z", "Series": True,
    }  # fmt: skip


def test_an_exception_that_does_not_tell_its_original_start_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="original start"):
        read(item("<t:Start>2026-11-24T15:00:00Z</t:Start>", "Exception"))


# Privacy


@pytest.mark.parametrize("sensitivity", ["Private", "Personal", "Confidential"])
def test_of_a_private_meeting_only_the_time_is_told_even_if_the_server_told_more(sensitivity: str) -> None:
    meeting = item(
        "<t:Subject>dentist</t:Subject><t:Body>dentist</t:Body><t:Start>2026-11-21T08:00:00Z</t:Start>"
        "<t:Location>dentist</t:Location><t:Organizer><t:Mailbox><t:EmailAddress>d@dentist.example</t:EmailAddress>"
        "</t:Mailbox></t:Organizer>",
        sensitivity=sensitivity,
    )
    told = read(meeting)
    assert set(told) == set(PRIVATE_FIELDS)
    assert told["Sensitivity"] == sensitivity.lower()
    assert "dentist" not in repr(told)


def test_a_meeting_that_does_not_tell_its_sensitivity_is_private() -> None:
    meeting = item("<t:Subject>dentist</t:Subject><t:Start>2026-11-21T08:00:00Z</t:Start>")
    meeting.remove(meeting.find(f"{xml.T}Sensitivity"))
    assert "Subject" not in read(meeting)
    listed = values.row(meeting)
    assert listed is not None and listed.private


# People


def test_attendees_are_plain_and_sorted_and_directory_names_are_no_addresses() -> None:
    def person(name: str, address: str, response: str) -> str:
        return (
            f"<t:Attendee><t:Mailbox><t:Name>{name}</t:Name><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox>"
            f"<t:ResponseType>{response}</t:ResponseType></t:Attendee>"
        )

    meeting = item(
        "<t:Start>2026-11-21T08:00:00Z</t:Start><t:MyResponseType>Accept</t:MyResponseType><t:RequiredAttendees>"
        + person("Zoe", "SMTP:Zoe@Acme.example", "Accept")
        + person("Old", "/o=Org/ou=Group/cn=old", "Unknown")
        + "</t:RequiredAttendees><t:Resources>"
        + person("Room 1", "room1@example.com", "NoResponseReceived")
        + "</t:Resources>"
    )
    told = read(meeting, "Attendees", "MyResponse", "IsOrganizer")
    assert told["Attendees"] == [
        {"address": None, "name": "Old", "role": "required", "response": "none"},
        {"address": "room1@example.com", "name": "Room 1", "role": "resource", "response": "none"},
        {"address": "zoe@acme.example", "name": "Zoe", "role": "required", "response": "accept"},
    ]
    assert (told["MyResponse"], told["IsOrganizer"]) == ("accept", False)


@pytest.mark.parametrize(
    ("inner", "link"),
    [
        ("<t:JoinOnlineMeetingUrl>https://meet.example.com/1</t:JoinOnlineMeetingUrl>", "https://meet.example.com/1"),
        ("<t:Location>Teams; https://teams.microsoft.com/l/meetup-join/19%3a</t:Location>",
         "https://teams.microsoft.com/l/meetup-join/19%3a"),
        ("<t:Body>Join: &lt;https://acme.zoom.us/j/9?pwd=x&gt; or call</t:Body>", "https://acme.zoom.us/j/9?pwd=x"),
        ("<t:Location>https://zoom.us.evil.example/j/9</t:Location>", None), ("", None),
    ],
)  # fmt: skip
def test_the_join_link_is_exchanges_own_or_one_of_a_known_service(inner: str, link: str | None) -> None:
    assert read(item(f"<t:Start>2026-11-21T08:00:00Z</t:Start>{inner}"), "JoinUrl") == {"JoinUrl": link}


# Writing


def written(raw: dict[str, Any], kind: str = "CalendarItem") -> list[tuple[str, str]]:
    """(what is done, property) for each change, in order."""
    return [
        (xml.local(change), change[0].get("FieldURI") + (change[0].get("FieldIndex") or ""))
        for change in values.changes(raw, kind, "UTC")
    ]


def test_an_update_names_each_property_once_and_no_other() -> None:
    assert written({"Subject": "x", "Location": None}) == [
        ("SetItemField", "item:Subject"), ("DeleteItemField", "calendar:Location"),
    ]  # fmt: skip
    assert written({"EmailAddress2": None, "BusinessPhone": "1", "Categories": []}, "Contact") == [
        ("DeleteItemField", "contacts:EmailAddressEmailAddress2"),
        ("SetItemField", "contacts:PhoneNumberBusinessPhone"),
        ("DeleteItemField", "item:Categories"),
    ]


def test_an_all_day_meeting_is_written_at_the_midnights_of_its_zone() -> None:
    made = values.new_item(
        {"Start": "2026-11-23", "End": "2026-11-24", "IsAllDay": True, "Zone": "Pacific/Auckland"}, "k", "CalendarItem",
        "UTC",
    )  # fmt: skip
    assert xml.text(made, "Start") == "2026-11-23T00:00:00+13:00"
    assert xml.text(made, "End") == "2026-11-24T00:00:00+13:00"
    assert xml.at(made, "StartTimeZone").get("Id") == "New Zealand Standard Time"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"Attendees": [{"address": "a@b.c"}]}, "Attendees"), ({"Organizer": "a@b.c"}, "Organizer"),
        ({"Key": "x"}, "Key"),
        ({"ShowAs": "asleep"}, "ShowAs"), ({"Zone": "Mars/Olympus"}, "Zone"), ({"Start": "soon"}, "Start"),
        ({"Start": None}, "Start"), ({"Nonsense": "1"}, "Nonsense"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_by_name(raw: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        values.changes(raw, "CalendarItem", "UTC")
    assert refused.value.field == field


def test_text_that_xml_cannot_carry_becomes_a_question_mark() -> None:
    assert xml.element("t:Subject", "a\x00b\x1fc\ud800d").text == "a?b?c?d"


def test_a_reply_with_a_document_type_is_not_read() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    assert xml.parse(bomb) is None


# Settings


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpoint": ""}, "endpoint"), ({"endpoint": "mail.example.com"}, "endpoint"),
        ({"endpoint": "https://u:p@mail.example.com/"}, "endpoint"), ({"mailboxes": []}, "mailboxes"),
        ({"mailboxes": ["not an address"]}, "mailboxes"), ({"password": None}, "password"),
        ({"auth": "kerberos"}, "auth"),
        ({"access": "root"}, "access"), ({"access": "own"}, "credentials"), ({"version": "2019"}, "version"),
        ({"window_past_days": -1}, "window_past_days"), ({"window_future_days": 4000}, "window_future_days"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"), ({"auth": "oauth"}, "tenant_id"),
        ({"read_bodies": "maybe"}, "read_bodies"),
        ({"auth": "oauth", "tenant_id": "../x", "client_id": "a", "client_secret": "b"}, "tenant_id"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        settings.parse({**GOOD, **change})
    assert refused.value.field == field
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["outlook.office365.com", "OUTLOOK.office365.com", "outlook.office.com", "partner.outlook.cn"]
)
def test_exchange_online_is_refused_with_the_dates_and_the_way_out(host: str) -> None:
    table = {**GOOD, "endpoint": f"https://{host}/EWS/Exchange.asmx", "client_id": "app-1"}
    with pytest.raises(Invalid) as refused:
        settings.parse(table)
    for part in ("2026-10-01", "2027-04-01", "use [systems.microsoft365]", "app-1"):
        assert part in refused.value.message
    assert settings.parse({**table, "allow_exchange_online": True}).online


def test_a_host_that_only_looks_like_exchange_online_is_let_in() -> None:
    assert not settings.parse({**GOOD, "endpoint": "https://office365.com.example.com/EWS/Exchange.asmx"}).online


def test_settings_may_come_as_text_from_the_environment() -> None:
    told = settings.parse({**GOOD, "mailboxes": "ann@x.example, bob@x.example", "read_bodies": "false",
                           "window_past_days": "7", "timeout": "5"})  # fmt: skip
    assert (list(told.mailboxes), told.read_bodies, told.past, told.timeout) == (
        ["ann@x.example", "bob@x.example"], False, 7, 5.0,
    )  # fmt: skip


def test_settings_show_no_secret() -> None:
    own = {"rep@example.com": {"username": "rep", "password": "own-s3cret"}}
    shown = repr(settings.parse({**GOOD, "access": "own", "credentials": own})) + repr(settings.parse(GOOD))
    app = {"auth": "oauth", "client_id": "a", "client_secret": "app-s3cret", "tenant_id": "contoso.com"}
    assert "s3cret" not in shown + repr(settings.parse({**GOOD, **app}))


def test_importing_the_connector_does_not_import_exchangelib() -> None:
    import subprocess
    import sys

    code = "import sys, connectors.exchange; sys.exit('exchangelib' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_a_span_of_unknown_length_never_breaks_the_half_day_rule() -> None:
    for hours in range(-10, 14):
        zone_midnight = datetime(2026, 11, 23, tzinfo=UTC) - timedelta(hours=hours)
        assert local_date(zone_midnight, None) == date(2026, 11, 23), hours
