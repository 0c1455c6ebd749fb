"""Whose contacts are put into whose address book: Exchange and both CRMs over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.exchange import ExchangeServer
from sandbox.exchange.store import Item
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from tests.sync.test_meetings import ANN, BOB, Calendar


class AddressBooks(Calendar):
    """Both reps have a contact folder of Sidefeed's, into which new contacts go."""

    def who(self, policy: str) -> None:
        self.write(exchange={"contacts_folder": "Sidefeed"})
        self.edit("exchange.yaml", "    creates: false\n    who: owner", f"    creates: true\n{policy}")
        for field in ("GivenName", "Surname", "EmailAddress1"):
            self.edit("exchange.yaml", f"{{field: {field}, direction: read}}", field)
        assert self("prepare", "exchange")[0] == 0

    def user(self, address: str) -> str:
        rows = self.salesforce.call(lambda: self.salesforce.rows("User"))
        return next(str(row["Id"]) for row in rows if row["Email"] == address)

    def names(self, address: str) -> list[str]:
        return sorted(str(item.get("contacts:GivenName")) for item in self.held(address))

    def held(self, address: str) -> list[Item]:
        def look() -> list[Item]:
            box = self.exchange.mailbox(address)
            folder = next(one for one in self.exchange.world.folders.values()
                          if one.name == "Sidefeed" and one.mailbox_number == box.number)
            return list(folder.items.values())

        return self.exchange.call(look)

    def changes(self, kind: str, key: str, **fields: str) -> None:
        self.salesforce.call(lambda: self.salesforce.update(kind, key, **fields))


@pytest.fixture
def books(tmp_path: Path) -> Iterator[AddressBooks]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot, ExchangeServer() as exchange:
        yield AddressBooks(tmp_path, salesforce, hubspot, exchange)
        assert salesforce.crashes == hubspot.crashes == exchange.crashes == []


@pytest.mark.slow
def test_a_rep_gets_the_people_of_own_deals_and_accounts_and_keeps_what_changes_hands(books: AddressBooks) -> None:
    books.who("    who: deals")
    bobs = books.sf("Account", Name="Borealis", OwnerId=books.user(BOB))
    mia = books.sf("Contact", FirstName="Mia", LastName="Berg", Email="mia@acme.example", AccountId=books.account,
                   OwnerId=books.user(ANN))
    zoe = books.sf("Contact", FirstName="Zoe", LastName="Alm", Email="zoe@acme.example", AccountId=books.account)
    books.sf("Contact", FirstName="Kim", LastName="Oh", Email="kim@borealis.example", AccountId=bobs)
    books.sf("Contact", FirstName="Noa", LastName="Lund", Email="noa@acme.example", AccountId=books.account)
    deal = books.sf("Opportunity", Name="Filters", AccountId=books.account, StageName="Prospecting",
                    CloseDate="2027-06-30", OwnerId=books.user(BOB))
    books.sf("OpportunityContactRole", OpportunityId=deal, ContactId=zoe)
    books.sync(2)
    assert (books.names(ANN), books.names(BOB)) == (["Mia"], ["Kim", "Zoe"])
    (hers,) = books.held(ANN)
    books.exchange.call(lambda: books.exchange.update_contact(ANN, hers, body="Likes tea"))
    books.changes("Contact", mia, OwnerId=books.user(BOB))
    books.changes("Opportunity", deal, OwnerId=books.user(ANN))
    books.sync(2)
    assert (books.names(ANN), books.names(BOB)) == (["Mia", "Zoe"], ["Kim", "Mia", "Zoe"])
    books.changes("Contact", mia, Title="Chief")
    books.sync()
    copies = [one for address in (ANN, BOB) for one in books.held(address) if one.get("contacts:GivenName") == "Mia"]
    assert [one.get("contacts:JobTitle") for one in copies] == ["Chief", "Chief"]
    assert sum("Likes tea" in str(one.get("item:Body")) for one in copies) == 1
    assert books("sync")[1]["counts"].get("written", 0) == 0


@pytest.mark.slow
def test_everybody_gets_everybody_only_where_the_mapping_says_so(books: AddressBooks) -> None:
    books.who("    who: all")
    books.sf("Contact", FirstName="Zoe", LastName="Alm", Email="zoe@acme.example", AccountId=books.account)
    books.sync(2)
    assert "Zoe" in books.names(ANN) and "Zoe" in books.names(BOB)
