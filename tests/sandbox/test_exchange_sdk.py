"""exchangelib 5.6, unpatched, against the practice Exchange: over http and TLS, with Basic and NTLM."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from exchangelib import (
        BASIC,
        DELEGATE,
        IMPERSONATION,
        NTLM,
        Account,
        Attendee,
        Build,
        CalendarItem,
        Configuration,
        Contact,
        Credentials,
        DistributionList,
        EWSDate,
        EWSDateTime,
        EWSTimeZone,
        ExtendedProperty,
        FileAttachment,
        Mailbox,
        Message,
        OofSettings,
        Q,
        Version,
    )
    from exchangelib.errors import (
        ErrorIrresolvableConflict,
        ErrorItemNotFound,
        ErrorNameResolutionNoResults,
        ErrorServerBusy,
        UnauthorizedError,
    )
    from exchangelib.indexed_properties import EmailAddress, PhoneNumber, PhysicalAddress
    from exchangelib.protocol import close_connections
    from exchangelib.recurrence import Recurrence, WeeklyPattern
    from exchangelib.services import SyncFolderItems

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import ANNA, BEN, CARA, GUID, exchange

BERLIN = EWSTimeZone("Europe/Berlin")
BUILD = Version(build=Build(15, 2, 1544, 11))


class PracticeLink(ExtendedProperty):  # type: ignore[misc]
    property_set_id = GUID
    property_name = "practice-link"
    property_type = "String"


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    CalendarItem.register("practice_link", PracticeLink)
    yield
    CalendarItem.deregister("practice_link")


@pytest.fixture(scope="module")
def plain() -> Iterator[ExchangeServer]:
    with exchange() as server:
        server.add_account("svc", "secret", impersonates=["*"])
        server.save_snapshot()
        yield server


@pytest.fixture(scope="module")
def secure() -> Iterator[ExchangeServer]:
    with exchange(tls=True) as server:
        server.save_snapshot()
        yield server


Connect = Callable[..., Any]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Account of a mailbox; exchangelib's caches of connections end with the test."""

    def account(server: ExchangeServer, address: str = ANNA, *, login: str = "", password: str = "secret",
                auth: str | None = BASIC, access: str = DELEGATE, version: Any = BUILD) -> Any:  # fmt: skip
        if server.ca_file is not None:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca_file))
        configuration = Configuration(
            service_endpoint=f"{server.url}/EWS/Exchange.asmx", credentials=Credentials(login or address, password),
            auth_type=auth, version=version,
        )  # fmt: skip
        return Account(address, config=configuration, autodiscover=False, access_type=access, default_timezone=BERLIN)

    yield account
    close_connections()


@pytest.fixture
def anna(plain: ExchangeServer, connect: Connect) -> Any:
    plain.restore_snapshot()
    return connect(plain)


def at(day: int, hour: int = 9, month: int = 6) -> Any:
    return EWSDateTime(2026, month, day, hour, tzinfo=BERLIN)


def new_event(account: Any, subject: str = "Meeting", **fields: Any) -> Any:
    item = CalendarItem(
        account=account, folder=account.calendar, subject=subject, **{"start": at(2), "end": at(2, 10), **fields}
    )
    return item.save()


# -- connecting ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", [BASIC, NTLM])
@pytest.mark.parametrize("transport", ["plain", "secure"])
def test_it_connects_over_http_and_tls_with_basic_and_ntlm(
    request: pytest.FixtureRequest, connect: Connect, transport: str, auth: str
) -> None:
    server = request.getfixturevalue(transport)
    server.restore_snapshot()
    account = connect(server, login="PRACTICE\\anna" if auth == NTLM else "", auth=auth)
    new_event(account, f"By {auth}")
    assert [item.subject for item in account.calendar.all()] == [f"By {auth}"]


def test_it_finds_out_scheme_and_version_by_itself(plain: ExchangeServer, connect: Connect) -> None:
    account = connect(plain, auth=None, version=None)
    assert account.protocol.auth_type == NTLM
    assert account.version.build == Build(15, 2, 1544, 11)


