"""A contact folder of Sidefeed's own on Exchange, with people who keep their other contacts beside it in Outlook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from exchangelib import Body, Contact, FileAttachment
from exchangelib.folders import Contacts
from exchangelib.indexed_properties import EmailAddress

from sandbox.exchange import ExchangeServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.connector import CursorExpired, Invalid, Stream, Write
from tests.connectors.exchange_office import ANN, BOB, PASSWORD, Office, practice_server, read
from tests.sync.test_meetings import ANN as REP
from tests.sync.test_meetings import GUEST, Calendar

OWN = Stream("contacts", ANN)
PHOTO = b"\xff\xd8\xff not much of a photo"


@pytest.fixture
def office() -> Iterator[Office]:
    server = practice_server()
    office = Office(server)
    yield office
    office.close()
    server.stop()
    assert server.crashes == [] and not office.mailed()


def keeps(office: Office, name: str, folder: object = None) -> Contact:
    """A person's own contact, with a photo and a note."""
    account = office.outlook()
    made = Contact(account=account, folder=folder or account.contacts, display_name=name, given_name=name,
                   email_addresses=[EmailAddress(label="EmailAddress1", email=f"{name.lower()}@acme.example")],
                   body=Body(f"Note on {name}")).save()
    made.attach(FileAttachment(name="ContactPicture.jpg", content=PHOTO, is_contact_photo=True))
    return made


def personal(item: Contact) -> tuple[str, list[bytes]]:
    """Note and photos, as Outlook holds them."""
    return str(item.body), [each.content for each in item.attachments if each.is_contact_photo]


def test_contacts_go_to_the_folder_of_their_own_and_those_elsewhere_are_never_touched(office: Office) -> None:
    with office.people():
        una = keeps(office, "Una").id
    before = read(office.connect(mailboxes=[ANN]), OWN, fields=("GivenName",))
    assert set(before[0]) == {una}
    connector = office.connect(contacts_folder="Sidefeed", mailboxes=[ANN])
    with pytest.raises(CursorExpired):
        read(connector, OWN, before[1], fields=("GivenName",))
    with pytest.raises(Invalid, match=r"no contact folder 'Sidefeed'.*prepare"):
        read(connector, OWN, fields=("GivenName",))
    assert connector.prepare([], apply=False)[-1] == f"{ANN}: contact folder 'Sidefeed' would be created."
    assert connector.prepare([], apply=True)[-1] == f"{ANN}: contact folder 'Sidefeed' created."
    connector = office.connect(contacts_folder="sidefeed", mailboxes=[ANN])
    assert len(connector.prepare([], apply=True)) == 1, "it is there, however its name is spelt"
    wanted = Write("m", "create", {"GivenName": "Mia", "EmailAddress1": "mia@acme.example"}, external_key="rec-9:1")
    (made,) = connector.write(OWN, [wanted])
    mia = made.external_id or ""
    assert connector.find(OWN, ["rec-9:1"]) == {"rec-9:1": [mia]}
    told, cursor = read(connector, OWN, fields=("EmailAddress1",))
    assert {each: record.values for each, record in told.items()} == {mia: {"EmailAddress1": "mia@acme.example"}}
    assert [each for each, _version in connector.ids(OWN)] == [mia]
    version = next(iter(connector.fetch(OWN, ["JobTitle"], [mia]))).version
    strange = [Write("update", "update", {"JobTitle": "Boss"}, una), Write("delete", "delete", {}, una)]
    assert [one.status for one in connector.write(OWN, strange)] == ["refused", "done"]
    assert {each.id: each.state for each in connector.fetch(OWN, ["JobTitle"], [una, mia])} == {
        una: "deleted", mia: "live"}
    calls = connector.calls.used
    assert read(connector, OWN, cursor)[0] == {} and connector.calls.used == calls + 1, "a quiet look is one request"
    with office.people():
        account = office.outlook()
        own = account.contacts / "Sidefeed"
        assert isinstance(own, Contacts) and [one.given_name for one in own.all()] == ["Mia"]
        (held,) = account.fetch([(una, None)])
        assert (held.job_title, personal(held)) == (None, ("Note on Una", [PHOTO]))
        mine = own.get(id=mia)
        mine.body = Body("Note on Mia")
        mine.save(update_fields=["body"])
        mine.attach(FileAttachment(name="ContactPicture.jpg", content=PHOTO, is_contact_photo=True))
    stale = Write("old", "update", {"JobTitle": "Chief"}, mia, version=version, expected={"JobTitle": None})
    now = next(iter(connector.fetch(OWN, ["JobTitle"], [mia]))).version
    right = Write("new", "update", {"JobTitle": "Chief"}, mia, version=now, expected={"JobTitle": None})
    assert [one.status for one in connector.write(OWN, [stale, right])] == ["stale", "done"]
    with office.people():
        mine = (office.outlook().contacts / "Sidefeed").get(id=mia)
        assert (mine.job_title, personal(mine)) == ("Chief", ("Note on Mia", [PHOTO]))
        mine.move(office.outlook().contacts)
    after, _ = read(connector, OWN, cursor)
    assert after[mia].state == "deleted", "what its owner drags out of the folder is let go"


