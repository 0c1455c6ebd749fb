"""Brightwater: a made-up company whose data lives in three systems the way real data does.

Three reps and their manager sell pumps and service contracts. Their accounts, people and deals stand partly in
Salesforce, partly in HubSpot, partly in both: spelled differently, with other phone formats, and a few copies stale.
Their calendars hold customer meetings, a weekly series, internal meetings and private ones. Used by the demonstration
and by tests; everything follows from the seed and the clock.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sandbox.exchange import ExchangeServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer

DOMAIN = "brightwater.example"
REPS = (("Ann", "Lee"), ("Bob", "Ruiz"), ("Cara", "Novak"))
MANAGER = ("Dana", "Cole")

KEY_OBJECTS = {
    "salesforce": ("Account", "Contact", "Opportunity", "Event", "Task"),
    "hubspot": ("companies", "contacts", "deals", "meetings", "tasks"),
}

SALESFORCE_SCHEMA = {
    "objects": {
        name: {
            "fields": {
                "Sidefeed_Key__c": {
                    "type": "string",
                    "length": 80,
                    "label": "Sidefeed Key",
                    "externalId": True,
                    "unique": True,
                }
            }
        }
        for name in KEY_OBJECTS["salesforce"]
    }
}
ROLES = (
    "Business user",
    "Decision maker",
    "Economic buyer",
    "Economic decision maker",
    "Evaluator",
    "Executive sponsor",
    "Influencer",
    "Technical buyer",
    "Other",
)
HUBSPOT_SCHEMA: dict[str, Any] = {"labels": [{"from": "deals", "to": "contacts", "label": role} for role in ROLES]}
"""What an administrator prepares in Salesforce: the external key that makes creates repeatable."""

_FIRST = (
    "Aiko",
    "Amara",
    "Bruno",
    "Chen",
    "Dario",
    "Elif",
    "Farah",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Mateo",
    "Nadia",
    "Oscar",
    "Priya",
    "Quinn",
    "Rosa",
    "Sven",
    "Tara",
    "Uma",
    "Viktor",
    "Wanda",
    "Yusuf",
    "Zoë",
)
_LAST = (
    "Abbott",
    "Bianchi",
    "Castro",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Haddad",
    "Ito",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "O'Brien",
    "Petrov",
    "Rossi",
    "Schmidt",
    "Tanaka",
    "Vargas",
    "Weber",
    "Young",
)
_NOUN = (
    "Alder",
    "Basalt",
    "Cobalt",
    "Delta",
    "Ember",
    "Fjord",
    "Granite",
    "Harbour",
    "Iris",
    "Juniper",
    "Kestrel",
    "Larch",
    "Meridian",
    "Nimbus",
    "Orchard",
    "Pioneer",
    "Quarry",
    "Ridge",
    "Summit",
    "Tidal",
    "Umber",
    "Vertex",
    "Willow",
    "Zephyr",
)
_TRADE = (("Foods", "Inc."), ("Logistics", "GmbH"), ("Robotics", "Ltd"), ("Energy", "Corp."), ("Textiles", "S.A."))
_PRODUCT = ("pump station", "service contract", "filter line", "control upgrade", "spare parts", "retrofit")
_STEP = ("Send quote", "Book site visit", "Call the plant manager", "Legal review", "Demo on site", None)
_STAGES = (
    ("Prospecting", "appointmentscheduled"),
    ("Qualification", "qualifiedtobuy"),
    ("Needs Analysis", "presentationscheduled"),
    ("Proposal/Price Quote", "decisionmakerboughtin"),
    ("Negotiation/Review", "contractsent"),
    ("Closed Won", "closedwon"),
    ("Closed Lost", "closedlost"),
)
_COUNTRY = ("Germany", "United States", "Japan", "Brazil", "Netherlands")


@dataclass(slots=True)
class Company:
    """What was planted, for whoever checks afterwards. Ids are the systems' own."""

    accounts: int = 0
    contacts: int = 0
    deals: int = 0
    shared_accounts: int = 0
    shared_contacts: int = 0
    shared_deals: int = 0
    ambiguous: int = 0
    stale_deals: list[str] = field(default_factory=list)
    story: dict[str, Any] = field(default_factory=dict)
    private_words: tuple[str, ...] = ("dentist", "Kittens adoption")
    internal_words: tuple[str, ...] = ("Pipeline round", "Lunch with Bob")


