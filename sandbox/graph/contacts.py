"""Contacts: from an item of the store to JSON and back. Source: resource type contact.

Graph shows no sensitivity of a contact; the MAPI property behind it (`Integer 0x36`) does. Phones that Outlook keeps
under other labels than business, home and mobile are not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.exchange.contacts import file_as
from sandbox.exchange.store import Item, World

from . import events, ids
from .errors import bad_body, bad_value
from .prefer import Prefer
from .values import instant, parse_instant, plain, read_body, read_properties, text, texts

_TEXTS = {
    "displayName": "contacts:DisplayName", "givenName": "contacts:GivenName", "initials": "contacts:Initials",
    "middleName": "contacts:MiddleName", "nickName": "contacts:Nickname", "surname": "contacts:Surname",
    "generation": "contacts:Generation", "jobTitle": "contacts:JobTitle", "companyName": "contacts:CompanyName",
    "department": "contacts:Department", "officeLocation": "contacts:OfficeLocation",
    "profession": "contacts:Profession", "businessHomePage": "contacts:BusinessHomePage",
    "assistantName": "contacts:AssistantName", "manager": "contacts:Manager", "spouseName": "contacts:SpouseName",
    "fileAs": "contacts:FileAs",
}  # fmt: skip
_EMAILS = ("EmailAddress1", "EmailAddress2", "EmailAddress3")
_PHONES = {"businessPhones": ("BusinessPhone", "BusinessPhone2"), "homePhones": ("HomePhone", "HomePhone2")}
_ADDRESSES = {"homeAddress": "Home", "businessAddress": "Business", "otherAddress": "Other"}
_PARTS = {"street": "Street", "city": "City", "state": "State", "countryOrRegion": "CountryOrRegion",
          "postalCode": "PostalCode"}  # fmt: skip
_RANKED = ("primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress")
_READ_ONLY = {"id", "changeKey", "createdDateTime", "lastModifiedDateTime", "parentFolderId", "photo", *_RANKED}
_UNKEPT = ("title", "yomiCompanyName", "yomiGivenName", "yomiSurname", "imAddresses", "children")


def render(world: World, item: Item, prefer: Prefer) -> dict[str, Any]:
    """The whole of a contact."""
    emails = item.get("contacts:EmailAddresses") or {}
    phones = item.get("contacts:PhoneNumbers") or {}
    addresses = item.get("contacts:PhysicalAddresses") or {}
    shown = {name: item.get(uri) for name, uri in _TEXTS.items()}
    mails = [{"name": _name(item, emails[key]), "address": emails[key]} for key in _EMAILS if emails.get(key)]
    birthday = item.get("contacts:Birthday")
    made: dict[str, Any] = {
        "@odata.etag": events.etag(world, item),
        "id": ids.of_item(world, item, immutable=prefer.immutable),
        "createdDateTime": instant(item.created),
        "lastModifiedDateTime": instant(item.modified),
        "changeKey": world.item_key(item),
        "categories": list(item.get("item:Categories") or ()),
        "parentFolderId": ids.of_folder(world, world.folders[item.folder]),
        "birthday": instant(birthday) if birthday else None,
        **shown,
        **dict.fromkeys(("title", "yomiCompanyName", "yomiGivenName", "yomiSurname")),
        "fileAs": shown["fileAs"] or file_as(item),
        "imAddresses": [],
        "children": list(item.get("contacts:Children") or ()),
        **{name: [phones[key] for key in keys if phones.get(key)] for name, keys in _PHONES.items()},
        "mobilePhone": phones.get("MobilePhone"),
        "personalNotes": plain(item.get("item:Body")),
        "emailAddresses": mails,
        **dict.fromkeys(_RANKED),
        **{
            name: {part: addresses[key][own] for part, own in _PARTS.items() if addresses.get(key, {}).get(own)}
            for name, key in _ADDRESSES.items()
        },
    }
    for rank, key in zip(_RANKED, _EMAILS, strict=True):
        if emails.get(key):
            made[rank] = {"name": _name(item, emails[key]), "address": emails[key]}
    return made


def _name(item: Item, mail: str) -> str:
    return str(item.get("contacts:DisplayName") or mail)


def read(given: Any, known: Item | None = None) -> tuple[dict[str, Any], dict[Any, Any]]:
    """The members of a request as values of the store, and extended properties. Raises `GraphError`."""
    if not isinstance(given, dict):
        raise bad_body("The body of the request is not a contact.")
    values: dict[str, Any] = {}
    properties: dict[Any, Any] = {}
    phones = dict((known.get("contacts:PhoneNumbers") if known is not None else None) or {})
    places = dict((known.get("contacts:PhysicalAddresses") if known is not None else None) or {})
    for name, value in given.items():
        if name in _READ_ONLY or name.startswith("@odata."):
            continue
        if name in _TEXTS:
            values[_TEXTS[name]] = text(value, name)
        elif name == "emailAddresses":
            values["contacts:EmailAddresses"] = _read_mails(value)
        elif name in _PHONES:
            numbers = texts(value, name)
            if len(numbers) > len(_PHONES[name]):
                raise bad_value(f"'{name}' holds at most {len(_PHONES[name])} numbers.")
            phones = {key: number for key, number in phones.items() if key not in _PHONES[name]}
            phones |= dict(zip(_PHONES[name], numbers, strict=False))
            values["contacts:PhoneNumbers"] = phones
        elif name == "mobilePhone":
            phones["MobilePhone"] = text(value, name) or ""
            values["contacts:PhoneNumbers"] = phones = {key: number for key, number in phones.items() if number}
        elif name in _ADDRESSES:
            places[_ADDRESSES[name]] = _read_place(value, name)
            values["contacts:PhysicalAddresses"] = places
        elif name in _READERS:
            values |= _READERS[name](value, name)
        elif name == "singleValueExtendedProperties":
            properties = read_properties(value)
        elif name not in _UNKEPT:
            raise bad_body(f"The property '{name}' does not exist on type 'microsoft.graph.contact'.")
    if known is None and not values.get("contacts:DisplayName"):
        parts = (values.get("contacts:GivenName"), values.get("contacts:Surname"))
        values["contacts:DisplayName"] = " ".join(part for part in parts if part) or None
    return values, properties


def _read_mails(given: Any) -> dict[str, str]:
    if not isinstance(given, list) or len(given) > len(_EMAILS):
        raise bad_value(f"'emailAddresses' holds at most {len(_EMAILS)} addresses.")
    found = []
    for one in given:
        address = one.get("address") if isinstance(one, Mapping) else None
        if not isinstance(address, str):
            raise bad_body("Cannot read the value of property 'emailAddresses'.")
        found.append(text(address, "address") or "")
    return {key: address for key, address in zip(_EMAILS, found, strict=False) if address}


def _read_place(given: Any, name: str) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or set(given) - set(_PARTS) - {"type", "postOfficeBox"}:
        raise bad_body(f"Cannot read the value of property '{name}'.")
    return {own: shown for part, own in _PARTS.items() if (shown := text(given.get(part), part))}


def _birthday(value: Any, name: str) -> dict[str, Any]:
    moment = None if value is None else parse_instant(text(value, name) or "", name)
    return {"contacts:Birthday": moment}


_READERS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "categories": lambda value, name: {"item:Categories": texts(value, name)},
    "birthday": _birthday,
    "personalNotes": lambda value, name: {"item:Body": read_body({"content": text(value, name) or ""})},
}