def test_a_wrong_password_is_unauthorized(plain: ExchangeServer, connect: Connect) -> None:
    with pytest.raises(UnauthorizedError):
        _ = connect(plain, password="wrong").calendar


def test_it_impersonates(plain: ExchangeServer, connect: Connect) -> None:
    plain.restore_snapshot()
    account = connect(plain, BEN, login="svc", access=IMPERSONATION)
    new_event(account, "For Ben")
    assert [item.get("item:Subject") for item in plain.call(plain.items, BEN)] == ["For Ben"]


# -- events ---------------------------------------------------------------------------------------------------------------------


def test_an_event_is_saved_refreshed_updated_moved_and_found_by_its_link(anna: Any) -> None:
    item = new_event(
        anna, body="Agenda", categories=["Red"], location="Oslo", sensitivity="Private", practice_link="006A"
    )
    item.refresh()
    assert (item.text_body, item.categories, item.sensitivity, item.practice_link) == (
        "Agenda",
        ["Red"],
        "Private",
        "006A",
    )
    assert (item.start, item._start_timezone) == (at(2), BERLIN)
    key = item.changekey
    item.subject = "Renamed"
    item.save(update_fields=["subject"], conflict_resolution="NeverOverwrite")
    assert item.changekey != key
    assert [found.subject for found in anna.calendar.filter(practice_link="006A")] == ["Renamed"]
    assert list(anna.calendar.filter(practice_link="other")) == []
    item.move_to_trash()
    assert [found.subject for found in anna.trash.all()] == ["Renamed"]


def test_a_stale_key_raises_the_conflict(anna: Any) -> None:
    item = new_event(anna)
    twin = anna.calendar.get(id=item.id, changekey=item.changekey)
    item.subject = "First"
    item.save(update_fields=["subject"])
    twin.subject = "Second"
    with pytest.raises(ErrorIrresolvableConflict):
        twin.save(update_fields=["subject"], conflict_resolution="NeverOverwrite")


def test_all_day_events_keep_their_dates(anna: Any) -> None:
    item = new_event(anna, start=EWSDate(2026, 7, 1), end=EWSDate(2026, 7, 2), is_all_day=True)
    item.refresh()
    assert (item.start, item.end) == (EWSDate(2026, 7, 1), EWSDate(2026, 7, 2))


def test_a_view_shows_occurrences_with_people(anna: Any) -> None:
    rule = Recurrence(pattern=WeeklyPattern(interval=1, weekdays=["Monday"]), start=EWSDate(2026, 6, 1), number=3)
    guest = Attendee(mailbox=Mailbox(email_address=BEN), response_type="Unknown")
    new_event(anna, "Weekly", start=at(1), end=at(1, 10), recurrence=rule, required_attendees=[guest])
    shown = list(anna.calendar.view(start=at(1), end=at(30)))
    assert [(item.type, item.start.day) for item in shown] == [("Occurrence", 1), ("Occurrence", 8), ("Occurrence", 15)]
    assert shown[0].required_attendees[0].mailbox.email_address == BEN
    assert shown[0].organizer.email_address == ANNA


def test_a_series_with_an_exception_and_a_hole(anna: Any) -> None:
    rule = Recurrence(pattern=WeeklyPattern(interval=1, weekdays=["Monday"]), start=EWSDate(2026, 6, 1), number=4)
    master = new_event(anna, "Weekly", start=at(1), end=at(1, 10), recurrence=rule)
    master.refresh()
    assert (master.recurrence, master.type) == (rule, "RecurringMaster")
    second = master.occurrence(2)
    second.refresh()
    second.start, second.end = second.start + timedelta(hours=3), second.end + timedelta(hours=3)
    second.save(update_fields=["start", "end"])
    third = master.occurrence(3)
    third.delete()
    master.refresh()
    assert [one.original_start for one in master.modified_occurrences] == [at(8)]
    assert [one.start for one in master.deleted_occurrences] == [at(15)]
    assert master.last_occurrence.start == at(22)
    own = master.occurrence(2)
    own.refresh()
    up = own.recurring_master()
    up.refresh()
    assert up.id == master.id


