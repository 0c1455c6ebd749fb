"""A small believable company, the same for the same seed."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from .behaviour import STAGES

if TYPE_CHECKING:
    from .server import SalesforceServer

_COMPANIES = (
    "Alder Logistics",
    "Beacon Optics",
    "Cinder & Sons",
    "Dovetail Foods",
    "Ember Analytics",
    "Fjord Marine",
    "Granite Health",
    "Harbour Textiles",
    "Ivory Audio",
    "Juniper Labs",
    "Kestrel Aviation",
    "Lumen Energy",
    "Meridian Press",
    "Northwind Paper",
    "Orchard Retail",
    "Pinnacle Steel",
    "Quarry Works",
    "Riverbend Dairy",
    "Sable Robotics",
    "Tern Insurance",
)
_FIRST = (
    "Aiko",
    "Ben",
    "Chloé",
    "Dara",
    "Emil",
    "Farah",
    "Goran",
    "Hana",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Mateo",
    "Nadia",
    "Omar",
    "Zoë",
)
_LAST = (
    "Ito",
    "Baker",
    "Moreau",
    "Quinn",
    "Lindqvist",
    "Haddad",
    "Petrović",
    "Sato",
    "Costa",
    "Weber",
    "Mensah",
    "Fischer",
    "Rossi",
    "Ivanova",
)
_CITIES = (
    ("Boston", "MA", "USA"),
    ("Lyon", None, "France"),
    ("Osaka", None, "Japan"),
    ("Hamburg", None, "Germany"),
    ("Austin", "TX", "USA"),
)
_DEALS = ("New business", "Renewal", "Expansion", "Pilot", "Support contract")


def populate(server: SalesforceServer, seed: int) -> dict[str, int]:
    """Users, accounts, contacts with roles, leads, opportunities, meetings and tasks; returns counts per object."""
    random = Random(seed)
    today = server.clock.now().date()
    users = [
        server.add_user(f"{name.lower()}@practice.example", first=name, last=last)
        for name, last in (("Rita", "Rep"), ("Sam", "Seller"), ("Tess", "Manager"))
    ]
    counts = dict.fromkeys(("User", "Account", "Contact", "Lead", "Opportunity", "Event", "Task"), 0)
    counts["User"] = len(users)

    def add(name: str, **fields: Any) -> str:
        counts[name] += 1
        return server.insert(name, as_user=random.choice(users), **fields)

    for company in _COMPANIES:
        domain = company.split()[0].lower() + ".example"
        city, state, country = random.choice(_CITIES)
        account = add(
            "Account",
            Name=company,
            Website=f"https://{domain}",
            Phone=f"+1 555 {random.randint(1000, 9999)}",
            Industry=random.choice(("Manufacturing", "Technology", "Retail", "Healthcare")),
            BillingCity=city,
            BillingState=state,
            BillingCountry=country,
            NumberOfEmployees=random.randint(10, 4000),
        )
        contacts = []
        for _ in range(random.randint(1, 4)):
            first, last = random.choice(_FIRST), random.choice(_LAST)
            contacts.append(
                add(
                    "Contact",
                    FirstName=first,
                    LastName=last,
                    AccountId=account,
                    Title=random.choice(("CFO", "Buyer", "CTO")),
                    Email=f"person{counts['Contact']}@{domain}",
                    Phone=f"+1 555 {random.randint(1000, 9999)}",
                )
            )
        for _ in range(random.randint(0, 3)):
            deal = add(
                "Opportunity",
                Name=f"{company} - {random.choice(_DEALS)} {counts['Opportunity'] + 1}",
                AccountId=account,
                StageName=random.choice(STAGES)[0],
                Amount=random.randint(5, 400) * 1000,
                CloseDate=(today + timedelta(days=random.randint(-90, 150))).isoformat(),
                ContactId=random.choice(contacts),
            )
            start = f"{today + timedelta(days=random.randint(-20, 20))}T{random.randint(8, 16):02d}:00:00Z"
            add(
                "Event",
                Subject="Meeting",
                WhatId=deal,
                WhoId=contacts[0],
                StartDateTime=start,
                DurationInMinutes=60,
                Location=city,
            )
            add(
                "Task",
                Subject="Call",
                WhatId=deal,
                WhoId=contacts[0],
                ActivityDate=(today + timedelta(days=7)).isoformat(),
            )
    for number in range(12):
        add(
            "Lead",
            FirstName=random.choice(_FIRST),
            LastName=random.choice(_LAST),
            Company=f"Prospect {number + 1}",
            Email=f"lead{number + 1}@prospect.example",
        )
    return counts
