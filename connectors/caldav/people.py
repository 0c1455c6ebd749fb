"""Contacts in vCard 3.0 and 4.0 (RFC 2426, 6350): raw values out, edits in. Photos, notes and all else stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.calendars.events import LINK, Broken
from sidefeed.connector import Invalid

EMAILS = ("EmailAddress1", "EmailAddress2", "EmailAddress3")
_PHONES = {"BusinessPhone": "WORK", "MobilePhone": "CELL"}
FIELDS = ("GivenName", "Surname", "DisplayName", "CompanyName", "JobTitle", *EMAILS, *_PHONES, "Categories")


def parse(content: str) -> Any:
    """A vCard of a person. Raises Broken for what is none; None for a group."""
    import vobject

    try:
        card = next(iter(vobject.readComponents(content, allowQP=True)))
    except Exception as error:  # vobject raises whatever a bad line leads to: this card is broken, and alone
        raise Broken(f"it is no vCard that can be read ({type(error).__name__})") from None
    kinds = [str(line.value).lower() for name in ("kind", "x-addressbookserver-kind")
             for line in card.contents.get(name, ())]
    return None if "group" in kinds else card


def is_private(card: Any) -> bool:
    """Whether its owner keeps a card private: CLASS of vCard 3.0, where anything but PUBLIC is private (RFC 2426,
    3.7.1). vCard 4.0 has no such property, and clients go on writing it."""
    return str(_value(card, "class") or "PUBLIC").strip().upper() != "PUBLIC"


def read(card: Any, fields: Iterable[str]) -> dict[str, Any]:
    """Raw values of one person."""
    name = _value(card, "n")
    emails = sorted((line for line in card.contents.get("email", ())), key=_preferred)
    addresses = [str(line.value).strip().removeprefix("mailto:") for line in emails if str(line.value).strip()]
    organisation = _value(card, "org")
    plain: dict[str, Any] = {
        "GivenName": _tidy(getattr(name, "given", None)), "Surname": _tidy(getattr(name, "family", None)),
        "DisplayName": _tidy(_value(card, "fn")), "JobTitle": _tidy(_value(card, "title")),
        "CompanyName": _tidy(organisation[0] if isinstance(organisation, list) and organisation else organisation),
        "Categories": sorted(_value(card, "categories") or []),
        **{each: addresses[place] if place < len(addresses) else None for place, each in enumerate(EMAILS)},
        **{each: _tidy(line.value) if (line := _phone(card, kind)) is not None else None
           for each, kind in _PHONES.items()}}
    return {each: plain[each] for each in fields if each in plain}


def new_card(values: Mapping[str, Any], uid: str, key: str | None) -> bytes:
    """A vCard of a new person."""
    import vobject

    card = vobject.vCard()
    card.add("uid").value = uid
    card.add("n").value = vobject.vcard.Name()
    card.add("fn").value = ""
    edit(card, {name: value for name, value in values.items() if value not in (None, [])})
    if key:
        card.add(LINK.lower()).value = key
    if not card.fn.value:
        parts = [values.get("GivenName"), values.get("Surname")]
        card.fn.value = " ".join(part for part in parts if part) or values.get("CompanyName") or values.get(
            EMAILS[0]) or "?"
    return text(card)


def text(card: Any) -> bytes:
    return str(card.serialize(validate=False)).encode()


def edit(card: Any, values: Mapping[str, Any]) -> None:
    """Set what is named, clear what is None, leave the rest. Raises Invalid for what is not written."""
    import vobject

    for name, value in values.items():
        if name in ("GivenName", "Surname"):
            if "n" not in card.contents:
                card.add("n").value = vobject.vcard.Name()
            setattr(card.n.value, "given" if name == "GivenName" else "family", value or "")
        elif name == "DisplayName":
            _put(card, "fn", value or "")
        elif name == "CompanyName":
            rest = _value(card, "org")[1:] if isinstance(_value(card, "org"), list) else []
            _put(card, "org", [value, *rest] if value else None)
        elif name == "JobTitle":
            _put(card, "title", value)
        elif name == "Categories":
            _put(card, "categories", list(value) if value else None)
        elif name in EMAILS:
            _edit_email(card, EMAILS.index(name), value)
        elif name in _PHONES:
            _edit_phone(card, _PHONES[name], value)
        else:
            raise Invalid(f"{name} is not written to an address book; map it with direction: read.", field=name,
                          rule="read-only", owner="ops")


def _edit_email(card: Any, place: int, value: str | None) -> None:
    lines = sorted(card.contents.get("email", ()), key=_preferred)
    if place < len(lines):
        if value is None:
            card.contents["email"].remove(lines[place])
        else:
            lines[place].value = value
    elif value is not None:
        card.add("email").value = value


def _edit_phone(card: Any, kind: str, value: str | None) -> None:
    line = _phone(card, kind)
    if line is not None and value is None:
        card.contents["tel"].remove(line)
    elif line is not None:
        line.value = value
    elif value is not None:
        added = card.add("tel")
        added.value, added.type_param = value, kind


def _phone(card: Any, kind: str) -> Any:
    """The first phone of a kind; a mobile phone for work is a mobile phone."""
    for line in card.contents.get("tel", ()):
        kinds = {str(each).upper() for each in line.params.get("TYPE", ())}
        if kind in kinds and (kind == "CELL" or "CELL" not in kinds) and "FAX" not in kinds:
            return line
    return None


def _preferred(line: Any) -> int:
    kinds = {str(each).upper() for each in line.params.get("TYPE", ())}
    return 0 if "PREF" in kinds or "PREF" in line.params else 1


def _put(card: Any, name: str, value: Any) -> None:
    if value is None:
        card.contents.pop(name, None)
    elif name in card.contents:
        card.contents[name][0].value = value
    else:
        card.add(name).value = value


def _value(card: Any, name: str) -> Any:
    lines = card.contents.get(name)
    return lines[0].value if lines else None


def _tidy(value: Any) -> str | None:
    text_of = " ".join(str(each) for each in value) if isinstance(value, list) else str(value or "")
    return text_of.strip() or None
