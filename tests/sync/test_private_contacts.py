"""A contact that turns private in an address book: Graph and EWS in, both CRMs out, over real sockets."""

from __future__ import annotations

import pytest

from sandbox.exchange.store import Item
from tests.sync.test_meetings import ANN, BOB
from tests.sync.test_microsoft365_meetings import CloudCalendar, cloud

__all__ = ["cloud"]

MIA = "mia@acme.example"


class Books:
    """Ann's address book is read through Graph, Bob's through EWS."""

    def __init__(self, desk: CloudCalendar) -> None:
        self.desk = desk
        desk.write(microsoft365={"mailboxes": [ANN]})
        self.mia = desk.sf("Contact", FirstName="Mia", LastName="Berg", Email=MIA, AccountId=desk.account,
                           Title="Buyer", Phone="+1 212-555-0100")

    def keeps(self, address: str, given: str = "Mia", email: str = MIA, **fields: object) -> Item:
        made: Item = self.desk.exchange.call(lambda: self.desk.exchange.create_contact(
            address, given_name=given, surname="Berg", emails=[email], **fields))
        return made

    def edits(self, address: str, item: Item, **fields: object) -> None:
        self.desk.exchange.call(lambda: self.desk.exchange.update_contact(address, item, **fields))

    def title(self, item: Item) -> str | None:
        found = self.desk.exchange.call(lambda: self.desk.exchange.world.item(item.serial))
        assert found is not None
        title: str | None = found.get("contacts:JobTitle")
        return title

    def in_salesforce(self, email: str = MIA) -> list[str | None]:
        return [row["Title"] for row in self.desk.salesforce.call(self.desk.salesforce.rows, "Contact")
                if row["Email"] == email and not row.get("IsDeleted")]


@pytest.fixture
def books(cloud: CloudCalendar) -> Books:
    return Books(cloud)


@pytest.mark.slow
def test_what_only_the_private_contact_told_is_taken_back_and_nothing_more_is_read_or_written(books: Books) -> None:
    desk, hers, his = books.desk, books.keeps(ANN), books.keeps(BOB)
    desk.sync(2)
    assert books.title(hers) == books.title(his) == "Buyer"
    books.edits(ANN, hers, job_title="Xyzzy in confidence")
    desk.sync()
    assert books.in_salesforce() == ["Xyzzy in confidence"] and books.title(his) == "Xyzzy in confidence"
    books.edits(ANN, hers, sensitivity="Private")
    desk.sync(2)
    assert books.in_salesforce() == ["Buyer"] and books.title(his) == "Buyer"
    assert desk.hs_names("contacts", "jobtitle").count("Buyer") == 1
    assert books.title(hers) == "Xyzzy in confidence", "the item itself is its owner's"
    assert desk.holds_words("Xyzzy") == []
    books.edits(ANN, hers, job_title="Xyzzy again")
    desk.salesforce.call(lambda: desk.salesforce.update("Contact", books.mia, Title="Chief"))
    desk.sync(2)
    assert (books.title(hers), books.title(his), books.in_salesforce()) == ("Xyzzy again", "Chief", ["Chief"])
    assert desk.holds_words("Xyzzy") == [] and desk("sync")[1]["counts"].get("written", 0) == 0
    assert all(feed["differences"] == [] for feed in desk("census", "microsoft365")[1]["feeds"])
    books.edits(ANN, hers, sensitivity="Normal", job_title="Chief")
    desk.sync()
    desk.salesforce.call(lambda: desk.salesforce.update("Contact", books.mia, Title="Head"))
    desk.sync()
    assert books.title(hers) == "Head", "public again, it is linked again"


@pytest.mark.slow
def test_what_somebody_else_holds_or_said_stays(books: Books) -> None:
    """Bob had the title in his own address book before; the phone was typed in the CRM after Ann told another."""
    desk = books.desk
    his = books.keeps(BOB, job_title="Buyer", phones={"BusinessPhone": "+1 212-555-0100"})
    hers = books.keeps(ANN, job_title="Buyer", phones={"BusinessPhone": "+1 212-555-0100"})
    desk.sync(2)
    books.edits(ANN, hers, phones={"BusinessPhone": "+1 212-555-0177"})
    desk.sync()
    desk.salesforce.call(lambda: desk.salesforce.update("Contact", books.mia, Phone="+1 212-555-0188"))
    desk.sync()
    books.edits(ANN, hers, sensitivity="Confidential")
    desk.sync(2)
    assert books.in_salesforce() == ["Buyer"] and books.title(his) == "Buyer"
    phones = [row["Phone"] for row in desk.salesforce.call(desk.salesforce.rows, "Contact") if row["Email"] == MIA]
    assert [phone[-4:] for phone in phones] == ["0188"]


@pytest.mark.slow
def test_a_person_whom_only_the_private_contact_introduced_leaves_the_crms_unless_somebody_wrote_there(
    books: Books,
) -> None:  # fmt: skip
    desk = books.desk
    desk.edit("microsoft365.yaml", "    who: owner\n    introduces: false", "    who: owner\n    introduces: true")
    for field in ("GivenName", "Surname", "EmailAddress1"):
        desk.edit("microsoft365.yaml", f"{{field: {field}, direction: read}}", field)
    noa = books.keeps(ANN, "Noa", "noa@xyzzy.example", job_title="Broker")
    kay = books.keeps(ANN, "Kay", "kay@xyzzy.example", job_title="Broker")
    desk.sync(2)
    assert books.in_salesforce("noa@xyzzy.example") == books.in_salesforce("kay@xyzzy.example") == ["Broker"]
    kays = next(row["Id"] for row in desk.salesforce.call(desk.salesforce.rows, "Contact")
                if row["Email"] == "kay@xyzzy.example")
    desk.salesforce.call(lambda: desk.salesforce.update("Contact", kays, Title="Partner"))
    desk.sync()
    for one in (noa, kay):
        books.edits(ANN, one, sensitivity="Private")
    desk.sync(2)
    assert books.in_salesforce("noa@xyzzy.example") == []
    assert "noa@xyzzy.example" not in desk.hs_names("contacts", "email")
    assert books.in_salesforce("kay@xyzzy.example") == ["Partner"]