def test_meetings_are_mailed_only_as_ordered(plain: ExchangeServer, anna: Any, connect: Connect) -> None:
    guest = Attendee(mailbox=Mailbox(email_address=BEN), response_type="Unknown")
    item = CalendarItem(
        account=anna, folder=anna.calendar, subject="Quiet", start=at(2), end=at(2, 10), required_attendees=[guest]
    )
    item.save(send_meeting_invitations="SendToNone")
    assert plain.call(plain.outbox) == []
    item.subject = "Loud"
    item.save(update_fields=["subject"], send_meeting_invitations="SendToAllAndSaveCopy")
    assert [(mail.kind, mail.recipients) for mail in plain.call(plain.outbox)] == [("update", (BEN,))]
    ben = connect(plain, BEN)
    request = ben.inbox.all()[0]
    request.accept(body="Fine")
    item.refresh()
    assert item.required_attendees[0].response_type == "Accept"
    item.cancel()
    assert [mail.kind for mail in plain.call(plain.outbox)] == ["update", "response", "cancellation"]
    assert ben.calendar.all()[0].is_cancelled


def test_bulk_operations_and_fetch(anna: Any) -> None:
    items = [CalendarItem(subject=f"b{number}", start=at(2), end=at(2, 10)) for number in range(12)]
    created = anna.bulk_create(folder=anna.calendar, items=items)
    fetched = list(anna.fetch([(one.id, one.changekey) for one in created], only_fields=["subject"], chunk_size=5))
    assert [one.subject for one in fetched] == [f"b{number}" for number in range(12)]
    assert anna.bulk_delete([(one.id, one.changekey) for one in created[:5]], delete_type="HardDelete") == [True] * 5
    gone = next(iter(anna.fetch([(created[0].id, created[0].changekey)])))
    assert isinstance(gone, ErrorItemNotFound)
    assert anna.calendar.all().count() == 7


def test_searches_with_expressions_order_and_pages(anna: Any) -> None:
    for number in range(25):
        new_event(
            anna,
            f"Event {number:02}",
            location="Oslo" if number % 2 else None,
            start=at(1 + number % 5),
            end=at(1 + number % 5, 10),
        )
    found = anna.calendar.filter(Q(subject__contains="Event") & ~Q(location="Oslo"), start__gte=at(3)).order_by(
        "-subject"
    )
    found.page_size = 3
    expected = sorted((f"Event {n:02}" for n in range(25) if n % 2 == 0 and 1 + n % 5 >= 3), reverse=True)
    assert [item.subject for item in found] == expected


# -- synchronising ----------------------------------------------------------------------------------------------------------------


def test_sync_items_and_the_service_page_by_page(anna: Any) -> None:
    for number in range(5):
        new_event(anna, f"e{number}")
    first = list(anna.calendar.sync_items(only_fields=["subject"]))
    assert sorted(item.subject for _, item in first) == [f"e{number}" for number in range(5)]
    anna.calendar.all()[0].delete()
    assert [kind for kind, _ in anna.calendar.sync_items(sync_state=anna.calendar.item_sync_state)] == ["delete"]
    state, pages, seen = None, 0, []
    while True:
        service = SyncFolderItems(account=anna)
        rows = list(
            service.call(
                folder=anna.calendar,
                shape="IdOnly",
                additional_fields=None,
                sync_state=state,
                ignore=None,
                max_changes_returned=2,
                sync_scope=None,
            )
        )
        seen += [item.id for _, item in rows]
        state, pages = service.sync_state, pages + 1
        if service.includes_last_item_in_range:
            break
    assert (len(set(seen)), pages) == (4, 2)


