"""Contacts: computed names."""

from __future__ import annotations

from .store import Item

_ORDER = {
    "LastCommaFirst": "{last}, {first}",
    "FirstSpaceLast": "{first} {last}",
    "Company": "{company}",
    "LastCommaFirstCompany": "{last}, {first}\r\n{company}",
    "CompanyLastFirst": "{company}\r\n{last}{first}",
    "LastFirst": "{last}{first}",
    "LastFirstCompany": "{last}{first}\r\n{company}",
    "CompanyLastCommaFirst": "{company}\r\n{last}, {first}",
    "LastFirstSuffix": "{last}{first} {suffix}",
    "LastSpaceFirstCompany": "{last} {first}\r\n{company}",
    "CompanyLastSpaceFirst": "{company}\r\n{last} {first}",
    "LastSpaceFirst": "{last} {first}",
    "FirstName": "{first}",
    "LastFirstMiddleSuffix": "{last}, {first} {middle} {suffix}",
    "LastName": "{last}",
    "Empty": "",
}


def complete_name(item: Item) -> dict[str, str]:
    """CompleteName of a contact: the parts it has, and the full name."""
    parts = {
        "Title": item.get("contacts:Title"),
        "FirstName": item.get("contacts:GivenName"),
        "MiddleName": item.get("contacts:MiddleName"),
        "LastName": item.get("contacts:Surname"),
        "Suffix": item.get("contacts:Generation"),
        "Initials": item.get("contacts:Initials"),
    }
    full = " ".join(
        part for name in ("Title", "FirstName", "MiddleName", "LastName", "Suffix") if (part := parts[name])
    )
    parts["FullName"] = full or item.get("contacts:DisplayName")
    parts["Nickname"] = item.get("contacts:Nickname")
    return {name: text for name, text in parts.items() if text}


def file_as(item: Item) -> str:
    """FileAs: as it was set, or by its mapping, or "Last, First", or the display name."""
    stored, mapping = item.get("contacts:FileAs"), item.get("contacts:FileAsMapping")
    if stored:
        return str(stored)
    if mapping == "DisplayName":
        return str(item.get("contacts:DisplayName") or "")
    words = {
        "first": item.get("contacts:GivenName") or "",
        "last": item.get("contacts:Surname") or "",
        "middle": item.get("contacts:MiddleName") or "",
        "company": item.get("contacts:CompanyName") or "",
        "suffix": item.get("contacts:Generation") or "",
    }
    made = _ORDER.get(mapping or "LastCommaFirst", "{last}, {first}").format(**words)
    made = " ".join(made.split(" ")).strip(" ,\r\n")
    return made or str(stored or item.get("contacts:DisplayName") or item.get("contacts:CompanyName") or "")
