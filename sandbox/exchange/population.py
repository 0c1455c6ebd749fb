"""A small, believable population, and the loading of schema and data files."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import extended
from .soap import Element, element
from .store import CALENDAR, CONTACTS, NOTES, TASKS, PropertyKey

if TYPE_CHECKING:
    from .server import ExchangeServer

DOMAIN = "practice.example"
REPS = (
    ("Ada Lindqvist", "W. Europe Standard Time"),
    ("Ben Okafor", "Eastern Standard Time"),
    ("Chiara Rossi", "W. Europe Standard Time"),
)
SERVICE = "svc-sync"
FIRST = (
    "Nora",
    "Tomás",
    "Yuki",
    "Amina",
    "Lars",
    "Priya",
    "Elif",
    "Jonas",
    "Mei",
    "Oscar",
    "Zoë",
    "Ravi",
    "Hanna",
    "Piotr",
)
LAST = (
    "Andersson",
    "O'Neill",
    "Tanaka",
    "Haddad",
    "Müller",
    "Iyer",
    "Demir",
    "Novák",
    "Chen",
    "García",
    "de Vries",
    "Shah",
)
COMPANIES = ("Northwind", "Contoso", "Fabrikam", "Tailspin", "Litware", "Wingtip", "Adatum", "Proseware")
TOPICS = (
    "Discovery call",
    "Demo",
    "Pricing review",
    "Contract walk-through",
    "Quarterly review",
    "Kick-off",
    "Security questions",
)
CLASSES = {"calendar": CALENDAR, "contacts": CONTACTS, "tasks": TASKS, "mail": NOTES}


def populate(server: ExchangeServer, seed: int) -> dict[str, int]:
    """Three mailboxes with meetings (recurring, private, internal, all-day) and contacts, and a service account."""
    dice = random.Random(seed)
    today = server.clock.now().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    monday = today - timedelta(days=today.weekday())
    addresses = []
    for name, zone in REPS:
        address = f"{name.lower().replace(' ', '.')}@{DOMAIN}"
        server.add_mailbox(address, name, "secret", zone)
        addresses.append(address)
    server.add_mailbox(f"room.north@{DOMAIN}", "Room North", "secret", REPS[0][1])
    server.add_room_list(f"rooms@{DOMAIN}", [f"room.north@{DOMAIN}"])
    server.add_account(SERVICE, "secret", impersonates=["*"], full_access=["*"])
    people = [_person(dice, number) for number in range(24)]
    counts = {"mailboxes": 4, "events": 0, "contacts": 0}
    for number, address in enumerate(addresses):
        for given, surname, company, email in people[number * 8 : number * 8 + 8]:
            server.create_contact(
                address, given_name=given, surname=surname, company_name=company, emails=[email], job_title="Buyer",
                phones={"BusinessPhone": f"+1 555 01{dice.randrange(10, 100)}"},
                addresses={"Business": {"City": dice.choice(("Oslo", "Boston", "Milano")), "CountryOrRegion": "—"}},
            )  # fmt: skip
            counts["contacts"] += 1
        counts["events"] += _calendar(server, dice, address, addresses, people, monday)
    server.clear_outbox()
    return counts


def _person(dice: random.Random, number: int) -> tuple[str, str, str, str]:
    given, surname, company = dice.choice(FIRST), dice.choice(LAST), dice.choice(COMPANIES)
    return given, surname, company, f"buyer{number}@{company.lower()}.example"


def _calendar(
    server: ExchangeServer,
    dice: random.Random,
    address: str,
    reps: list[str],
    people: list[tuple[str, str, str, str]],
    monday: datetime,
) -> int:
    def at(day: int, hour: int, minutes: int = 60) -> dict[str, Any]:
        start = monday + timedelta(days=day) + timedelta(hours=hour)
        return {"start": start, "end": start + timedelta(minutes=minutes)}

    made = 0
    for week in (-1, 0, 1):
        for _ in range(3):
            given, surname, company, email = dice.choice(people)
            server.create_event(
                address, subject=f"{dice.choice(TOPICS)} {company}",
                location=dice.choice(("Teams", "Room North", "On site")),
                attendees=[(f"{given} {surname}", email)], body="Agenda to follow.",
                **at(week * 7 + dice.randrange(5), dice.randrange(9, 17), dice.choice((30, 60, 90))),
            )  # fmt: skip
            made += 1
    given, surname, company, email = dice.choice(people)
    weekly = server.create_event(
        address, subject=f"Weekly with {company}", attendees=[(f"{given} {surname}", email)],
        recurrence={"weekly": ["Tuesday"], "count": 12, "from": (monday + timedelta(days=1)).date()}, **at(1, 10),
    )  # fmt: skip
    server.update_event(address, weekly, occurrence=2, subject=f"Weekly with {company}: moved", **at(9, 11))
    server.delete(address, weekly, occurrence=3)
    server.create_event(address, subject="Dentist", sensitivity="Private", **at(2, 8))
    if address == reps[-1]:
        team = server.create_event(
            address, subject="Team pipeline review", attendees=reps[:-1], send="SendToAllAndSaveCopy", **at(4, 9)
        )
        server.respond(reps[0], team.get("calendar:UID"), "Accept")
        made += 1
    first = (monday + timedelta(days=10)).date()
    server.create_event(
        address, subject="Trade fair", all_day=True, start=first, end=first + timedelta(days=1), show_as="OOF"
    )
    return made + 3


# -- schema files -----------------------------------------------------------------------------------------------------


def load_schema(server: ExchangeServer, schema: Mapping[str, Any]) -> None:
    """Mailboxes, accounts, folders and named properties. Raises ValueError naming the entry."""
    unknown = set(schema) - {"mailboxes", "accounts", "room_lists", "folders", "properties"}
    if unknown:
        raise ValueError(
            f"exchange: unknown section {sorted(unknown)[0]!r}; "
            "there are mailboxes, accounts, room_lists, folders and properties"
        )
    for number, one in enumerate(schema.get("mailboxes") or ()):
        _checked(f"mailboxes[{number}]", one, {"address"}, {"name", "password", "timezone"}, server.add_mailbox)
    for number, one in enumerate(schema.get("accounts") or ()):
        _checked(f"accounts[{number}]", one, {"login"}, {"password", "impersonates", "full_access"}, server.add_account)
    for number, one in enumerate(schema.get("room_lists") or ()):
        _checked(f"room_lists[{number}]", one, {"address", "rooms"}, set(), server.add_room_list)
    for number, one in enumerate(schema.get("folders") or ()):
        _checked(
            f"folders[{number}]",
            one,
            {"mailbox", "name"},
            {"class", "parent"},
            lambda **given: _folder(server, **given),
        )
    for name, one in (schema.get("properties") or {}).items():
        server.properties[name] = _property(f"properties.{name}", one)


def _checked(entry: str, given: Any, needed: set[str], optional: set[str], make: Any) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"exchange: {entry} must be a mapping")
    missing, unknown = needed - set(given), set(given) - needed - optional
    if missing or unknown:
        what = f"lacks {sorted(missing)[0]!r}" if missing else f"has an unknown key {sorted(unknown)[0]!r}"
        raise ValueError(f"exchange: {entry} {what}")
    try:
        make(**given)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"exchange: {entry}: {error.args[0] if error.args else error}") from error


def _folder(server: ExchangeServer, mailbox: str, name: str, parent: str = "msgfolderroot", **options: str) -> None:
    box = server.mailbox(mailbox)
    folder_class = CLASSES.get(options.get("class", "calendar"), options.get("class", CALENDAR))
    server.world.add_folder(box, name, folder_class, box.folders[parent])


def _property(entry: str, given: Any) -> tuple[PropertyKey, str]:
    if not isinstance(given, Mapping) or "type" not in given:
        raise ValueError(f"exchange: {entry} needs a type and set + name, set + id, or tag")
    names = {
        "set": "PropertySetId",
        "name": "PropertyName",
        "id": "PropertyId",
        "tag": "PropertyTag",
        "type": "PropertyType",
    }
    unknown = set(given) - set(names)
    if unknown:
        raise ValueError(f"exchange: {entry} has an unknown key {sorted(unknown)[0]!r}")
    attributes = {names[key]: str(value) for key, value in given.items()}
    if given.get("set") in extended.PROPERTY_SETS:
        attributes["DistinguishedPropertySetId"] = attributes.pop("PropertySetId")
    path: Element = element("ExtendedFieldURI", attributes)
    try:
        return extended.read_key(path)
    except Exception as error:
        raise ValueError(f"exchange: {entry}: {error}") from error


# -- data files -------------------------------------------------------------------------------------------------------

_OBJECTS = {
    "mailbox": "Mailbox", "mailboxes": "Mailbox", "calendaritem": "CalendarItem", "calendaritems": "CalendarItem",
    "event": "CalendarItem", "events": "CalendarItem", "contact": "Contact", "contacts": "Contact",
}  # fmt: skip


def load_data(server: ExchangeServer, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
    """Insert Mailbox, CalendarItem and Contact records; items name their `mailbox`. Raises ValueError."""
    for name in objects:
        if name.lower() not in _OBJECTS:
            raise ValueError(f"exchange has no object {name!r}; there are Mailbox, CalendarItem and Contact")
    counts: dict[str, int] = {}
    for wanted in ("Mailbox", "CalendarItem", "Contact"):
        for name, records in objects.items():
            if _OBJECTS[name.lower()] != wanted:
                continue
            for number, record in enumerate(records):
                _load(server, wanted, record, f"{name}[{number}]")
            counts[name] = counts.get(name, 0) + len(records)
    return counts


def _load(server: ExchangeServer, kind: str, record: Mapping[str, Any], entry: str) -> None:
    given = {key: _plain(key, value) for key, value in record.items() if value not in (None, "")}
    try:
        if kind == "Mailbox":
            server.add_mailbox(**given)
            return
        mailbox = given.pop("mailbox", None)
        if mailbox is None:
            raise ValueError("it does not say which mailbox it is in")
        make = server.create_event if kind == "CalendarItem" else server.create_contact
        make(mailbox, **given)
    except Exception as error:
        raise ValueError(f"exchange: {entry}: {error.args[0] if error.args else error}") from error


def _plain(key: str, value: Any) -> Any:
    """A value of a CSV file as the field wants it."""
    if key in ("all_day", "cancelled", "reminder_is_set") and isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes")
    if key in ("attendees", "optional", "categories", "emails", "members") and isinstance(value, str):
        return [part.strip() for part in value.split(";") if part.strip()]
    return value
