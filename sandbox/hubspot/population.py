"""Filling a portal: records from data files, and a small believable population."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from . import wire
from .associations import Edge
from .errors import ApiError
from .pipelines import Owner
from .portal import Portal
from .properties import DAY, Refused
from .store import Actor, TypeStore

PERSON = Actor("CRM_UI", None)


def add_owner(
    portal: Portal, email: str, first_name: str = "", last_name: str = "", *, archived: bool = False, team: str = ""
) -> str:
    """A person who can own records; the owner id, which is not the user id."""
    n = len(portal.owners)
    at = portal.now()
    teams = ((str(100 + n), team, True),) if team else ()
    made = Owner(41_629_779 + n, 9_586_504 + 7 * n, email, first_name, last_name, at, at, archived, teams)
    portal.owners[made.id] = made
    return str(made.id)


def load(portal: Portal, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
    """Insert records given per type, values by property name.

    Beside properties a record may have `id` (its record id) and `associations`: {type: [record ids]}, or in a CSV file
    a column `associations.<type>` with ids between semicolons. Read-only properties that say when or by whom a record
    was made are taken as given. `owners` have `email`, `firstName`, `lastName`, `archived`, `team`. Returns how many
    records of each were made. Raises ValueError naming type, record and what is wrong.
    """
    made: dict[str, int] = {}
    waiting: list[tuple[str, TypeStore, int, dict[str, list[str]]]] = []
    for name, rows in sorted(objects.items(), key=lambda item: item[0] != "owners"):
        for n, row in enumerate(rows):
            where = f"{name}[{n}]"
            try:
                if name == "owners":
                    archived = str(row.get("archived", "")).lower() == "true"
                    first, last = str(row.get("firstName") or ""), str(row.get("lastName") or "")
                    add_owner(
                        portal, str(row["email"]), first, last, archived=archived, team=str(row.get("team") or "")
                    )
                else:
                    store = portal.store.of(name)
                    waiting.append((where, store, *_insert(portal, store, row)))
            except (ApiError, Refused, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{where}: {error}") from error
        made[name] = len(rows)
    for where, store, record_id, links in waiting:
        try:
            _link(portal, store, record_id, links)
        except (ApiError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error
    return made


def _insert(portal: Portal, store: TypeStore, row: Mapping[str, Any]) -> tuple[int, dict[str, list[str]]]:
    values: dict[str, object] = {}
    links: dict[str, list[str]] = {}
    stamped: dict[str, str] = {}
    record_id: int | None = None
    for name, value in row.items():
        if value is None or value == "":
            continue
        if name in ("id", "hs_object_id"):
            record_id = wire.as_id(value if isinstance(value, int) else str(value))
            if record_id is None or record_id in store.live:
                raise ValueError(f"{value!r} is no free record id")
        elif name == "associations":
            links |= {target: [str(i) for i in ids] for target, ids in value.items()}
        elif name.startswith("associations."):
            links[name.partition(".")[2]] = [part for part in str(value).split(";") if part]
        elif (definition := store.catalogue.get(name)) is not None and definition.read_only_value:
            stamped[definition.name] = str(value)
        else:
            values[name] = value
    accepted, problems = portal.accept(store, values)
    if problems:
        raise ValueError("; ".join(problem.message for problem in problems))
    at = wire.milliseconds(stamped.get(store.type.modified) or stamped.get(store.type.created) or "")
    if record_id is not None:
        store.next_id = max(store.next_id, record_id + 1)
    record = portal.create(store, stamped | accepted, PERSON, at, record_id)
    return record.id, links


def _link(portal: Portal, store: TypeStore, record_id: int, links: Mapping[str, list[str]]) -> None:
    for name, ids in links.items():
        target = portal.store.of(name)
        for given in ids:
            found = target.find(wire.as_id(given) or 0)
            if found is None:
                raise ValueError(f"associated {name} {given} does not exist")
            spec = portal.associations.unlabelled(store.type.name, target.type.name)
            portal.associate(Edge(store.type.name, record_id, target.type.name, found.id), [spec])


# --- the built-in population -----------------------------------------------------------------------------------------

_COMPANIES = (
    "Alder & Finch", "Borealis Freight", "Cobalt Dental Group", "Delta Orchard Supply", "Eastgate Robotics",
    "Fennel Street Foods", "Gannet Marine", "Harrow Analytics", "Iris Diagnostics", "Juniper Hotels",
    "Kestrel Insurance", "Larkspur Energy", "Münchner Werkzeugbau", "Nordlys Software", "Old Mill Brewing",
    "Porto Verde Wines",
)  # fmt: skip
_FIRST = ("Amara", "Björn", "Chen", "Dolores", "Emeka", "Farah", "Grace", "Hiro", "Inês", "Jonas", "Keiko", "Lena")
_LAST = (
    "Abara",
    "Bergström",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fontaine",
    "Güler",
    "Hughes",
    "Ito",
    "Jansen",
    "Kowalski",
)
_TITLES = ("CFO", "Head of Operations", "Procurement Manager", "VP Sales", "IT Director", "Office Manager")
_PRODUCTS = ("Annual plan", "Expansion", "Renewal", "Pilot", "Support contract")
_MEETINGS = ("Kick-off", "Demo", "Pricing review", "Quarterly review", "Technical deep dive")


def populate(portal: Portal, seed: int) -> dict[str, int]:
    """3 owners, 16 companies, 48 contacts, 40 deals, 24 meetings, 12 tasks, all associated; the same for a seed."""
    chance = random.Random(seed)
    now = portal.now()
    owners = [
        add_owner(portal, f"{first.lower()}@practice.example", first, last, team="Sales")
        for first, last in (("Rosa", "Klein"), ("Sam", "Okafor"), ("Tomi", "Virtanen"))
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("companies", "contacts", "deals", "meetings", "tasks")
    }
    first_id = {name: portal.store.types[name].next_id for name in rows}

    def row(name: str, days: float, links: dict[str, list[int]], /, **values: object) -> int:
        record_id = first_id[name] + len(rows[name])
        created = portal.store.types[name].type.created
        stamp = wire.iso(now - int(days * DAY))
        rows[name].append({"id": record_id, created: stamp, "associations": links, **values})
        return record_id

    for n, company in enumerate(_COMPANIES):
        domain = "".join(c for c in company.lower() if c.isascii() and c.isalnum()) + ".example"
        owner = owners[n % len(owners)]
        company_id = row("companies", 200 - n, {}, name=company, domain=domain, hubspot_owner_id=owner)
        people = [_person(row, chance, n * 3 + k, domain, company_id, owner) for k in range(3)]
        for k in range(2 + n % 2):
            deal_id = _deal(row, chance, portal, company, company_id, people, owner, k)
            if k == 0:
                _activities(row, chance, portal, company_id, people, deal_id, owner, n)
    return {"owners": len(owners), **load(portal, rows)}


def _person(row: Any, chance: random.Random, n: int, domain: str, company_id: int, owner: str) -> int:
    first, last = _FIRST[n % len(_FIRST)], _LAST[(n * 7 + n // 11) % len(_LAST)]
    address = f"{first}.{last}{n}@{domain}".lower()
    ascii_address = address.encode("ascii", "ignore").decode()
    return int(
        row(
            "contacts", 190 - n, {"companies": [company_id]}, email=ascii_address, firstname=first, lastname=last,
            jobtitle=chance.choice(_TITLES), hubspot_owner_id=owner,
        )
    )  # fmt: skip


def _deal(
    row: Any,
    chance: random.Random,
    portal: Portal,
    company: str,
    company_id: int,
    people: list[int],
    owner: str,
    k: int,
) -> int:
    stages = list(portal.pipelines.stages("deals"))
    close = datetime.fromtimestamp(portal.now() / 1000, UTC) + timedelta(days=chance.randrange(-60, 150))
    return int(
        row(
            "deals", chance.randrange(5, 120), {"companies": [company_id], "contacts": people[: 1 + k]},
            dealname=f"{company} - {_PRODUCTS[chance.randrange(len(_PRODUCTS))]}", dealstage=chance.choice(stages),
            amount=str(chance.randrange(5, 900) * 100), closedate=close.strftime("%Y-%m-%dT17:00:00Z"),
            hubspot_owner_id=owner, hs_next_step=chance.choice(("", "Send proposal", "Call procurement")),
        )
    )  # fmt: skip


def _activities(
    row: Any,
    chance: random.Random,
    portal: Portal,
    company_id: int,
    people: list[int],
    deal_id: int,
    owner: str,
    n: int,
) -> None:
    links = {"contacts": people[:2], "companies": [company_id], "deals": [deal_id]}
    for k in range(1 + n % 2):
        start = portal.now() // DAY * DAY + (chance.randrange(-20, 20) * 24 + chance.randrange(8, 17)) * 3_600_000
        row(
            "meetings", 3, links, hs_timestamp=wire.iso(start), hs_meeting_start_time=wire.iso(start),
            hs_meeting_end_time=wire.iso(start + 3_600_000), hs_meeting_title=_MEETINGS[(n + k) % len(_MEETINGS)],
            hs_meeting_outcome="SCHEDULED" if start > portal.now() else "COMPLETED", hubspot_owner_id=owner,
        )  # fmt: skip
    if n % 4:
        due = wire.iso(portal.now() // DAY * DAY + chance.randrange(1, 14) * DAY)
        row(
            "tasks", 2, links, hs_timestamp=due, hs_task_subject=f"Follow up {n}", hs_task_status="NOT_STARTED",
            hubspot_owner_id=owner,
        )  # fmt: skip
