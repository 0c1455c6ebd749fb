"""A sales organisation whose truth is known: what its people type, through the real APIs of both CRMs, is written down
apart from everything that is tested.

Each round some deals slip, change their amount, are won, lost or begun, in whichever CRM their rep works in. What goes
wrong at the end is in `tests.forecast.planting`. All follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from sandbox.company import KEY_OBJECTS, SALESFORCE_SCHEMA
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.cli.project_files import settings_text, write_project
from sidefeed.project import Project

DOMAIN = "northwind.example"
TEAMS = {"North": ("Ann", "Bob"), "South": ("Cara", "Dev")}
BIAS = {"North": Decimal("1.20"), "South": Decimal("0.90")}
"""What a team submits for each unit that is true: one that hopes, one that hides."""
QUARTER = (date(2027, 1, 1), date(2027, 3, 31))
STAGES = {"open": ("Proposal/Price Quote", "decisionmakerboughtin"), "won": ("Closed Won", "closedwon"),
          "lost": ("Closed Lost", "closedlost")}


@dataclass
class Truth:
    """One deal as its rep means it."""

    name: str
    owner: str
    account: str
    amount: Decimal
    close: date
    status: str = "open"
    home: str = "salesforce"
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it is in the open number of the quarter."""
        return self.status == "open" and QUARTER[0] <= self.close <= QUARTER[1]


@dataclass
class Round:
    """What was true, what was reported, and what people did since the round before, by step of the waterfall."""

    moment: datetime
    total: Decimal
    moved: dict[str, Decimal]
    reported: bytes = b""


