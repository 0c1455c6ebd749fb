"""The built-in population, schema and data files, snapshots, and the Python side of the practice Exchange."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sandbox.exchange import ExchangeServer
from tests.sandbox.ews import ANNA, BEN, GUID, Ews, T, exchange, utc


@pytest.fixture
def server() -> Iterator[ExchangeServer]:
    with exchange() as made:
        yield made


def fresh(seed: int) -> ExchangeServer:
    made = ExchangeServer()
    made.clock.fix("2026-06-03T12:00:00Z")
    made.populate(seed)
    return made


def subjects(server: ExchangeServer, mailbox: str) -> list[str]:
    return [item.get("item:Subject") for item in server.items(mailbox)]


def test_the_population_is_the_same_for_a_seed_and_has_something_of_everything() -> None:
    one, two, other = fresh(7), fresh(7), fresh(8)
    rep = "ada.lindqvist@practice.example"
    assert subjects(one, rep) == subjects(two, rep) != subjects(other, rep)
    items = one.items(rep)
    assert any(item.is_master and item.exceptions and item.deleted for item in items)
    assert {item.get("item:Sensitivity") for item in items} == {None, "Private"}
    assert any(item.get("calendar:IsAllDayEvent") for item in items)
    assert any(item.get("calendar:Organizer").address == "chiara.rossi@practice.example" for item in items)
    assert len(one.items(rep, "contacts")) == 8
    assert one.outbox() == []


def test_the_service_account_of_the_population_reaches_every_mailbox() -> None:
    with fresh(1) as server, Ews(server, "svc-sync") as client:
        assert client.server.connection_info()["accounts"][0]["impersonates"] == ["*"]
        for mailbox in server.connection_info()["mailboxes"]:
            client.header = f"<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>{mailbox['address']}</t:PrimarySmtpAddress></t:ConnectingSID></t:ExchangeImpersonation>"
            assert client.page().get("TotalItemsInView") == str(len(server.items(mailbox["address"])))


def test_a_schema_file_adds_mailboxes_accounts_folders_and_properties(server: ExchangeServer) -> None:
    server.load_schema(
        {
            "mailboxes": [{"address": "z@z.example", "timezone": "Europe/Oslo"}],
            "accounts": [{"login": "robot", "password": "p", "full_access": ["*"]}],
            "folders": [{"mailbox": "z@z.example", "name": "Deals"}],
            "properties": {"deal": {"set": GUID, "name": "deal", "type": "Integer"}},
        }
    )
    made = server.create_event("z@z.example", subject="S", start="2026-06-02T09:00", deal=7, folder="Deals")
    path = f'<t:ExtendedFieldURI PropertySetId="{GUID}" PropertyName="deal" PropertyType="Integer"/>'
    with Ews(server, "robot", "p") as client:
        item = client.get(server.world.item_id(made), extra=path)
    assert item.findtext(f"{T}ExtendedProperty/{T}Value") == "7"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"mailbox": []}, "unknown section 'mailbox'"),
        ({"mailboxes": [{"name": "x"}]}, r"mailboxes\[0\] lacks 'address'"),
        ({"mailboxes": [{"address": ANNA}]}, r"mailboxes\[0\]: there is a mailbox"),
        ({"mailboxes": [{"address": "q@q.example", "timezone": "Mars"}]}, r"mailboxes\[0\]: no time zone 'Mars'"),
        ({"accounts": [{"login": "x", "rights": 1}]}, r"accounts\[0\] has an unknown key 'rights'"),
        ({"properties": {"deal": {"name": "x", "type": "String"}}}, r"properties\.deal: ErrorInvalidExtendedProperty"),
    ],
)
def test_a_wrong_schema_file_names_the_entry(server: ExchangeServer, schema: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        server.load_schema(schema)


def test_data_files_fill_mailboxes(server: ExchangeServer) -> None:
    counts = server.load_data(
        {
            "Mailbox": [{"address": "z@z.example", "name": "Z"}],
            "CalendarItem": [
                {
                    "mailbox": "z@z.example",
                    "subject": "A",
                    "start": "2026-06-02T09:00",
                    "attendees": f"{BEN}; x@y.example",
                }
            ],
            "Contact": [
                {"mailbox": "z@z.example", "given_name": "N", "surname": "N", "emails": "n@n.example", "phones": ""}
            ],
        }
    )
    assert counts == {"Mailbox": 1, "CalendarItem": 1, "Contact": 1}
    people = [one.person.address for one in server.items("z@z.example")[0].get("calendar:RequiredAttendees")]
    assert people == [BEN, "x@y.example"]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"Deal": []}, "no object 'Deal'"),
        ({"CalendarItem": [{"subject": "x"}]}, r"CalendarItem\[0\]: it does not say which mailbox"),
        (
            {"CalendarItem": [{"mailbox": ANNA, "subject": "x", "colour": "red"}]},
            r"CalendarItem\[0\]: .*no field 'colour'",
        ),
        ({"CalendarItem": [{"mailbox": "no@where.example"}]}, r"CalendarItem\[0\]: no mailbox"),
    ],
)
def test_a_wrong_record_is_named(
    server: ExchangeServer, objects: dict[str, list[dict[str, object]]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        server.load_data(objects)


def test_a_snapshot_keeps_items_ledger_and_change_keys_and_stays_usable(server: ExchangeServer) -> None:
    kept = server.call(
        server.create_event, ANNA, subject="Kept", start="2026-06-02T09:00", attendees=[BEN], send="SendOnlyToAll"
    )
    server.save_snapshot("before")
    with Ews(server) as client:
        state = client.sync().findtext("{*}SyncState")
        for _ in range(2):
            server.call(server.update_event, ANNA, kept, subject="Changed")
            server.call(server.delete, BEN, kept.get("calendar:UID"))
            server.call(server.clear_outbox)
            server.restore_snapshot("before")
            assert subjects(server, ANNA) == subjects(server, BEN) == ["Kept"]
            assert [mail.kind for mail in server.outbox()] == ["request"]
            assert len(client.sync(state).find("{*}Changes")) == 0


def test_people_can_act_from_python_as_from_outlook(server: ExchangeServer) -> None:
    def day() -> None:
        event = server.create_event(
            ANNA, subject="Review", start="2026-06-08T09:00", end="2026-06-08T10:00", attendees=[BEN],
            recurrence={"monthly": ["Second", "Monday"], "until": "2026-12-31"}, send="SendToAllAndSaveCopy",
        )  # fmt: skip
        uid = event.get("calendar:UID")
        server.respond(BEN, uid, "Tentative", body="Perhaps")
        server.update_event(ANNA, uid, location="Oslo", send="SendToAllAndSaveCopy")
        server.cancel(ANNA, uid)
        contact = server.create_contact(ANNA, given_name="Zoë", surname="Quist", emails=["z@q.example"])
        server.update_contact(ANNA, contact, job_title="Buyer")

    server.call(day)
    assert [(mail.kind, mail.response) for mail in server.outbox()] == [
        ("request", ""), ("response", "Tentative"), ("update", ""), ("cancellation", ""),
    ]  # fmt: skip
    assert server.items(BEN)[0].get("item:Subject") == "Canceled: Review"
    assert [item.get("calendar:Start") for item in server.view(BEN, utc(2026, 6, 1), utc(2026, 8, 1))] == [
        utc(2026, 6, 8, 7),
        utc(2026, 7, 13, 7),
    ]
    assert server.items(ANNA, "contacts")[0].get("contacts:JobTitle") == "Buyer"
    with pytest.raises(TypeError, match="no field 'colour'"):
        server.create_event(ANNA, colour="red")
    with pytest.raises(KeyError, match="no mailbox"):
        server.items("x@y.example")


def test_time_moves_with_the_clock_of_the_server(server: ExchangeServer) -> None:
    server.clock.move(days=1)
    made = server.call(server.create_event, ANNA, subject="Late", start="2026-06-02T09:00")
    assert made.created == utc(2026, 6, 2, 8)
    assert made.get("calendar:End") - made.get("calendar:Start") == timedelta(minutes=30)