def address(person: tuple[str, str], domain: str = DOMAIN) -> str:
    first, last = ("".join(char for char in part if char.isascii() and char.isalpha()).lower() for part in person)
    return f"{first}.{last}@{domain}"


def found(
    salesforce: SalesforceServer,
    hubspot: HubSpotServer,
    exchange: ExchangeServer,
    *,
    seed: int = 7,
    now: datetime | None = None,
) -> Company:
    """Fill running practice servers with the company."""
    return _Founder(salesforce, hubspot, exchange, random.Random(seed), now or datetime.now(UTC)).found()


class _Founder:
    def __init__(
        self,
        salesforce: SalesforceServer,
        hubspot: HubSpotServer,
        exchange: ExchangeServer,
        chance: random.Random,
        now: datetime,
    ) -> None:
        self.salesforce, self.hubspot, self.exchange = salesforce, hubspot, exchange
        self.chance = chance
        self.now = now
        self.company = Company()
        self.users: dict[tuple[str, str], str] = {}
        self.owners: dict[tuple[str, str], str] = {}

    def found(self) -> Company:
        self.salesforce.call(self.salesforce.load_schema, SALESFORCE_SCHEMA)
        for person in (*REPS, MANAGER):
            self._user(person)
        for number in range(44):
            self._account(number)
        self._ambiguous()
        self._calendars()
        self.exchange.call(self.exchange.clear_outbox)
        return self.company

    def _sf(self, object: str, as_user: str | None = None, **fields: Any) -> str:
        values = {name: value for name, value in fields.items() if value is not None}
        return str(self.salesforce.call(lambda: self.salesforce.insert(object, as_user=as_user, **values)))

    def _hs(self, type: str, **properties: Any) -> str:
        values = {name: value for name, value in properties.items() if value is not None}
        return str(self.hubspot.call(lambda: self.hubspot.create(type, **values)))

    def _associate(self, type: str, one: str, to: str, other: str, label: str | None = None) -> None:
        self.hubspot.call(lambda: self.hubspot.associate(type, one, to, other, label=label))

    def _user(self, person: tuple[str, str]) -> None:
        mail = address(person)
        self.users[person] = str(
            self.salesforce.call(lambda: self.salesforce.add_user(mail, first=person[0], last=person[1], email=mail))
        )
        self.owners[person] = str(self.hubspot.call(lambda: self.hubspot.add_owner(mail, person[0], person[1])))
        if person != MANAGER:
            self.exchange.call(
                lambda: self.exchange.add_mailbox(
                    mail, f"{person[0]} {person[1]}", "practice", "W. Europe Standard Time"
                )
            )

    def _account(self, number: int) -> None:
        """One company with its people and deals: the first 24 stand in both systems, then 10 in each alone."""
        where = "both" if number < 24 else ("salesforce" if number < 34 else "hubspot")
        noun = _NOUN[number % len(_NOUN)]
        trade, form = _TRADE[(number // len(_NOUN) + number) % len(_TRADE)]
        domain = f"{noun}-{trade}{number}.example".lower()
        rep = REPS[number % len(REPS)]
        country = _COUNTRY[number % len(_COUNTRY)]
        ids: dict[str, str] = {}
        if where != "hubspot":
            ids["salesforce"] = self._sf(
                "Account",
                self.users[rep],
                Name=f"{noun} {trade} {form}",
                Website=f"https://www.{domain}",
                BillingCountry=country,
                OwnerId=self.users[rep],
                Phone=f"+49 30 5550 {number:03d}",
            )
        if where != "salesforce":
            spelled = f"{noun} {trade}" if where == "both" else f"{noun} {trade} {form}"
            ids["hubspot"] = self._hs(
                "companies",
                name=spelled.upper() if number % 7 == 0 else spelled,
                domain=domain,
                website=f"https://www.{domain}" if where == "both" else None,
                country=country,
                hubspot_owner_id=self.owners[rep],
            )
        self.company.accounts += 1
        self.company.shared_accounts += where == "both"
        people = [self._contact(number, index, domain, ids, rep) for index in range(3)]
        for index in range(5 if number % 2 == 0 else 2):
            self._deal(number, index, noun, ids, rep, people)
        if number < len(REPS):
            self.company.story.setdefault("contacts_of", []).append(people[0])
        if number == 0:
            self.company.story.update(domain=domain, customer=people[0], account=ids)

    def _contact(
        self, number: int, index: int, domain: str, account: Mapping[str, str], rep: tuple[str, str]
    ) -> dict[str, str]:
        person = (_FIRST[(number * 3 + index) % len(_FIRST)], _LAST[(number + index * 7) % len(_LAST)])
        mail = address(person, domain)
        ids = {"email": mail, "name": f"{person[0]} {person[1]}"}
        title = ("Plant manager", "Head of purchasing", "Engineer")[index]
        if "salesforce" in account:
            ids["salesforce"] = self._sf(
                "Contact",
                self.users[rep],
                FirstName=person[0],
                LastName=person[1],
                Email=mail,
                Title=title,
                AccountId=account["salesforce"],
                OwnerId=self.users[rep],
            )
        if "hubspot" in account and not (len(account) == 2 and index == 2):
            ids["hubspot"] = self._hs(
                "contacts",
                firstname=person[0],
                lastname=person[1],
                email=mail.upper() if number % 5 == 0 else mail,
                phone=f"+4930555{number:02d}{index}0",
                jobtitle=title if index else None,
                hubspot_owner_id=self.owners[rep],
            )
            self._associate("contacts", ids["hubspot"], "companies", account["hubspot"], label="Primary")
        self.company.contacts += 1
        self.company.shared_contacts += "salesforce" in ids and "hubspot" in ids
        return ids

    def _deal(
        self,
        number: int,
        index: int,
        noun: str,
        account: Mapping[str, str],
        rep: tuple[str, str],
        people: list[dict[str, str]],
    ) -> None:
        """A deal; the first deal of each shared account is open and in both systems, some copies of it stale."""
        shared = len(account) == 2 and index < 3
        where = list(account) if shared else [self.chance.choice(list(account))]
        stage = self.chance.randrange(5) if index == 0 else (5 + index % 2 if index else 0)
        name = f"{noun} {_PRODUCT[(number + index) % len(_PRODUCT)]} {2026 + index % 2}-{number:02d}{index}"
        amount = self.chance.randrange(4, 400) * 250
        closes = (
            (self.now + timedelta(days=self.chance.randrange(10, 120) if stage < 5 else -self.chance.randrange(5, 200)))
            .date()
            .isoformat()
        )
        step = self.chance.choice(_STEP)
        stale = shared and number in (3, 9, 15) and index == 0
        ids: dict[str, str] = {}
        if "salesforce" in where:
            ids["salesforce"] = self._sf(
                "Opportunity",
                self.users[rep],
                Name=name,
                AccountId=account["salesforce"],
                Amount=amount,
                StageName=_STAGES[stage][0],
                CloseDate=closes,
                NextStep=step,
                OwnerId=self.users[rep],
                ForecastCategoryName=_category(stage),
            )
            for person in people[:2]:
                if "salesforce" in person:
                    self._sf("OpportunityContactRole", OpportunityId=ids["salesforce"], ContactId=person["salesforce"])
        if "hubspot" in where:
            ids["hubspot"] = self._hs(
                "deals",
                dealname=name,
                amount=str(amount * 2 if stale else amount),
                dealstage=_STAGES[stage][1],
                pipeline="default",
                closedate=f"{closes}T12:00:00Z",
                hubspot_owner_id=self.owners[rep],
                hs_manual_forecast_category=_category(stage).upper().replace(" ", "_").replace("OMITTED", "OMIT"),
            )
            self._associate("deals", ids["hubspot"], "companies", account["hubspot"], label="Primary")
            for person in people[:2]:
                if "hubspot" in person:
                    self._associate("deals", ids["hubspot"], "contacts", person["hubspot"])
        self.company.deals += 1
        self.company.shared_deals += shared
        if stale:
            self.company.stale_deals.append(name)
        if shared and index == 0 and not stale and number in _STORY:
            self.company.story[_STORY[number]] = {"name": name, "amount": amount, "close_date": closes, **ids}

    def _ambiguous(self) -> None:
        """Two branches in Salesforce share one domain, and HubSpot holds one company with it: a person must say."""
        for branch in ("North", "South"):
            self._sf("Account", Name=f"Twinned Mills {branch}", Website="https://www.twinned-mills.example")
        self._hs("companies", name="Twinned Mills", domain="twinned-mills.example")
        self.company.accounts += 2
        self.company.ambiguous = 1

    def _calendars(self) -> None:
        ann, bob, cara = (address(person) for person in REPS)
        customer = self.company.story["customer"]["email"]
        day = (self.now + timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
        events: tuple[tuple[str, dict[str, Any]], ...] = (
            (
                ann,
                {
                    "subject": "Kick-off with the plant manager",
                    "start": day,
                    "end": day + timedelta(hours=1),
                    "attendees": [customer],
                    "location": "On site",
                },
            ),
            (
                bob,
                {
                    "subject": "Weekly call",
                    "start": day.replace(hour=14),
                    "end": day.replace(hour=14, minute=30),
                    "attendees": [self._mail_of(1)],
                    "recurrence": {"weekly": [day.strftime("%A")], "interval": 1, "count": 3},
                },
            ),
            (
                ann,
                {
                    "subject": "At the dentist",
                    "start": day.replace(hour=16),
                    "end": day.replace(hour=17),
                    "sensitivity": "Private",
                },
            ),
            (
                cara,
                {
                    "subject": "Kittens adoption",
                    "start": day.replace(hour=17),
                    "end": day.replace(hour=18),
                    "sensitivity": "Personal",
                    "attendees": [customer],
                },
            ),
            (
                ann,
                {
                    "subject": "Pipeline round",
                    "start": day.replace(hour=8),
                    "end": day.replace(hour=8, minute=30),
                    "attendees": [bob, cara],
                    "recurrence": {"weekly": [day.strftime("%A")], "interval": 1, "count": 4},
                },
            ),
            (
                cara,
                {
                    "subject": "Lunch with Bob",
                    "start": day.replace(hour=12),
                    "end": day.replace(hour=13),
                    "attendees": [bob],
                },
            ),
        )
        for mailbox, event in events:
            send = "SendToAllAndSaveCopy" if event.get("attendees") else "SendToNone"
            self.exchange.call(partial(self.exchange.create_event, mailbox, send=send, **event))
        for number, rep in enumerate(REPS):
            contact = self.company.story["contacts_of"][number]
            self.exchange.call(
                partial(
                    self.exchange.create_contact,
                    address(rep),
                    given_name=contact["name"].split()[0],
                    surname=contact["name"].split()[-1],
                    emails=[contact["email"]],
                    phones={"BusinessPhone": f"+49305557{number}00"},
                )
            )

    def _mail_of(self, number: int) -> str:
        return str(self.company.story["contacts_of"][number]["email"])


_STORY = {0: "meeting_deal", 2: "moved", 4: "split", 6: "disputed", 8: "deleted", 10: "hostile"}
"""Deals that the demonstration tells its story with, by the number of their account."""


def _category(stage: int) -> str:
    return ("Pipeline", "Pipeline", "Best Case", "Best Case", "Commit", "Closed", "Omitted")[stage]