def test_a_folder_that_may_not_be_made_or_written_is_told_before_anything_is_sent(office: Office) -> None:
    office.server.grant(ANN, BOB, "Reviewer")
    settings = {"username": BOB, "password": PASSWORD, "access": "delegate", "mailboxes": [ANN, BOB],
                "contacts_folder": "Sidefeed"}  # fmt: skip
    wants = {"reads": (), "writes": ("JobTitle",), "deletes": False}
    connector = office.connect(**settings)
    assert connector.rights("contacts", creates=True, **wants).unready == (
        f"{ANN}: there is no contact folder 'Sidefeed', and this account may not make one",
        f"{BOB}: there is no contact folder 'Sidefeed'")
    assert connector.rights("calendar", creates=True, **wants).unready == ()
    assert connector.prepare([], apply=False)[1:] == [
        f"{ANN}: contact folder 'Sidefeed' is missing, and this account may not create it.",
        f"{BOB}: contact folder 'Sidefeed' would be created."]
    refused, made = connector.prepare([], apply=True)[1:]
    assert refused.startswith(f"{ANN}: contact folder 'Sidefeed' cannot be created. No access") and "Outlook" in refused
    assert made == f"{BOB}: contact folder 'Sidefeed' created."
    with office.people():
        Contacts(parent=office.outlook().contacts, name="Sidefeed").save()
    assert office.connect(**settings).rights("contacts", creates=False, **wants).unready == ()
    assert office.connect(**settings).rights("contacts", creates=True, **wants).unready == (
        f"{ANN}: this account may create no contacts in the folder 'Sidefeed'",)
    office.server.grant(ANN, BOB, "Editor")
    assert office.connect(**settings).rights("contacts", creates=True, **wants).unready == ()
    wrong = office.connect(**{**settings, "password": "wrong"})
    assert len(wrong.rights("contacts", creates=True, **wants).unready) == 1 and wrong.calls.used == 1


@pytest.mark.slow
def test_a_person_is_matched_before_one_is_made_in_the_folder(tmp_path: Path) -> None:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot, ExchangeServer() as exchange:
        desk = Calendar(tmp_path, salesforce, hubspot, exchange)
        desk.write(exchange={"mailboxes": [REP], "contacts_folder": "Sidefeed"})
        desk.edit("exchange.yaml", "    creates: false\n    who: owner", "    creates: true")
        for field in ("GivenName", "Surname", "EmailAddress1"):
            desk.edit("exchange.yaml", f"{{field: {field}, direction: read}}", field)
        code, told = desk("check")
        assert code == 2 and [one["message"] for one in told["findings"] if one["code"] == "not-prepared"] == [
            f"exchange contacts: {REP}: there is no contact folder 'Sidefeed'."]
        assert desk("prepare", "exchange", "--dry-run")[1]["not_ready"] == ["contacts"]
        assert desk("prepare", "exchange")[:1] == (0,)
        assert [one["code"] for one in desk("check")[1]["findings"] if one["code"] == "not-prepared"] == []
        own = exchange.call(lambda: next(one for one in exchange.world.folders.values() if one.name == "Sidefeed"))
        exchange.call(lambda: exchange.create_contact(REP, given_name="Elsewhere", emails=[GUEST]))
        exchange.call(lambda: exchange.create_contact(REP, folder="Sidefeed", given_name="Here", emails=[GUEST]))
        owner = salesforce.call(lambda: next(one["Id"] for one in salesforce.rows("User") if one["Email"] == REP))
        desk.sf("Contact", FirstName="Mia", LastName="Berg", Email="mia@acme.example", AccountId=desk.account, OwnerId=owner)
        desk.sf("Contact", FirstName="Zoe", LastName="Alm", Email="zoe@acme.example", AccountId=desk.account)
        desk.sync(2)
        held = exchange.call(lambda: sorted(
            str(item.get("contacts:EmailAddresses")["EmailAddress1"]) for item in own.items.values()))
        assert held == [GUEST, "mia@acme.example"]
        elsewhere = exchange.call(lambda: exchange.items(REP, "contacts"))
        assert [one.get("contacts:GivenName") for one in elsewhere] == ["Elsewhere"]
        _code, report = desk("sync")
        assert report["counts"].get("written", 0) == 0
        assert salesforce.crashes == hubspot.crashes == exchange.crashes == []