def test_notifications_by_pull_and_stream(anna: Any) -> None:
    subscription, watermark = anna.calendar.subscribe_to_pull(event_types=("CreatedEvent",))
    item = new_event(anna)
    told = list(anna.calendar.get_events(subscription, watermark))
    assert [event.item_id.id for event in told[0].events] == [item.id]
    anna.calendar.unsubscribe(subscription)
    streaming = anna.calendar.subscribe_to_streaming(event_types=("ModifiedEvent",))
    item.subject = "Changed"
    item.save(update_fields=["subject"])
    told = list(anna.calendar.get_streaming_events(streaming, connection_timeout=1, max_notifications_returned=1))
    assert [event.item_id.id for event in told[0].events] == [item.id]


# -- contacts, people, settings -------------------------------------------------------------------------------------------------------


def test_contacts_with_addresses_and_lists(anna: Any) -> None:
    contact = Contact(
        account=anna, folder=anna.contacts, display_name="Zoë Quist", given_name="Zoë", surname="Quist", company_name="Fabrikam",
        email_addresses=[EmailAddress(label="EmailAddress1", email="z@f.example"), EmailAddress(label="EmailAddress2", email="q@f.example")],
        phone_numbers=[PhoneNumber(label="MobilePhone", phone_number="+47 1")],
        physical_addresses=[PhysicalAddress(label="Business", street="Main 1", city="Oslo", country="Norway")],
    )  # fmt: skip
    contact.save()
    contact.refresh()
    assert contact.complete_name.full_name == "Zoë Quist"
    assert contact.physical_addresses[0].city == "Oslo"
    contact.email_addresses = [EmailAddress(label="EmailAddress1", email="new@f.example")]
    contact.save(update_fields=["email_addresses"])
    contact.refresh()
    assert [(one.label, one.email) for one in contact.email_addresses] == [("EmailAddress1", "new@f.example")]
    DistributionList(account=anna, folder=anna.contacts, display_name="Buyers").save()
    assert {type(one) for one in anna.contacts.all()} == {Contact, DistributionList}


def test_names_free_busy_rooms_zones_and_automatic_replies(plain: ExchangeServer, anna: Any) -> None:
    plain.call(plain.add_room_list, "rooms@corp.example", [CARA])
    protocol = anna.protocol
    mailbox, contact = protocol.resolve_names(["ben"], return_full_contact_data=True)[0]
    assert (mailbox.email_address, contact.email_addresses[0].email) == (BEN, f"SMTP:{BEN}")
    assert isinstance(protocol.resolve_names(["nobody"])[0], ErrorNameResolutionNoResults)
    new_event(anna, "Busy")
    free_busy = next(iter(protocol.get_free_busy_info([(anna, "Organizer", False)], start=at(2, 0), end=at(3, 0))))
    assert [(one.start, one.busy_type) for one in free_busy.calendar_events] == [(at(2), "Busy")]
    assert free_busy.merged == "0" * 18 + "22" + "0" * 28
    rooms = list(protocol.get_rooms(next(iter(protocol.get_roomlists())).email_address))
    assert [room.email_address for room in rooms] == [CARA]
    assert {zone.id for zone in protocol.get_timezones()} >= {"W. Europe Standard Time", "Eastern Standard Time"}
    anna.oof_settings = OofSettings(state=OofSettings.ENABLED, internal_reply="Away", external_reply="Gone")
    assert anna.oof_settings.internal_reply == "Away"


def test_attachments_drafts_and_folders(plain: ExchangeServer, anna: Any, connect: Connect) -> None:
    item = new_event(anna)
    item.attach(FileAttachment(name="a.txt", content=b"hello"))
    item.refresh()
    assert item.attachments[0].content == b"hello"
    message = Message(account=anna, folder=anna.drafts, subject="Hi", to_recipients=[Mailbox(email_address=BEN)])
    message.save()
    message.send()
    assert [one.subject for one in connect(plain, BEN).inbox.all()] == ["Hi"]
    assert (anna.root / "Top of Information Store" / "Calendar") == anna.calendar


def test_a_back_off_is_seen(plain: ExchangeServer, anna: Any) -> None:
    _ = anna.calendar
    plain.call(plain.faults.add, "busy", backoff_ms=1500)
    with pytest.raises(ErrorServerBusy) as caught:
        list(anna.calendar.all())
    assert caught.value.back_off == 1.5