class Organisation:
    def __init__(self, folder: Path, salesforce: SalesforceServer, hubspot: HubSpotServer, seed: int) -> None:
        import requests
        from hubspot import HubSpot
        from simple_salesforce import Salesforce

        self.chance = Random(seed)
        session = requests.Session()
        session.verify = str(salesforce.ca_file)
        session.trust_env = False
        key, token = salesforce.connection_info()["session_id"], hubspot.connection_info()["access_token"]
        self.sf = Salesforce(instance_url=salesforce.url, session_id=key, session=session)
        self.hs = HubSpot(access_token=token, host=hubspot.url)
        salesforce.call(salesforce.load_schema, SALESFORCE_SCHEMA)
        self.users: dict[str, dict[str, str]] = {}
        for name in (name for names in TEAMS.values() for name in names):
            mail = f"{name.lower()}@{DOMAIN}"
            self.users[name] = {
                "salesforce": str(salesforce.call(salesforce.add_user, mail, first=name, last="Rep", email=mail)),
                "hubspot": str(hubspot.call(hubspot.add_owner, mail, name, "Rep"))}
        write_project(folder, settings=settings_text({
            "salesforce": {"auth": "session", "instance_url": salesforce.url, "ca_file": str(salesforce.ca_file),
                           "session_id": key},
            "hubspot": {"access_token": token, "host": hubspot.url, "search_per_second": 1000,
                        "rate_per_10s": 100_000}}))
        self.folder = folder
        self.project = Project.load(folder, environment={})
        for system, objects in KEY_OBJECTS.items():
            self.project.connector(system).prepare(objects, apply=True)
        self.accounts = {f"Customer {number}": self._account(number) for number in range(4)}
        self.deals: list[Truth] = []
        self.moved: dict[str, Decimal] = {}

    def _account(self, number: int) -> str:
        made: dict[str, Any] = self.sf.Account.create({"Name": f"Customer {number}", "Website": f"c{number}.example"})
        return str(made["id"])

    def sync(self, *systems: str) -> None:
        """Until nothing is left to do, where both take part; once, where one does."""
        for _ in range(1 if systems else 4):
            with self.project.engine(systems or None) as engine:
                if not engine.sync(approve=True).counts.get("written"):
                    break

    # -- what people do -----------------------------------------------------------------------------------------

    def begin(self, number: int) -> Truth:
        home = self.chance.choice(("salesforce", "hubspot"))
        owner, account = self.chance.choice(list(self.users)), self.chance.choice(list(self.accounts))
        deal = Truth(f"Deal {number}", owner, account, Decimal(self.chance.randrange(100, 99_999)) / 100, self._day(),
                     home=home)
        self.write(deal)
        self.deals.append(deal)
        return deal

    def type(self, system: str, deal: Truth, **values: Any) -> None:
        """Type raw values into a deal that stands in a system."""
        if system == "salesforce":
            self.sf.Opportunity.update(deal.ids[system], values)
        else:
            self.hs.crm.deals.basic_api.update(deal.ids[system], {"properties": values})

    def _day(self) -> date:
        return QUARTER[0] + timedelta(days=self.chance.randrange(0, 120))

    def write(self, deal: Truth, system: str = "", **other: Any) -> None:
        """Type a deal, as it is or with ``other`` values, into the CRM of its rep or another."""
        system = system or deal.home
        shown = Truth(**{**{name: getattr(deal, name) for name in Truth.__dataclass_fields__}, **other})
        if system == "salesforce":
            values = {"Name": shown.name, "Amount": float(shown.amount), "CloseDate": shown.close.isoformat(),
                      "StageName": STAGES[shown.status][0], "OwnerId": self.users[shown.owner]["salesforce"],
                      "AccountId": self.accounts[shown.account]}
            if system in deal.ids:
                self.sf.Opportunity.update(deal.ids[system], values)
            else:
                deal.ids[system] = str(self.sf.Opportunity.create(values)["id"])
            return
        properties = {"dealname": shown.name, "amount": str(shown.amount), "dealstage": STAGES[shown.status][1],
                      "closedate": f"{shown.close}T12:00:00Z", "pipeline": "default",
                      "hubspot_owner_id": self.users[shown.owner]["hubspot"]}
        if system in deal.ids:
            self.hs.crm.deals.basic_api.update(deal.ids[system], {"properties": properties})
        else:
            deal.ids[system] = str(self.hs.crm.deals.basic_api.create({"properties": properties}).id)

    def act(self, deal: Truth) -> None:
        """One thing that happens to a deal; its effect on the open number of the quarter is noted under its step."""
        before = deal.amount if deal.counts else Decimal(0)
        step = self.chance.choice(("slip", "amount", "won", "lost"))
        if step == "slip":
            deal.close += timedelta(days=self.chance.randrange(5, 60))
            step = "pushed out" if before and not deal.counts else "pushed in" if deal.counts and not before else ""
        elif step == "amount":
            deal.amount = Decimal(self.chance.randrange(100, 99_999)) / 100
            step = "amount up" if deal.amount > before else "amount down"
        else:
            deal.status = step
        self._note(step, (deal.amount if deal.counts else Decimal(0)) - before)
        self.write(deal)

    def _note(self, step: str, amount: Decimal) -> None:
        if amount:
            self.moved[step] = self.moved.get(step, Decimal(0)) + amount

    def round(self) -> Round:
        """A week: some deals move, one or two begin, and both CRMs are synchronised."""
        self.moved = {}
        alive = [one for one in self.deals if one.status == "open"]
        for deal in self.chance.sample(alive, k=min(4, len(alive))):
            self.act(deal)
        for _ in range(self.chance.randrange(1, 3)):
            made = self.begin(len(self.deals))
            self._note("created", made.amount if made.counts else Decimal(0))
        self.sync()
        self.learn_ids()
        return Round(self.project.now(), self.total(), dict(self.moved))

    def total(self, *owners: str) -> Decimal:
        return sum((deal.amount for deal in self.deals if deal.counts and (not owners or deal.owner in owners)),
                   Decimal(0))

    def record_of(self, deal: Truth) -> str:
        """The id of a deal in the workspace."""
        with self.project.store().read() as tx:
            known: dict[str, tuple[str, str]] = tx.known_as("salesforce", "Opportunity", [deal.ids["salesforce"]])
            return known[deal.ids["salesforce"]][0]

    def learn_ids(self) -> None:
        """Where each deal stands in both CRMs, read back by its name."""
        named = {deal.name: deal for deal in self.deals}
        for row in self.sf.query_all("SELECT Id, Name FROM Opportunity")["records"]:
            named[row["Name"]].ids["salesforce"] = row["Id"]
        for one in self.hs.crm.deals.get_all(properties=["dealname"]):
            named[one.properties["dealname"]].ids["hubspot"] = one.id
